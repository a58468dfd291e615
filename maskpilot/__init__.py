"""maskpilot: a multimodal LLM pilots SAM 3.

Importing this package imports neither torch nor sam3 nor openai; they load where they are used.
"""

__all__ = ["__version__"]

__version__ = "0.1.0"
