"""The architecture of SAM 3 at a size that a CPU runs in milliseconds."""
