"""The rooms of the package, who may import whom, and what loads only where it is used."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

import maskpilot
from maskpilot import errors

PACKAGE = Path(maskpilot.__file__).parent
STOREYS: tuple[frozenset[str], ...] = (
    frozenset({"errors", "types", "wording"}),
    frozenset({"lines", "masks", "scenes"}),
    frozenset({"images", "prompts", "render", "segmenters", "tools", "trajectory"}),
    frozenset({"agent", "annotations", "runfolder"}),
    frozenset({"crew", "report", "testing"}),
    frozenset({"results"}),
    frozenset({"doctor", "refine"}),
    frozenset({"demo", "evals", "labeling"}),
    frozenset({"cli"}),
    frozenset({"__main__"}),
)
"""From the foundation up; a room imports rooms of lower storeys, and itself."""

HEAVY = {
    "torch": "segmenters",
    "torchvision": "segmenters",
    "sam3": "segmenters",
    "openai": "agent/mllm",
    "ray": "labeling/ray",
}


def files() -> list[Path]:
    return sorted(PACKAGE.rglob("*.py"))


def room(path: Path) -> str:
    return path.relative_to(PACKAGE).parts[0].removesuffix(".py")


def imports(path: Path, *, typing_only: bool = True) -> Iterator[str]:
    """Dotted names that a file imports; without those under TYPE_CHECKING when told so."""
    tree = ast.parse(path.read_text())
    skipped: set[int] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING" and not typing_only:
            skipped |= {id(child) for child in ast.walk(node)}
        if id(node) in skipped:
            continue
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def storey(name: str) -> int:
    return next(number for number, rooms in enumerate(STOREYS) if name in rooms)


def test_every_room_has_its_storey() -> None:
    rooms = {room(path) for path in files()} - {"__init__"}
    assert rooms <= frozenset().union(*STOREYS)


def test_contributing_draws_the_storeys_that_there_are() -> None:
    told = (PACKAGE.parent / "CONTRIBUTING.md").read_text(encoding="utf-8")
    drawn = told.partition("## The shape of the code")[2].partition("Imports point")[0]
    storeys = tuple(frozenset(re.findall(r"`(\w+)`", storey)) for storey in drawn.split("→"))
    assert storeys == STOREYS[:-1]  # all but `__main__`, which is no room


@pytest.mark.parametrize("path", files(), ids=lambda path: str(path.relative_to(PACKAGE)))
def test_imports_point_down(path: Path) -> None:
    own = room(path)
    if own == "__init__":
        return
    for name in imports(path, typing_only=False):
        parts = name.split(".")
        if parts[0] != "maskpilot" or len(parts) == 1 or not _is_room(parts[1]):
            continue
        allowed = parts[1] == own or storey(parts[1]) < storey(own)
        assert allowed, f"{path.relative_to(PACKAGE)} imports {name}: an arrow that runs back"


@pytest.mark.parametrize("path", files(), ids=lambda path: str(path.relative_to(PACKAGE)))
def test_heavy_packages_are_imported_only_in_their_room(path: Path) -> None:
    where = path.relative_to(PACKAGE).as_posix()
    for name in imports(path):
        home = HEAVY.get(name.split(".")[0])
        assert home is None or where.startswith(home), f"{where} imports {name}; its place is {home}/"


def test_the_exception_tree_in_the_docstring_is_the_one_in_the_code() -> None:
    drawn: dict[str, str] = {}
    branch: list[str] = ["Exception"]
    for indent, name in re.findall(r"^ {4}([│├└─ ]*)([A-Z]\w+)", errors.__doc__ or "", re.MULTILINE):
        depth = len(indent) // 4 + 1
        drawn[name] = branch[depth - 1]
        branch[depth:] = [name]
    assert drawn == {name: getattr(errors, name).__base__.__name__ for name in errors.__all__}


def test_every_exception_is_public() -> None:
    defined = {name for name, value in vars(errors).items() if isinstance(value, type)}
    assert defined == set(errors.__all__)


def _is_room(name: str) -> bool:
    return any(name in rooms for rooms in STOREYS)
