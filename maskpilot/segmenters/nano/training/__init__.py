"""How the small model's weights are made. Nothing here is needed to run it."""
