"""Parquet: one row an instance, and one row an image."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from maskpilot import masks
from maskpilot.errors import InvalidInput
from maskpilot.labeling.export.writer import Format, Picture, Target, Writer, facts
from maskpilot.labeling.types import ClassLabels, Label
from maskpilot.types import Mask

__all__ = ["FORMAT"]

ROWS = 4096
"""In a row group: what is held in memory."""


def _open(target: Target) -> Writer:
    try:
        import pyarrow as pa  # noqa: F401, PLC0415 (an extra: only this format needs it)
    except ImportError as error:
        raise InvalidInput(
            "parquet: needs pyarrow, which is not installed; pip install 'maskpilot[parquet]'"
        ) from error
    return ParquetWriter(target)


class ParquetWriter:
    """Writes instances.parquet and images.parquet, whose "image" is the "id" of the latter's row.

    Masks are COCO's compressed run lengths: `counts` (bytes) of `size` [height, width].

    Args:
        target: what to write.
    """

    def __init__(self, target: Target) -> None:
        self._ids = {name: number for number, name in enumerate(target.classes, start=1)}
        instances, images = _schemas()
        self._instances = _Table(target.folder / "instances.parquet", instances)
        self._images = _Table(target.folder / "images.parquet", images)

    def add(self, picture: Picture) -> Sequence[Mask | None]:
        """As `Writer.add`."""
        about = {
            "file_name": picture.file_name,
            "path": picture.path,
            "split": picture.split,
            "sha256": picture.sha256,
            "width": picture.width,
            "height": picture.height,
        }
        self._images.add(
            {
                "id": picture.id,
                **about,
                "instances": len(picture.labels),
                "doubtful": list(picture.doubtful),
            }
        )
        for one, label in picture.labels:
            self._instances.add({"image": picture.id, **about, **self._row(one, label)})
        return [label.instance.mask for _, label in picture.labels]

    def close(self) -> None:
        """As `Writer.close`."""
        self._instances.close()
        self._images.close()

    def _row(self, one: ClassLabels, label: Label) -> dict[str, Any]:
        found = label.instance
        return {
            "class": one.name,
            "class_id": self._ids[one.name],
            "box": list(found.box.xyxy),
            "area": masks.area(found.mask),
            "score": found.score,
            "size": [found.mask.height, found.mask.width],
            "counts": found.mask.counts,
            **facts(one, label),
        }


class _Table:
    """A Parquet file that grows by groups of rows."""

    def __init__(self, path: Path, schema: Any) -> None:
        from pyarrow import parquet  # noqa: PLC0415

        self._schema = schema
        self._rows: list[dict[str, Any]] = []
        self._file = parquet.ParquetWriter(path, schema, compression="zstd")

    def add(self, row: dict[str, Any]) -> None:
        self._rows.append(row)
        if len(self._rows) >= ROWS:
            self._flush()

    def close(self) -> None:
        try:
            if self._rows:
                self._flush()
        finally:
            self._file.close()

    def _flush(self) -> None:
        import pyarrow as pa  # noqa: PLC0415

        self._file.write_table(pa.Table.from_pylist(self._rows, schema=self._schema))
        self._rows.clear()


def _schemas() -> tuple[Any, Any]:
    """Of instances and of images."""
    import pyarrow as pa  # noqa: PLC0415

    text, number, words = pa.string(), pa.int32(), pa.list_(pa.string())
    about = {
        "file_name": text,
        "path": text,
        "split": text,
        "sha256": text,
        "width": number,
        "height": number,
    }
    instances = {
        "image": pa.int64(),
        **about,
        "class": text,
        "class_id": number,
        "box": pa.list_(pa.float64(), 4),
        "area": pa.int64(),
        "score": pa.float64(),
        "size": pa.list_(number, 2),
        "counts": pa.binary(),
        "query": text,
        "text": text,
        "policy": text,
        "model": text,
        "rating": pa.float64(),
        "rounds": number,
        "stop": text,
        "needs_review": words,
    }
    images = {"id": pa.int64(), **about, "instances": number, "doubtful": words}
    return pa.schema(list(instances.items())), pa.schema(list(images.items()))


FORMAT = Format(
    name="parquet",
    summary="tables of instances (run lengths and all that is known) and of images (datasets, DuckDB)",
    limits="",
    open=_open,
)
