"""A server that we did not write: llama.cpp with the tiny vision language model. `make test-foreign`."""

import random
from collections.abc import Iterator

import pytest

from maskpilot.agent.mllm.exchange import CallStyle
from maskpilot.agent.mllm.memory import Memory
from maskpilot.agent.mllm.settings import MllmSettings
from maskpilot.agent.mllm.wire import OpenAIWire
from maskpilot.doctor import CHECKS, Found, Health, examine_endpoint
from tests.cassettes.serve import MODEL, llama_server
from tests.cassettes.sessions import KEY, SESSIONS, check, play

pytestmark = pytest.mark.foreign


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    pytest.importorskip("xllamacpp")
    with llama_server() as address:
        yield address


@pytest.mark.parametrize("name", SESSIONS)
def test_a_session_is_played_to_a_good_end(name: str, url: str) -> None:
    check(play(name, url))


def test_the_doctor_says_what_the_model_can_and_that_it_is_blind(url: str) -> None:
    found = examined(url)
    health = {row.check: row.health for row in found.rows}
    assert tuple(health) == CHECKS
    assert [health[check] for check in CHECKS[:3]] == [Health.ok] * 3
    assert health["sees pictures"] is Health.failed
    assert CallStyle.native in found.styles
    assert found.convention is None


def test_a_key_that_the_server_does_not_know_is_said_so_and_not_shown() -> None:
    pytest.importorskip("xllamacpp")
    with llama_server(key="another-key-than-ours") as address:
        found = examined(address)
    failed = [row for row in found.rows if row.health is Health.failed]
    assert [row.check for row in failed] == ["endpoint"]
    assert "OPENAI_API_KEY" in failed[0].fix
    assert KEY not in repr(found)


def examined(url: str) -> Found:
    with OpenAIWire(MODEL, base_url=url, api_key=KEY, max_tokens=128) as wire:
        settings = MllmSettings(MODEL, base_url=url)
        return examine_endpoint(settings, wire, Memory(), rng=random.Random(0))
