"""docs/export.md says what exports really do."""

import re
from pathlib import Path

import pytest

from maskpilot.labeling.export.formats import FORMATS, find_format
from tests.labeling.export.runs import export_as, make_run
from tests.labeling.samples import class_labels, label

DOCS = (Path(__file__).parents[3] / "docs" / "export.md").read_text(encoding="utf-8")
SHAPES = ("donut", "parts", "pixel")


@pytest.mark.parametrize("name", FORMATS)
def test_the_table_of_what_comes_back_is_measured(name: str, tmp_path: Path) -> None:
    files = {"a.png": tuple(class_labels(shape, label(shape)) for shape in SHAPES)}
    run = make_run(tmp_path, files, names=SHAPES)
    parts = export_as(name, run, tmp_path / "out")["loss"]["classes"]
    cells = " | ".join("lost" if parts[one]["lost"] else f"{parts[one]['mean_iou']:.2f}" for one in SHAPES)
    assert f"| `{name}` | {cells} |" in DOCS.splitlines()


@pytest.mark.parametrize("name", FORMATS)
def test_the_table_of_formats_says_which_need_images(name: str) -> None:
    row = next(line for line in DOCS.splitlines() if line.startswith(f"| `{name}` |"))
    assert row.endswith(f"| {'yes' if find_format(name).needs_images else 'no'} |")


def test_every_option_is_explained() -> None:
    explained = set(re.findall(r"--[a-z-]+", DOCS))
    assert explained >= {"--only", "--val", "--images", "--image-folder", "--tolerance", "--overwrite"}
