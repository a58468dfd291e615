"""Examining a model behind the faulty server: each row a verdict, whatever it answers."""

import json
import random
from collections.abc import Sequence
from pathlib import Path

import pytest

from maskpilot.agent.mllm.coordinates import Convention
from maskpilot.agent.mllm.exchange import CallStyle
from maskpilot.agent.mllm.memory import Memory
from maskpilot.agent.mllm.policy import MllmPolicy
from maskpilot.agent.mllm.settings import MllmSettings
from maskpilot.agent.mllm.wire import OpenAIWire
from maskpilot.doctor import CHECKS, Found, Health, examine_endpoint
from maskpilot.doctor.pictures import draw_code
from maskpilot.doctor.scoring import all_conventions, are_alike
from maskpilot.testing import Answer, FaultyServer, Says, Seen
from maskpilot.testing.faults import (
    ANSWERING,
    CUT_BEFORE,
    FILTERED,
    HTML,
    PASSING,
    QUOTA,
    REFUSED,
    Fault,
    error,
)
from maskpilot.testing.server import Turn
from tests.agent.mllm.wires import CANARY, Clock
from tests.doctor.models import Model, able, shows, words_of

CODE = draw_code(random.Random(7))
KEEPS_TO_PIXELS = able(Convention("pixels"), CODE)


def examined(
    model: Model | Sequence[Turn],
    *,
    memory: Memory | None = None,
    name: str = "test-model",
    seconds: float = 300.0,
) -> Found:
    clock = Clock()
    with (
        FaultyServer(model) as server,
        OpenAIWire(
            name,
            base_url=server.url,
            api_key=CANARY,
            clock=clock,
            sleep=clock.sleep,
            jitter=lambda: 0.0,
        ) as wire,
    ):
        settings = MllmSettings(name, base_url=server.url)
        found = examine_endpoint(
            settings, wire, memory or Memory(), rng=random.Random(7), clock=clock, seconds=seconds
        )
    assert tuple(row.check for row in found.rows) == CHECKS
    assert CANARY not in repr(found)
    assert clock.now - 1000 < 400
    return found


def health(found: Found) -> dict[str, Health]:
    return {row.check: row.health for row in found.rows}


def test_a_model_that_can_do_all_is_all_ok() -> None:
    found = examined(able(Convention("1000"), CODE))
    assert set(health(found).values()) == {Health.ok}
    assert found.styles == tuple(CallStyle)


@pytest.mark.parametrize("convention", all_conventions(), ids=lambda one: one.name)
def test_the_convention_that_a_model_really_uses_is_found(convention: Convention) -> None:
    found = examined(able(convention, CODE))
    assert found.convention is not None
    assert are_alike(found.convention, convention)
    usual = are_alike(convention, Convention("1000"))
    assert health(found)["coordinates"] is (Health.ok if usual else Health.failed)
    assert usual or f"--coords {found.convention.name}" in found.rows[-1].fix


def test_the_convention_that_was_stored_is_what_a_session_asks_in(tmp_path: Path) -> None:
    path = tmp_path / "models.json"
    with FaultyServer(KEEPS_TO_PIXELS) as server, OpenAIWire("m", base_url=server.url) as wire:
        settings = MllmSettings("m", base_url=server.url)
        first = examine_endpoint(settings, wire, Memory(path), rng=random.Random(7))
        assert first.rows[-1].health is Health.failed
        assert first.convention is not None
        Memory(path).remember_convention(settings.key, first.convention)
        again = examine_endpoint(settings, wire, Memory(path), rng=random.Random(7))
        assert again.rows[-1].health is Health.ok
        policy = MllmPolicy(wire, settings, memory=Memory(path))
        assert policy.description["coords"] == "pixels-xyxy"


def test_a_model_that_counts_as_it_is_told_needs_no_fix() -> None:
    def obliging(seen: Seen) -> Turn:
        told = "1000" if "0 to 1000" in words_of(seen) else "pixels"
        return able(Convention.parse(told), CODE)(seen)

    row = examined(obliging).rows[-1]
    assert row.health is Health.note
    assert "by habit" in row.detail
    assert "1000-xyxy when told" in row.detail


def test_a_model_that_could_not_be_told_is_not_said_to_answer_otherwise() -> None:
    def silent_when_told(seen: Seen) -> Turn:
        if "Coordinates:" in words_of(seen) and "bounding box of each" in words_of(seen):
            return error(400, "too many words", "bad_request")
        return able(Convention.parse("pixels"), CODE)(seen)

    row = examined(silent_when_told).rows[-1]
    assert row.health is Health.failed
    assert "could not be asked" in row.detail
    assert "too many words" in row.detail


def test_the_code_is_in_the_picture_and_nowhere_else() -> None:
    asked: list[Seen] = []

    def watching(seen: Seen) -> Turn:
        asked.append(seen)
        return able(Convention("1000"), CODE)(seen)

    examined(watching)
    (reading,) = [seen for seen in asked if "characters" in words_of(seen)]
    assert shows(reading, CODE)
    assert all(CODE not in words_of(seen) for seen in asked)


def test_a_blind_model_is_told_from_one_that_sees() -> None:
    def blind(seen: Seen) -> Turn:
        return Says("I see ABCDE") if "characters" in words_of(seen) else KEEPS_TO_PIXELS(seen)

    found = examined(blind)
    assert health(found)["sees pictures"] is Health.failed
    assert "ABCDE" in found.rows[3].detail


def test_a_model_that_refuses_pictures_is_not_asked_to_work_with_them() -> None:
    asked = []

    def refuses(seen: Seen) -> Turn:
        asked.append(seen)
        if "image_url" in json.dumps(seen.body):
            return error(400, "image_url is not supported by this model")
        return KEEPS_TO_PIXELS(seen)

    found = examined(refuses)
    assert health(found)["sees pictures"] is Health.failed
    assert {row.detail for row in found.rows[4:]} == {"the model takes no pictures"}
    assert {row.health for row in found.rows[4:]} == {Health.skipped}
    assert len(asked) == 2  # the line, and the code


def test_an_endpoint_without_tools_and_schema_is_asked_by_text() -> None:
    def plain(seen: Seen) -> Turn:
        if "tools" in seen.body:
            return error(400, "tools are not supported by this model")
        if "response_format" in seen.body:
            return error(400, "response_format is not supported")
        return able(Convention("1000"), CODE)(seen)

    found = examined(plain)
    assert found.styles == (CallStyle.text,)
    assert [health(found)[check] for check in CHECKS[4:7]] == [Health.note, Health.note, Health.ok]


NONSENSE = (
    "",
    "lorem ipsum",
    "[1,2,3,4]" * 400,
    '{"name": 3}',
    "\x1b[31mred",
    f"Bearer {CANARY}",
    "<tool_call>",
)


@pytest.mark.parametrize("text", NONSENSE)
def test_nonsense_gets_a_verdict_in_every_row(text: str) -> None:
    found = examined(lambda _: Says(text))
    verdicts = health(found)
    assert verdicts["sees pictures"] is Health.failed
    assert {verdicts[check] for check in CHECKS[4:7]} == {Health.failed}
    assert found.convention is None
    assert "unclear" in found.rows[-1].detail


@pytest.mark.parametrize("fault", [*PASSING, *ANSWERING, QUOTA, REFUSED, FILTERED], ids=lambda one: one.name)
def test_every_fault_gets_a_verdict_in_every_row(fault: Fault) -> None:
    found = examined(lambda _: fault, seconds=2)  # of which one may ask for 10 ms, two hundred times
    assert any(row.health is not Health.ok for row in found.rows)


def test_an_endpoint_that_fails_is_not_asked_ten_times() -> None:
    asked = []

    def failing(seen: Seen) -> Turn:
        asked.append(seen)
        return HTML

    found = examined(failing)
    assert health(found)["answers"] is Health.failed
    assert {row.health for row in found.rows[3:]} == {Health.skipped}
    assert len(asked) <= 4


def test_a_wrong_key_is_said_so_and_never_shown() -> None:
    denied = Answer(401, f'{{"error": {{"message": "bad key {CANARY}"}}}}'.encode())
    clock = Clock()
    with (
        Denying(denied) as server,
        OpenAIWire("m", base_url=server.url, api_key=CANARY, clock=clock, sleep=clock.sleep) as wire,
    ):
        found = examine_endpoint(MllmSettings("m", base_url=server.url), wire, Memory())
    assert found.rows[0].health is Health.failed
    assert "OPENAI_API_KEY" in found.rows[0].fix
    assert CANARY not in repr(found)


def test_a_refused_connection_is_one_failure_and_the_rest_is_skipped() -> None:
    with FaultyServer([]) as server:
        url = server.url
    with OpenAIWire("m", base_url=url) as wire:
        found = examine_endpoint(MllmSettings("m", base_url=url), wire, Memory())
    assert [row.health for row in found.rows] == [Health.failed, *[Health.skipped] * (len(CHECKS) - 1)]
    assert "refused" in found.rows[0].detail


def test_a_model_that_is_not_listed_is_no_failure_and_gets_suggestions() -> None:
    found = examined(able(Convention("1000"), CODE), name="tset-model")
    assert health(found)["model"] is Health.note
    assert "test-model" in found.rows[1].fix


def test_a_server_without_a_list_of_models_is_asked_all_the_same() -> None:
    with Denying(error(404, "no such path").spoil(Says(), "chat", ""), KEEPS_TO_PIXELS) as server:
        settings = MllmSettings("m", base_url=server.url)
        with OpenAIWire("m", base_url=server.url) as wire:
            found = examine_endpoint(settings, wire, Memory(), rng=random.Random(7))
    assert health(found)["model"] is Health.note
    assert health(found)["sees pictures"] is Health.ok


def test_time_that_is_up_is_a_verdict_too() -> None:
    with FaultyServer(KEEPS_TO_PIXELS) as server, OpenAIWire("m", base_url=server.url) as wire:
        settings = MllmSettings("m", base_url=server.url)
        ticks = iter(range(0, 100_000, 40))
        found = examine_endpoint(
            settings, wire, Memory(), rng=random.Random(7), clock=lambda: next(ticks), seconds=100
        )
    assert tuple(row.check for row in found.rows) == CHECKS
    assert "time" in found.rows[-1].detail


def test_cut_connections_end() -> None:
    assert health(examined(lambda _: CUT_BEFORE))["answers"] is Health.failed


class Denying(FaultyServer):
    """Answers requests for its models so, and all others as a model does."""

    def __init__(self, denied: Answer, model: Model | None = None) -> None:
        super().__init__(model or [])
        self._denied = denied

    def answer(self, seen: Seen) -> Answer:
        return self._denied if seen.api == "models" else super().answer(seen)
