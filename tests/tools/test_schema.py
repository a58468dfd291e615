"""Tools as a model is told of them."""

import json

import pytest

from maskpilot.tools import CORE, FULL, PHRASES, TOOLS, tool_spec


@pytest.mark.parametrize("name", FULL)
def test_every_tool_and_parameter_is_described(name: str) -> None:
    spec = tool_spec(name)
    assert spec.description
    assert all(schema["description"] for schema in spec.parameters["properties"].values())
    assert "state" not in spec.parameters["properties"]


@pytest.mark.parametrize("name", FULL)
def test_every_call_carries_a_rating(name: str) -> None:
    assert "rating" in tool_spec(name).parameters["required"]


@pytest.mark.parametrize("name", FULL)
def test_schemas_stay_plain_enough_for_every_server(name: str) -> None:
    text = json.dumps(tool_spec(name).parameters)
    assert not any(word in text for word in ("anyOf", "oneOf", "minItems", "maxItems", "$ref", "null"))


def test_a_box_is_four_named_numbers() -> None:
    parameters = tool_spec("add_positive_box").parameters
    assert parameters["required"] == ["x0", "y0", "x1", "y1", "rating"]
    assert parameters["properties"]["x0"] == {"type": "number", "description": "left edge of the object."}


def test_choices_are_listed_and_what_has_a_default_is_optional() -> None:
    parameters = tool_spec("finish").parameters
    assert parameters["properties"]["verdict"]["enum"] == ["complete", "absent", "best_effort"]
    assert "reason" not in parameters["required"]
    assert "nothing in the image matches" in parameters["properties"]["verdict"]["description"]


def test_the_tool_sets_hold_tools_that_exist_and_can_all_finish() -> None:
    assert set(PHRASES) | set(CORE) <= set(FULL) == set(TOOLS)
    assert all("finish" in tools for tools in (PHRASES, CORE, FULL))
