"""Models to be examined, as functions from a request to a reply."""

import base64
import io
import json
import re
from collections.abc import Callable
from typing import Any

from PIL import Image, ImageChops

from maskpilot.agent.mllm.coordinates import Convention, Frame
from maskpilot.doctor.pictures import code_picture, shape_pictures
from maskpilot.testing import Says, Seen
from maskpilot.testing.server import Turn

CALL = ("set_text_prompt", {"text": "red ellipse", "rating": 0})
Model = Callable[[Seen], Turn]


def able(convention: Convention, code: str) -> Model:
    """Reads `code`, calls tools in every way, and counts in one convention whatever it is told."""

    def answer(seen: Seen) -> Says:
        if "tools" in seen.body:
            return Says(calls=(CALL,))
        if "response_format" in seen.body:
            name, arguments = CALL
            return Says(json.dumps({"thought": "", "rating": 0, "calls": [{"name": name, **arguments}]}))
        words = words_of(seen)
        if "<tool_call>" in words:
            made = json.dumps({"name": CALL[0], "arguments": CALL[1]})
            return Says(f"<tool_call>{made}</tool_call>")
        if "bounding box" in words:
            return Says(boxes(seen, convention))
        return Says("It says " + code if "characters" in words else "ready")

    return answer


def boxes(seen: Seen, convention: Convention) -> str:
    """Where the shapes of the picture that was sent are."""
    shown = picture_of(seen)
    picture = next(one for one in shape_pictures() if one.image.size == shown.size)
    frame = Frame(convention, shown.size, shown.size)
    return json.dumps({label: frame.numbers(box) for label, box in picture.boxes.items()})


def words_of(seen: Seen) -> str:
    parts = [message["content"] for message in seen.body["messages"]]
    return "\n".join(
        part if isinstance(part, str) else "\n".join(one["text"] for one in part if "text" in one)
        for part in parts
    )


def picture_of(seen: Seen) -> Image.Image:
    found = re.search(r"data:image/\w+;base64,([A-Za-z0-9+/=]+)", json.dumps(seen.body))
    assert found
    return Image.open(io.BytesIO(base64.b64decode(found[1]))).convert("RGB")


def shows(seen: Seen, code: str) -> bool:
    """Whether the picture that was sent is that of a code."""
    difference: Any = ImageChops.difference(picture_of(seen), code_picture(code))
    return difference.getbbox() is None
