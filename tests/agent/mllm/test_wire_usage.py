"""What a reply costs, and how long it took."""

import pytest

from maskpilot.agent.mllm import chat
from maskpilot.agent.mllm.exchange import Message, Role
from maskpilot.agent.mllm.prices import Prices
from maskpilot.testing import Says
from maskpilot.testing.faults import EMPTY_CHOICES, busy
from maskpilot.testing.says import Spoilt
from maskpilot.types import Usage
from tests.agent.mllm.wires import PICTURE, request, sent, wired

SAYS = Says("x", tokens=(1000, 600, 200, 50))


@pytest.mark.parametrize("api", ["chat", "responses"])
def test_usage(api: str) -> None:
    usage = sent([SAYS], api, request(Message(Role.user, "", pictures=(PICTURE, PICTURE)))).usage
    assert usage == Usage(
        calls=1,
        prompt_tokens=1000,
        completion_tokens=200,
        cached_tokens=600,
        reasoning_tokens=50,
        images=3,
        seconds=0.0,
        cost=None,
    )


def test_seconds_count_the_waits() -> None:
    assert sent([busy("7"), busy("3"), SAYS]).usage.seconds == pytest.approx(10.0)


def test_cost() -> None:
    prices = Prices(input=2.0, output=10.0, cached=0.5)
    cost = (400 * 2.0 + 600 * 0.5 + 200 * 10.0) / 1e6
    assert sent([SAYS], prices=prices).usage.cost == pytest.approx(cost)
    assert sent([Spoilt(SAYS, EMPTY_CHOICES), SAYS], prices=prices).usage.cost == pytest.approx(2 * cost)
    assert Prices(2.0, 10.0).cost(Usage(prompt_tokens=1000, cached_tokens=600)) == pytest.approx(0.002)


def test_no_tokens_no_cost() -> None:
    usage = sent([Says("x", tokens=None)], prices=Prices(1.0, 1.0)).usage
    assert (usage.calls, usage.tokens, usage.cost) == (1, 0, None)


def test_reasoning_that_only_the_total_shows() -> None:
    reported = {"prompt_tokens": 100, "completion_tokens": 20, "total_tokens": 180}
    usage = chat.usage({"usage": reported})
    assert (usage.prompt_tokens, usage.completion_tokens, usage.reasoning_tokens) == (100, 80, 60)


def test_cached_tokens_that_stand_among_the_others() -> None:
    reported = {"prompt_tokens": 100, "completion_tokens": 20, "total_tokens": 120, "cached_tokens": 80}
    assert chat.usage({"usage": reported}).cached_tokens == 80


def test_parts_never_exceed_the_whole() -> None:
    reported = {
        "prompt_tokens": 10,
        "completion_tokens": 5,
        "prompt_tokens_details": {"cached_tokens": 99},
        "completion_tokens_details": {"reasoning_tokens": 99},
    }
    usage = chat.usage({"usage": reported})
    assert (usage.cached_tokens, usage.reasoning_tokens) == (10, 5)


@pytest.mark.parametrize("price", [-1.0, float("nan"), float("inf")])
def test_prices_are_prices(price: float) -> None:
    with pytest.raises(ValueError, match=r"Prices\.output: expected a price per million tokens"):
        Prices(1.0, price)


def test_busy_answers_cost_nothing() -> None:
    with wired([busy(), SAYS], prices=Prices(1.0, 1.0)) as (wire, _, _):
        assert wire.send(request()).usage.calls == 1
