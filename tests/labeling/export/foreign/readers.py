"""Reads an export by other people's libraries. Run by their own Python, in which there is no maskpilot:

    python readers.py READER FOLDER

Prints JSON: names of all images without their suffixes, and for each instance its image, its class, and its
mask as rows of 0 and 1.
"""

import json
import sys
import tempfile
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import numpy as np

Found = tuple[str, str, Any]
"""Image, class, mask (H, W) of numbers."""


def pycocotools(folder: Path) -> tuple[list[str], list[Found]]:
    """Its own API; crowds are left out, as trainers do."""
    from pycocotools.coco import COCO

    images: list[str] = []
    found: list[Found] = []
    for path in sorted(folder.rglob("instances*.json")):
        coco = COCO(str(path))
        stems = {number: Path(image["file_name"]).stem for number, image in coco.imgs.items()}
        images += stems.values()
        for one in coco.loadAnns(coco.getAnnIds(iscrowd=False)):
            name = coco.cats[one["category_id"]]["name"]
            found.append((stems[one["image_id"]], name, coco.annToMask(one)))
    return images, found


def datumaro_coco(folder: Path) -> tuple[list[str], list[Found]]:
    """Its reader of COCO, which gives boxes apart; without crowds."""
    return _datumaro(folder, "coco_instances")


def datumaro_cvat(folder: Path) -> tuple[list[str], list[Found]]:
    """Its reader of CVAT for images."""
    return _datumaro(folder, "cvat")


def _datumaro(folder: Path, kind: str) -> tuple[list[str], list[Found]]:
    import datumaro

    data = datumaro.Dataset.import_from(str(folder), kind)
    names = data.categories()[datumaro.AnnotationType.label]
    assert all(item.media.data.ndim == 3 for item in data)  # it finds the images, too
    found = [
        (item.id, names[one.label].name, one.image)
        for item in data
        for one in item.annotations
        if one.type == datumaro.AnnotationType.mask and not one.attributes.get("is_crowd")
    ]
    return [item.id for item in data], found


def supervision(folder: Path) -> tuple[list[str], list[Found]]:
    """Its reader of YOLO, which paints polygons with OpenCV's fillPoly."""
    import supervision as sv

    images: list[str] = []
    found: list[Found] = []
    for split in ("train", "val") if (folder / "images/train").is_dir() else ("",):
        data = sv.DetectionDataset.from_yolo(
            str(folder / "images" / split),
            str(folder / "labels" / split),
            str(folder / "data.yaml"),
            force_masks=True,
        )
        for path, _, instances in data:
            images.append(Path(path).stem)
            if instances.mask is not None:  # it is None where there are no instances
                pairs = zip(instances.class_id, instances.mask, strict=True)
                found += [(images[-1], data.classes[number], mask) for number, mask in pairs]
    return images, found


def opencv(folder: Path) -> tuple[list[str], list[Found]]:
    """Its reader of PNG (Pillow wrote them); what the numbers are stands in instances.jsonl."""
    import cv2

    images: list[str] = []
    found: list[Found] = []
    for line in (folder / "instances.jsonl").read_text(encoding="utf-8").splitlines():
        row = json.loads(line)
        images.append(Path(row["image"]).stem)
        numbers = cv2.imread(str(folder / "instances" / row["masks"]), cv2.IMREAD_UNCHANGED)
        found += [(images[-1], one["class"], numbers == one["number"]) for one in row["instances"]]
    return images, found


def labelme(folder: Path) -> tuple[list[str], list[Found]]:
    """Its own loader, and its own way to paint shapes."""
    import labelme as tool

    images: list[str] = []
    found: list[Found] = []
    for path in sorted(folder.rglob("*.json")):
        if "shapes" not in json.loads(path.read_text(encoding="utf-8")):  # the export's own account
            continue
        file = tool.LabelFile(str(path))
        images.append(path.stem)
        with tool.utils.img_data_to_pil(file.image_data) as image:
            size = image.height, image.width
        for shape in file.shapes:
            painted, _ = tool.utils.shapes_to_label(size, [shape], {shape["label"]: 1})
            found.append((path.stem, shape["label"], painted))
    return images, found


def label_studio(folder: Path) -> tuple[list[str], list[Found]]:
    """Its SDK's converter, with predictions taken over as annotations, as a person does with a click."""
    from label_studio_sdk.converter import Converter, brush

    converter = Converter(str(folder / "label_config.xml"), project_dir=None)
    tasks = json.loads((folder / "tasks.json").read_text(encoding="utf-8"))
    images: list[str] = []
    found: list[Found] = []
    for number, task in enumerate(tasks, start=1):
        images.append(Path(task["data"]["image"]).stem)
        predictions = task.pop("predictions")
        task.update(id=number, annotations=[{**one, "id": 1, "completed_by": {}} for one in predictions])
        with tempfile.NamedTemporaryFile("w", suffix=".json") as file:
            json.dump([task], file)
            file.flush()
            for item in converter.iter_from_json_file(file.name):
                for region in (one for regions in item["output"].values() for one in regions):
                    (mask,) = brush.decode_from_annotation("label", [region]).values()
                    found.append((images[-1], region["brushlabels"][0], mask))
    return images, found


def datasets(folder: Path) -> tuple[list[str], list[Found]]:
    """Hugging Face's reader of Parquet; it leaves run lengths to pycocotools."""
    from datasets import load_dataset
    from pycocotools import mask as coco

    with tempfile.TemporaryDirectory() as cache:

        def table(name: str) -> Any:
            files = str(folder / f"{name}.parquet")
            return list(load_dataset("parquet", data_files=files, cache_dir=cache)["train"])

        images = [Path(row["file_name"]).stem for row in table("images")]
        found = [
            (
                Path(row["file_name"]).stem,
                row["class"],
                coco.decode({"size": row["size"], "counts": row["counts"]}),
            )
            for row in table("instances")
        ]
    return images, found


READERS: dict[str, Callable[[Path], tuple[list[str], list[Found]]]] = {
    each.__name__: each
    for each in (
        pycocotools,
        datumaro_coco,
        datumaro_cvat,
        supervision,
        opencv,
        labelme,
        label_studio,
        datasets,
    )
}


def _rows(mask: Iterable[Any]) -> list[str]:
    return ["".join("1" if pixel else "0" for pixel in row) for row in np.asarray(mask)]


if __name__ == "__main__":
    images, found = READERS[sys.argv[1]](Path(sys.argv[2]))
    instances = [(image, name, _rows(mask)) for image, name, mask in found]
    sys.stdout.write("\n" + json.dumps({"images": sorted(images), "instances": instances}) + "\n")
