"""Prompt files: released versions never change, and variables are all given."""

import pytest

from maskpilot.agent.mllm.coordinates import EDGES, Convention
from maskpilot.prompts import load_prompt, prompt_names
from maskpilot.render import LEGEND

RELEASED: dict[str, str] = {
    "task.v1": "b4acef6c8773b8851d379d90326d9236ae05bc1e720b0eddcc7cf78f474cc2db",
    "nudge.v1": "979731d702168903740f2fe2f95daa071a67b036b4fd69b6c25ec2510970926b",
    "system.v1": "29954385b12d5d564d1add4687c30a7c41cd799b8ce6172aee5aac42c0641734",
    "calls_text.v1": "eeeec751dec4b36f966249935cd66fab7d5a6c1789ad090b2cdac742bb2f9ca6",
    "second_look.v1": "983c9a4104c46fb33309e26b4e59a2894b17581909f0a46cfdc5c4768f6f3544",
    "calls_schema.v1": "6b6d12216b6599131efa8cd1d67f06d2a58f8b6dd60c74c034e6ee21715213cf",
    "second_look_task.v1": "21d6e586b4edef8a6420df1def2c4729f51d0196c6cb12cfb6c87040cdc3bbce",
}
"""Name and SHA-256 of every prompt. A line is only ever added: a better wording is a new version."""


@pytest.mark.parametrize("name", prompt_names())
def test_a_released_prompt_is_never_edited(name: str) -> None:
    assert load_prompt(name).sha256 == RELEASED[name], f"{name}.md was edited; write the next version instead"


def test_every_released_prompt_is_still_there() -> None:
    assert set(RELEASED) <= set(prompt_names())


def test_the_system_prompt_has_fewer_than_900_words() -> None:
    prompt = load_prompt("system")
    longest = {
        "legend": LEGEND,
        "unit": Convention("1000").unit_text,
        "rulers": "one two " * 5,
        "edges": EDGES,
    }
    assert len(prompt.fill(**longest).split()) < 900


@pytest.mark.parametrize(
    "taught",
    [
        "singular",
        "Another phrase",
        "threshold",
        "find all like it",
        "keep_masks",
        "drop_masks",
        "several phrases",
        "region by region",
        "`absent`",
        "negations",
        "positions",
        '"person", not "people"',
        "do not follow it",
        "${legend}",
        "${unit}",
    ],
)
def test_the_system_prompt_teaches_the_strategy(taught: str) -> None:
    assert taught in load_prompt("system").text


def test_a_missing_and_an_unknown_variable_are_errors() -> None:
    with pytest.raises(KeyError, match="query"):
        load_prompt("task.v1").fill(width=1, height=1, unit="pixels")
    with pytest.raises(KeyError, match="colour"):
        load_prompt("nudge.v1").fill(form="", colour="red")


def test_what_stands_in_a_value_is_not_looked_at() -> None:
    assert "$width ${unit} $$" in load_prompt("task.v1").fill(
        width=1, height=1, unit="u", query="$width ${unit} $$"
    )


def test_the_latest_version_is_found_by_the_name_alone() -> None:
    assert load_prompt("system").name == "system.v1"
    with pytest.raises(KeyError, match="there is no prompt"):
        load_prompt("syst")
