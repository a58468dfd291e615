"""The frozen data types of the domain, validated at construction.

Boxes are float pixels of the original image (after EXIF rotation), half-open, x to the right, y down.
That is the only convention inside maskpilot; a model's own convention exists at the wire alone.
"""

from maskpilot.types.image import Box, Detections, Exemplar, ImageRef, Instance, Mask, PromptState
from maskpilot.types.session import Budget, Decision, Seen, SeenPicture, Stop, ToolCall, Usage, Verdict

__all__ = [
    "Box",
    "Budget",
    "Decision",
    "Detections",
    "Exemplar",
    "ImageRef",
    "Instance",
    "Mask",
    "PromptState",
    "Seen",
    "SeenPicture",
    "Stop",
    "ToolCall",
    "Usage",
    "Verdict",
]
