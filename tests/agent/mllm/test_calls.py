"""Calls in text: every dress is seen through, and nothing brings the parser down."""

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from maskpilot.agent.mllm.calls import find_calls, first_object, read_object
from maskpilot.tools import FULL

CUP = [("set_text_prompt", {"text": "cup"})]
BOX = [("add_positive_box", {"x0": 1, "y0": 2.5, "x1": 30, "y1": 40})]
BOTH = [*CUP, ("finish", {"verdict": "complete"})]


def found(text: str, **more: bool) -> list[tuple[str, dict[str, object]]]:
    return [(call.name, dict(call.arguments)) for call in find_calls(text, FULL, **more).calls]


@pytest.mark.parametrize(
    ("text", "calls"),
    [
        ('<tool_call>{"name": "set_text_prompt", "arguments": {"text": "cup"}}</tool_call>', CUP),
        ('Well.\n<tool_call>\n{"name": "set_text_prompt", "arguments": {"text": "cup"}}\n', CUP),
        ('<tool>{"name": "set_text_prompt", "parameters": {"text": "cup"}}</tool>', CUP),
        ('<function_call>{"name": "set_text_prompt", "args": {"text": "cup"}}</function_call>', CUP),
        ('```json\n{"tool": "set_text_prompt", "args": {"text": "cup"}}\n```', CUP),
        ('I call {"name": "set_text_prompt", "arguments": {"text": "cup"}} now.', CUP),
        ('{"name": "functions.set_text_prompt", "arguments": "{\\"text\\": \\"cup\\"}"}', CUP),
        ('{"function": {"name": "set_text_prompt", "arguments": {"text": "cup"}}}', CUP),
        ('{"set_text_prompt": {"text": "cup"}}', CUP),
        ('{"name": "set_text_prompt", "text": "cup"}', CUP),
        ("<tool_call>{'name': 'set_text_prompt', 'arguments': {'text': 'cup'}}</tool_call>", CUP),
        ('<tool_call>{"name": "set_text_prompt", "arguments": {"text": "cup",},}}}</tool_call>', CUP),
        ("<function=set_text_prompt><parameter=text>cup</parameter></function>", CUP),
        ('<function=set_text_prompt>{"text": "cup"}</function>', CUP),
        ('<function=set_text_prompt>{"text": "cup"}<function=finish>\n{"verdict": "complete"}', BOTH),
        (
            "<tool_call>\n<function=set_text_prompt>\n<parameter=text>\ncup\n</parameter>\n</function>\n"
            "</tool_call>",
            CUP,
        ),
        (
            "<function=add_positive_box><parameter=x0>1</parameter><parameter=y0>2.5</parameter>"
            "<parameter=x1>30<parameter=y1>40</function>",
            BOX,
        ),
        (
            '<tool_call>{"name": "set_text_prompt", "arguments": {"text": "cup"}}</tool_call>\n'
            '<tool_call>{"name": "finish", "arguments": {"verdict": "complete"}}</tool_call>',
            BOTH,
        ),
        (
            '{"thought": "{}", "rating": 3, "calls": [{"name": "set_text_prompt", "text": "cup"}, '
            '{"name": "finish", "verdict": "complete"}]}',
            BOTH,
        ),
        (
            '[{"name": "set_text_prompt", "arguments": {"text": "cup"}}, '
            '{"name": "finish", "arguments": {"verdict": "complete"}}]',
            BOTH,
        ),
        ('<tool_call>{"name": "fly", "arguments": {}}</tool_call>', [("fly", {})]),
    ],
)
def test_calls_are_found_in_every_dress(text: str, calls: list[tuple[str, dict[str, object]]]) -> None:
    assert found(text) == calls
    assert not find_calls(text, FULL).broken


@pytest.mark.parametrize(
    "text",
    [
        "",
        "I see two cups.",
        '{"x0": 3}',
        '{"name": "a cup"}',
        "set_text_prompt(text='cup')",
        "__import__('os').system('true')",
        '{"name": 3, "arguments": {}}',
        "{" * 50,
    ],
)
def test_words_are_no_calls(text: str) -> None:
    assert find_calls(text, FULL) == find_calls("", FULL)


@pytest.mark.parametrize(
    "text",
    [
        '<tool_call>{"name": "set_text_pro',
        "<tool_call>set_text_prompt cup</tool_call>",
        '{"name": "set_text_prompt", "arguments": {"text": cup}}',
        '```json\n{"calls": [{"name": "set_text_prompt", "text": "cu',
    ],
)
def test_a_call_that_cannot_be_read_is_told_from_no_call(text: str) -> None:
    assert find_calls(text, FULL).calls == ()
    assert find_calls(text, FULL).broken


def test_thinking_aloud_in_json_is_no_call_where_only_tags_count() -> None:
    aloud = 'Maybe {"name": "finish", "arguments": {"verdict": "absent"}}? No.'
    assert found(aloud, tagged_only=True) == []
    assert found(f"<tool_call>{aloud}</tool_call>", tagged_only=True) != []


def test_a_flood_of_calls_is_cut() -> None:
    one = '<tool_call>{"name": "undo", "arguments": {}}</tool_call>'
    assert len(found(one * 5000)) == 64


JUNK = (
    *("{", '{"a":', '{"a":[', "{'a':", '{"name":"undo",', "<tool_call>", "<function=a><parameter=b>"),
    *("<tool_call>{", "<parameter=", ",}", "{, ", '"undo"', "<", '{"name": "undo", "arguments": {', "9"),
    *('{"a": 1}', "<function=undo>", "'", "\\"),
)
SIGNS = tuple("{}[]\"',:\\> \n\x00\ud800")
WORDS = (
    "<tool_call>",
    "</tool_call>",
    "<function=",
    "<parameter=",
    "1e999",
    "NaN",
    "undo",
    '"undo"',
    '"name"',
)
TOKENS = st.sampled_from((*SIGNS, *WORDS, "null", '"arguments"', '"calls"'))


@given(st.one_of(st.text(max_size=400), st.lists(TOKENS, max_size=120).map("".join)))
def test_the_parser_never_raises(text: str) -> None:
    for tagged_only in (False, True):
        find_calls(text, FULL, tagged_only=tagged_only)
    first_object(text, ("calls",))
    read_object(text)


@pytest.mark.parametrize("unit", JUNK)
def test_a_megabyte_of_junk_takes_less_than_a_second(unit: str) -> None:
    junk = unit * (1_000_000 // len(unit))
    began = time.process_time()
    find_calls(junk, FULL)
    assert time.process_time() - began < 1.0
