"""A multimodal LLM in the seat: any OpenAI-compatible endpoint."""
