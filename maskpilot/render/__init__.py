"""Pictures that a model and a person can read. Pure functions: image and masks in, a new image out.

- `overlay` draws masks, ids, prompt boxes and rulers over the whole image; `LEGEND` says what the signs mean
- `crop` looks closer at one region, `contact_sheets` at many small masks
- `mask_image` is the union of masks
"""

from maskpilot.render.crops import Crop, contact_sheets, crop, mask_image
from maskpilot.render.overlay import LEGEND, Overlay, overlay
from maskpilot.render.palette import colour
from maskpilot.render.view import Marks, Ruler, display_size

__all__ = [
    "LEGEND",
    "Crop",
    "Marks",
    "Overlay",
    "Ruler",
    "colour",
    "contact_sheets",
    "crop",
    "display_size",
    "mask_image",
    "overlay",
]
