"""The history: it grows at its end, byte for byte, and lets old pictures go at one stroke."""

import itertools

import pytest

from maskpilot.agent.mllm.exchange import Message, Request, Role
from maskpilot.types import Budget
from tests.agent.mllm.sessions import CUP, FINISH, Script, call, session

PHRASES = ("cup", "plate", "mug", "cup plate", "mug plate", "cup mug", "table", "cups", "plates")
SCRIPT: Script = [call("set_text_prompt", text=phrase, rating=1) for phrase in PHRASES]


def rendered(message: Message) -> tuple[object, ...]:
    pictures = tuple(picture.tobytes() for picture in message.pictures)
    return (message.role, message.text, pictures, message.calls, message.call_id)


def pictures(request: Request) -> int:
    return sum(len(message.pictures) for message in request.messages)


def shared(before: Request, after: Request) -> int:
    """How many messages at the beginning are the same."""
    pairs = zip(before.messages, after.messages, strict=False)
    return len(list(itertools.takewhile(lambda pair: rendered(pair[0]) == rendered(pair[1]), pairs)))


@pytest.mark.parametrize("style", ["native", "schema", "text"])
def test_most_requests_begin_with_the_whole_of_the_one_before(style: str) -> None:
    _, wire = session([*SCRIPT, FINISH], call_style=style, keep_pictures=2, spare_pictures=2)
    whole = [
        shared(before, after) == len(before.messages) for before, after in itertools.pairwise(wire.requests)
    ]
    assert whole == [True, True, True, True, False, True, True, False, True]


def test_what_became_a_line_never_changes_again() -> None:
    _, wire = session([*SCRIPT, FINISH])
    for before, after in itertools.pairwise(wire.requests):
        same = shared(before, after)
        gone = [message for message in before.messages[same:] if message.role is Role.user]
        assert all(message.pictures for message in gone)


def test_the_image_and_the_latest_overlays_stay() -> None:
    _, wire = session([*SCRIPT, FINISH], keep_pictures=2, spare_pictures=1)
    assert [pictures(request) for request in wire.requests] == [1, 2, 3, 4, 3, 4, 3, 4, 3, 4]
    for request in wire.requests:
        users = [message for message in request.messages if message.role is Role.user]
        assert users[0].pictures
        assert users[-1].pictures
        assert all(message.pictures or "Its pictures are gone" in message.text for message in users)


def test_the_overlay_of_the_present_masks_outlives_closer_looks() -> None:
    zooms = [call("zoom", x0=0, y0=0, x1=100 * number, y1=500, rating=1) for number in range(1, 8)]
    _, wire = session([CUP, *zooms, FINISH], budget=Budget(max_rounds=20))
    users = [message for message in wire.requests[-1].messages if message.role is Role.user]
    assert len([message for message in users if "The picture shows the masks" in message.text]) == 1
    assert pictures(wire.requests[-1]) <= 1 + 1 + 2 * 3


def test_no_overlay_is_sent_of_masks_that_the_model_has_seen() -> None:
    _, wire = session([CUP, call("fly"), FINISH])
    assert pictures(wire.requests[2]) == 2
    assert "the same as in the last overlay" in wire.requests[2].messages[-1].text


def test_two_messages_of_one_role_never_follow_each_other() -> None:
    for style in ("schema", "text"):
        _, wire = session([*SCRIPT, FINISH], call_style=style)
        roles = [message.role for message in wire.requests[-1].messages]
        assert all(one is not other for one, other in itertools.pairwise(roles))
