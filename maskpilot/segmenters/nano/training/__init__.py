"""How the small model's weights are made. Nothing here is needed to run it."""

from maskpilot.segmenters import compat

compat.prepare_import()  # before any module here imports sam3
