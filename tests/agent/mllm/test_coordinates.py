"""Coordinates: there and back in every convention, and what cannot be in the declared unit."""

import math
from itertools import product
from typing import get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from maskpilot.agent.mllm.coordinates import EDGES, Convention, Frame, Order, Unit, box_spec, call_in_pixels
from maskpilot.agent.mllm.families import families, family_of, sent_size
from maskpilot.errors import InvalidCall
from maskpilot.render import display_size
from maskpilot.tools import tool_spec
from maskpilot.types import Box, ToolCall

CONVENTIONS = [Convention(unit, order) for unit, order in product(get_args(Unit), get_args(Order))]
SIDES = st.integers(64, 4000)


def frame(convention: Convention, width: int = 2000, height: int = 1000) -> Frame:
    return Frame(convention, (width, height), (1000, 500))


def box_call(*values: object, names: tuple[str, ...] = EDGES) -> ToolCall:
    return ToolCall("add_positive_box", dict(zip(names, values, strict=True)) | {"rating": 7})


@pytest.mark.parametrize("convention", CONVENTIONS, ids=lambda convention: convention.name)
@given(
    size=st.tuples(SIDES, SIDES),
    corners=st.tuples(*[st.floats(0.0, 0.7)] * 2),
    extent=st.tuples(*[st.floats(0.05, 0.3)] * 2),
)
def test_a_box_comes_back_within_half_a_step(
    convention: Convention,
    size: tuple[int, int],
    corners: tuple[float, float],
    extent: tuple[float, float],
) -> None:
    width, height = size
    seen = Frame(convention, size, display_size(width, height, 1024))
    box = Box(
        corners[0] * width,
        corners[1] * height,
        (corners[0] + extent[0]) * width,
        (corners[1] + extent[1]) * height,
    )
    told = dict(zip(convention.edges, seen.numbers(box), strict=True))
    back = call_in_pixels(ToolCall("zoom", told), seen).arguments
    slack = (seen.step / seen.ends[0] * width, seen.step / seen.ends[1] * height) * 2
    for edge, meant, off in zip(EDGES, box.xyxy, slack, strict=True):
        assert math.isclose(back[edge], meant, abs_tol=0.51 * off)


def test_the_order_of_the_numbers_is_the_convention_s() -> None:
    box = Box(200, 100, 600, 500)
    assert frame(Convention("1000")).text(box) == "100, 100, 300, 500"
    assert frame(Convention("1000", "yxyx")).text(box) == "100, 100, 500, 300"
    assert frame(Convention("1")).text(box) == "0.1, 0.1, 0.3, 0.5"
    assert frame(Convention("pixels")).text(box) == "100, 50, 300, 250"


@pytest.mark.parametrize(
    ("unit", "values"),
    [
        ("1", (640, 100, 800, 200)),
        ("1", (0.1, 0.1, 0.5, 12)),
        ("100", (50, 50, 640, 480)),
        ("999", (0, 0, 1500, 1500)),
        ("1000", (0.1, 0.2, 0.3, 0.4)),
        ("1000", (-200, 0, 300, 300)),
        ("pixels", (0.1, 0.2, 0.3, 0.4)),
        ("pixels", (0, 0, 900, 900)),
        ("pixels", (1e300, 0, 1, 1)),
    ],
)
def test_what_cannot_be_in_the_unit_is_refused_with_the_unit_explained(
    unit: Unit, values: tuple[float, ...]
) -> None:
    seen = frame(Convention(unit))
    with pytest.raises(InvalidCall) as caught:
        call_in_pixels(box_call(*values), seen)
    assert seen.unit in str(caught.value)
    assert "add_positive_box" in str(caught.value)


def test_a_box_a_little_over_the_border_passes_on_to_be_clipped() -> None:
    made = call_in_pixels(box_call(-10, 0, 1030, 500), frame(Convention("1000"))).arguments
    assert (made["x0"], made["x1"]) == (-20, 2060)


def test_reversed_corners_pass_on_to_be_put_in_order() -> None:
    made = call_in_pixels(box_call(300, 500, 100, 100), frame(Convention("1000"))).arguments
    assert (made["x0"], made["x1"]) == (600, 200)


@pytest.mark.parametrize("wrong", ["left", None, True, [1], float("nan"), float("inf"), 10**400])
def test_what_is_no_number_is_left_for_the_tool_to_refuse(wrong: object) -> None:
    made = call_in_pixels(box_call(wrong, 1, 2, 3), frame(Convention("1000")))
    assert made.arguments["y0"] == 1


def test_numbers_as_text_and_a_list_in_the_declared_order_are_understood() -> None:
    seen = frame(Convention("1000", "yxyx"))
    assert call_in_pixels(box_call("100", "0", "200", "10"), seen).arguments["x0"] == 200
    listed = ToolCall("zoom", {"box_2d": [0, 100, 10, 200], "rating": 1})
    assert call_in_pixels(listed, seen).arguments == {"x0": 200, "y0": 0, "x1": 400, "y1": 10, "rating": 1}
    named = box_call(100, 0, 200, 10, names=("xmin", "ymin", "xmax", "ymax"))
    assert call_in_pixels(named, seen).arguments["x1"] == 400


def test_calls_without_a_box_stay_as_they_are() -> None:
    call = ToolCall("set_threshold", {"value": 0.3}, "id")
    assert call_in_pixels(call, frame(Convention("1"))) == call


@pytest.mark.parametrize("convention", CONVENTIONS, ids=lambda convention: convention.name)
def test_the_schema_names_the_unit_and_puts_the_edges_in_order(convention: Convention) -> None:
    spec = box_spec(tool_spec("zoom"), convention)
    names = list(spec.parameters["properties"])
    assert tuple(names[:4]) == convention.edges == tuple(spec.parameters["required"][:4])
    assert names[4:] == ["rating"]
    told = spec.parameters["properties"]["x0"]["description"]
    assert told.startswith("left edge of the part; ")
    assert told.endswith("pixels of the picture" if convention.unit == "pixels" else convention.unit)
    assert box_spec(tool_spec("finish"), convention) == tool_spec("finish")


@pytest.mark.parametrize(
    ("text", "name"), [("1000", "1000-xyxy"), ("Pixels-YXYX", "pixels-yxyx"), (" 1 xyxy", "1-xyxy")]
)
def test_a_convention_is_read_from_its_name(text: str, name: str) -> None:
    assert Convention.parse(text).name == name


@pytest.mark.parametrize("text", ["", "10", "1000-xxyy", "pixel", "-yxyx", "1000 xyxy more"])
def test_what_is_no_convention_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="expected"):
        Convention.parse(text)


@pytest.mark.parametrize(
    ("model", "name"),
    [
        ("gpt-5.2", "pixels-xyxy"),
        ("gpt-5.2-mini-2026-01-01", "pixels-xyxy"),
        ("gpt-5.1", "1-xyxy"),
        ("gpt-5-mini", "1-xyxy"),
        ("openai/gpt-4o", "pixels-xyxy"),
        ("anthropic/claude-sonnet-4.5", "pixels-xyxy"),
        ("bedrock/us.anthropic.claude-sonnet-4-5-20250929-v1:0", "pixels-xyxy"),
        ("Qwen3-VL-8B-Claude-Distill", "1000-xyxy"),
        ("google/gemini-2.5-pro", "1000-yxyx"),
        ("Qwen/Qwen2.5-VL-7B-Instruct", "pixels-xyxy"),
        ("qwen2.5vl:7b", "pixels-xyxy"),
        ("Qwen/Qwen3-VL-8B-Instruct", "1000-xyxy"),
        ("qwen2-vl-7b", "1000-xyxy"),
        ("z-ai/glm-4.6v", "1000-xyxy"),
        ("OpenGVLab/InternVL3-8B", "1000-xyxy"),
        ("moonshotai/Kimi-K2.6", "1000-yxyx"),
        ("x-ai/grok-4", "100-xyxy"),
        ("mistral-medium-latest", "999-xyxy"),
        ("something-new", "1000-xyxy"),
    ],
)
def test_a_model_s_name_decides_how_it_is_asked(model: str, name: str) -> None:
    assert family_of(model).convention.name == name


@given(size=st.tuples(st.integers(1, 9000), st.integers(1, 9000)), index=st.integers(0, len(families()) - 1))
def test_pictures_fit_and_keep_their_shape(size: tuple[int, int], index: int) -> None:
    family = families()[index]
    width, height = sent_size(*size, family)
    assert 1 <= width <= family.max_side
    assert 1 <= height <= family.max_side
    if min(width, height) >= 64:
        assert abs(width * size[1] / (height * size[0]) - 1) < 0.032


def test_sides_are_multiples_where_the_shape_allows_it() -> None:
    qwen = family_of("qwen2.5-vl")
    assert all(side % 28 == 0 for side in sent_size(4000, 3000, qwen))
    assert all(side % 32 == 0 for side in sent_size(1024, 768, family_of("gpt-4o")))
    unknown = family_of("new").asked_in(Convention("pixels"))
    assert all(side % 28 == 0 for side in sent_size(1000, 1000, unknown))
