"""Asking a model for boxes, to see how it counts."""

from __future__ import annotations

from maskpilot.agent.mllm.coordinates import Convention, Frame
from maskpilot.doctor.asking import Asking, question
from maskpilot.doctor.pictures import shape_pictures
from maskpilot.doctor.scoring import Answer, Ranking, are_alike, numbers_of, rank
from maskpilot.errors import PolicyError

__all__ = ["ask_for_boxes"]

WHERE = (
    "Give the bounding box of each of these: {labels}. The picture is {width} pixels wide and {height} high. "
    "{how} Reply with JSON alone: one key for each of them, whose value is a list of the four numbers."
)
BY_HABIT = "Use the coordinates that you give bounding boxes in by habit."
AS_TOLD = "Coordinates: {unit}. The four numbers are {edges}."


def ask_for_boxes(asking: Asking, expected: Convention) -> tuple[Ranking | None, Ranking | None, str]:
    """Have it give boxes by habit and, where that is another way than a session's, in the session's way.

    Returns:
        how it counts by habit, how it does as told, and why one of them is missing.
    """
    habit = None
    try:
        habit = _asked(asking)
        if not habit.is_clear or are_alike(habit.settled(expected), expected):
            return habit, None, ""
        return habit, _asked(asking, expected), ""
    except PolicyError as error:
        return habit, None, str(error)


def _asked(asking: Asking, told: Convention | None = None) -> Ranking:
    """Raises:
    PolicyError: it cannot be asked.
    """
    answers = []
    for picture in shape_pictures():
        labels, size = list(picture.boxes), picture.image.size
        how = BY_HABIT
        if told is not None:
            how = AS_TOLD.format(unit=Frame(told, size, size).unit, edges=", ".join(told.edges))
        words = WHERE.format(labels=", ".join(labels), width=size[0], height=size[1], how=how)
        reply = asking.ask(question(words, picture.image))
        numbers = numbers_of(reply.text, labels)
        answers += [Answer(box, numbers.get(label), size) for label, box in picture.boxes.items()]
    return rank(answers)
