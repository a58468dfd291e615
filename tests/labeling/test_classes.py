"""Classes as people write them; what is wrong is said with its line."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from maskpilot.errors import InvalidInput
from maskpilot.labeling.classes import EXAMPLE, class_of_query, parse_classes, read_classes
from maskpilot.labeling.types import LabelClass

CUP = LabelClass("cup", "the coffee cups", ("no mugs", "no glasses"), 4)


def complaint(text: str) -> str:
    with pytest.raises(InvalidInput) as caught:
        parse_classes(text, "classes.yaml")
    return str(caught.value)


def outcome(read: Callable[[], tuple[LabelClass, ...]]) -> tuple[tuple[LabelClass, ...], str]:
    """The classes, or what is wrong with them."""
    try:
        return read(), ""
    except InvalidInput as error:
        return (), str(error)


@pytest.mark.parametrize(
    "text",
    [
        "- cup\n- red plate\n",
        "[cup, red plate]",
        "classes:\n  - cup\n  - name: red plate\n",
        "cup:\nred plate: ~\n",
        "cup: cup\nred plate: {}\n",
        "classes:\n  cup:\n  red plate:\n",
        "\ufeff- cup\r\n- red plate\r\n",
        "--- # what to label\n- ' cup '\n- !!str red plate\n...\n",
        "- name: cup\n  query:\n  hints:\n  max_count:\n- name: red plate\n  query: ''\n  hints: []\n",
    ],
)
def test_names_alone_are_their_own_queries(text: str) -> None:
    assert parse_classes(text, "x") == (LabelClass("cup", "cup"), LabelClass("red plate", "red plate"))


@pytest.mark.parametrize(
    "text",
    [
        "- {name: cup, query: the coffee cups, hints: [no mugs, no glasses], max_count: 4}",
        "cup: {query: the coffee cups, hints: [no mugs, no glasses], max_count: 4}",
        "classes: [{name: cup, query: the coffee cups, hints: [no mugs, no glasses], max_count: 4}]",
        "name: cup\nquery: the coffee cups\nhints: [no mugs, no glasses]\nmax_count: 4",
        "- name: cup\n  query: >\n    the coffee\n    cups\n  max_count: 4\n  hints: [no mugs, no glasses]",
    ],
)
def test_a_class_with_all_its_keys(text: str) -> None:
    assert parse_classes(text, "x") == (CUP,)


def test_one_hint_needs_no_list() -> None:
    assert parse_classes("- {name: cup, hints: no mugs}", "x")[0].hints == ("no mugs",)


def test_names_that_differ_in_case_or_script_are_different() -> None:
    found = parse_classes("- cup\n- Cup\n- кружка\n- 杯子\n- 'no'\n- \"7\"\n", "x")
    assert [one.name for one in found] == ["cup", "Cup", "кружка", "杯子", "no", "7"]


def test_the_example_is_readable() -> None:
    found = parse_classes(EXAMPLE, "x")
    assert [one.name for one in found] == ["cup", "plate", "spoon"]
    assert found[0] == LabelClass("cup", "the coffee cups", ("mugs count too", "no glasses"), 20)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "1: holds no classes"),
        ("# nothing yet\n", "1: holds no classes"),
        ("~", "1: holds no classes"),
        ("[]", "1: holds no classes"),
        ("{}", "1: holds no classes"),
        ("classes: []", "1: holds no classes"),
        ("cup", "1: expected a list of classes, got one value"),
        ("- cup\n- {name: [a]\n", "3: not valid YAML"),
        ("- cup\n\t- plate\n", "2: not valid YAML"),
        ("- cup\n---\n- plate\n", "2: not valid YAML"),
        ("- cup\n- *plate\n", "2: not valid YAML"),
        ('- cup\n- "\\UFFFFFFFF"\n', "2: not valid YAML"),
        ("- cup\n- a\x00b\n", "2: not valid YAML (a character"),
        ("- " * 2000, "nested too deeply"),
        ("- cup\n- name: plate\n  qeury: x\n", "3: unknown key 'qeury'; did you mean 'query'?"),
        ("- cup\n- plate: the plates\n", "2: unknown key 'plate'; there are name, query, hints, max_count"),
        ("- cup\n- query: the plates\n", "2: a class without a name"),
        ("- <<: {name: cup}\n", "1: unknown key '<<'"),
        ("cup:\n  name: x\n", "2: unknown key 'name'"),
        ("version: 1\nclasses: [cup]\n", "1: unknown key 'version' beside 'classes'"),
        ("names: [cup, plate]\n", "1: class 'names': expected a query or keys, got a list"),
        ("- cup\n\n- plate\n- cup\n", "4: class 'cup' was defined on line 1 already"),
        ("- cup\n- ' cup'\n", "2: class 'cup' was defined on line 1 already"),
        ("cup: a\nplate: b\ncup: c\n", "3: 'cup' was defined on line 1 already"),
        ("- name: cup\n  query: a\n  query: b\n", "3: 'query' was defined on line 2 already"),
        ("- cup\n-\n", "2: a blank name"),
        ("- cup\n- '  '\n", "2: a blank name"),
        ("- name: ''\n  query: cups\n", "1: a blank name"),
        ("- cup\n- no\n", "2: name: YAML reads 'no' as a yes or no; put quotes around it: \"no\""),
        ("- cup\n- 7\n", "2: name: YAML reads '7' as a number"),
        ("yes: the nods\n", "1: name: YAML reads 'yes' as a yes or no"),
        ("- 1.5\n", "1: name: YAML reads '1.5' as a number"),
        ("- 2026-11-22\n", "1: name: YAML reads '2026-11-22' as a date"),
        ("- null\n", "1: name: YAML reads 'null' as nothing"),
        ("- =\n", "1: name: YAML reads '=' as something else"),
        ("- !!python/object:os.system x\n", "1: name: YAML reads 'x' as something else"),
        ("- cup\n- [a, b]\n", "2: name: expected text, got a list"),
        ("- {name: {a: b}}\n", "1: name: expected text, got a mapping"),
        ("? [a, b]\n: x\n", "1: expected a word before the colon, got a list"),
        ("- name: cup\n  query: 7\n", "2: query: YAML reads '7' as a number"),
        ("- name: cup\n  query: [a]\n", "2: query: expected text, got a list"),
        ("- name: cup\n  hints: 3\n", "2: hints: YAML reads '3' as a number"),
        ("- name: cup\n  hints:\n  - ok\n  - {a: b}\n", "4: hints: expected text, got a mapping"),
        ("- name: cup\n  hints: [" + "x, " * 300 + "]\n", "2: more than 200 hints"),
        (
            "- name: cup\n  max_count: 0\n",
            "2: max_count: expected a whole number from 1 to 999999999, got '0'",
        ),
        ("- name: cup\n  max_count: -1\n", "2: max_count: expected"),
        ("- name: cup\n  max_count: 1.5\n", "2: max_count: expected"),
        ("- name: cup\n  max_count: true\n", "2: max_count: expected"),
        ("- name: cup\n  max_count: '3'\n", "2: max_count: expected"),
        ("- name: cup\n  max_count: 010\n", "2: max_count: expected"),
        (
            "- name: cup\n  max_count: [1]\n",
            "2: max_count: expected a whole number from 1 to 999999999, got a list",
        ),
        ('- "cup\\nplate"\n', "1: expected a name of one line"),
        ("- " + "x" * 201, "1: expected a name of one line and 200 characters"),
        ('- "\\0"\n', "1: name: holds a character that is no text"),
        ('- "\\uD800"\n', "1: name: holds a character that is no text"),
        ("- name: cup\n  query: " + "x" * 20_001, "2: class 'cup', with its hints: the query has 20001"),
        (
            "- name: cup\n  query: x\n  hints: " + "y" * 20_000,
            "3: class 'cup', with its hints: the query has",
        ),
        ("\n".join(f"- c{number}" for number in range(1001)), "1001: more than 1000 classes"),
        ("&a [*a]", "1: name: expected text, got a list"),
        ("- &a {name: cup, hints: *a}", "1: hints: expected text, got a mapping"),
        ("&a {classes: *a}", "1: "),
    ],
)
def test_what_is_wrong_is_said_with_its_line(text: str, message: str) -> None:
    said = complaint(text)
    assert said.startswith("classes.yaml:")
    assert message in said


def test_aliases_do_not_multiply() -> None:
    bomb = "a: &a [x, x]\n" + "\n".join(f"l{n}: &l{n} [{'*a, ' * 9}]" for n in range(50))
    assert "expected a query or keys, got a list" in complaint(bomb)


def test_a_file_is_read(tmp_path: Path) -> None:
    (tmp_path / "classes.yaml").write_text(EXAMPLE, encoding="utf-8-sig")
    assert read_classes(tmp_path / "classes.yaml") == parse_classes(EXAMPLE, "x")


def test_errors_name_the_file(tmp_path: Path) -> None:
    path = tmp_path / "classes.yaml"
    path.write_text("- cup\n- no\n")
    with pytest.raises(InvalidInput) as caught:
        read_classes(path)
    assert str(caught.value).startswith(f"{path}:2: name: YAML reads 'no'")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"- cup\n- caf\xe9\n", ":2: is not UTF-8 text; save the file as UTF-8"),
        ("- cup\n".encode("utf-16"), ":1: is not UTF-8 text"),
        (b"- cup\n" * 100_000, ": larger than 500 kB"),
        (b"", ":1: holds no classes"),
    ],
)
def test_files_that_hold_no_classes(tmp_path: Path, content: bytes, message: str) -> None:
    path = tmp_path / "classes.yaml"
    path.write_bytes(content)
    with pytest.raises(InvalidInput) as caught:
        read_classes(path)
    assert str(caught.value).startswith(f"{path}{message}")


def test_what_is_no_file(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    for name, message in (
        ("gone.yaml", "No such file"),
        (".", "a folder"),
        ("pipe", "no regular file"),
        ("x" * 300, "too long"),
        ("a\0b", "null"),
    ):
        with pytest.raises(InvalidInput, match=message):
            read_classes(tmp_path / name)


def test_a_query_is_a_class_of_its_own() -> None:
    assert class_of_query("  the red\n cups ") == LabelClass("the red cups", "the red\n cups")
    assert len(class_of_query("cup " * 1000).name) <= 200


@pytest.mark.parametrize("query", ["", " \n", "x" * 20_001, "\x00\x01"])
def test_a_query_that_asks_nothing_or_too_much(query: str) -> None:
    with pytest.raises(InvalidInput, match="the query"):
        class_of_query(query)


@given(st.text())
def test_a_query_gives_a_class_or_an_error(query: str) -> None:
    try:
        one = class_of_query(query)
    except InvalidInput:
        return
    assert one.query == query.strip()
    assert len(one.name.splitlines()) == 1


LEAVES = st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), st.dates(), st.text())
KEYS = st.one_of(st.sampled_from(["name", "query", "hints", "max_count", "classes"]), st.text(max_size=3))
VALUES = st.recursive(
    LEAVES, lambda inner: st.one_of(st.lists(inner), st.dictionaries(KEYS, inner)), max_leaves=12
)
SIGNS = st.text(st.sampled_from(list("-:?,[]{}#&*!|>'\"%@`\\ \n\tax1~<=.")), max_size=40)


@given(st.one_of(VALUES.map(lambda value: str(yaml.safe_dump(value, allow_unicode=True))), SIGNS, st.text()))
def test_any_yaml_gives_classes_or_an_error_with_a_line(text: str) -> None:
    found, said = outcome(lambda: parse_classes(text, "classes.yaml"))
    assert said.partition(": ")[0].removeprefix("classes.yaml:").isdigit() or found
    assert len({one.name for one in found}) == len(found)


@given(content=st.binary(max_size=40))
def test_any_bytes_give_classes_or_an_error(content: bytes, tmp_path_factory: pytest.TempPathFactory) -> None:
    path = tmp_path_factory.getbasetemp() / "any.yaml"
    path.write_bytes(content)
    found, said = outcome(lambda: read_classes(path))
    assert found or said.startswith(f"{path}:")
