"""Tiny data sets on disk, each in the layout of the real one."""

import json
import pickle
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from maskpilot import masks
from maskpilot.types import Mask
from tests.evals.drawn import as_json, rectangle

SIZE = WIDTH, HEIGHT = 20, 10
LEFT, RIGHT = rectangle(0, 0, 5, 10, size=SIZE), rectangle(12, 2, 18, 8, size=SIZE)
LEFT_POLYGON, RIGHT_POLYGON = [0, 0, 5, 0, 5, 10, 0, 10], [12, 2, 18, 2, 18, 8, 12, 8]
CATEGORIES = [{"id": 1, "name": "cat"}, {"id": 2, "name": "traffic_light"}, {"id": 3, "name": "dog"}]


def picture(path: Path, size: tuple[int, int] = SIZE) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", size, "grey").save(path)


def write(path: Path, content: object) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content))
    return path


def annotation(identity: int, image: int, category: int, segmentation: object, **more: Any) -> dict[str, Any]:
    return {
        "id": identity,
        "image_id": image,
        "category_id": category,
        "segmentation": segmentation,
        "iscrowd": 0,
        **more,
    }


def coco(root: Path) -> Path:
    """Two images. On the first a cat and a crowd of dogs, on the second nothing."""
    for name in ("a.jpg", "b.jpg"):
        picture(root / "images" / name)
    images = [
        {"id": 1, "file_name": "a.jpg", "width": WIDTH, "height": HEIGHT},
        {"id": 2, "file_name": "b.jpg", "width": WIDTH, "height": HEIGHT},
    ]
    annotations = [
        annotation(10, 1, 1, [LEFT_POLYGON]),
        annotation(11, 1, 3, as_json(RIGHT), iscrowd=1),
    ]
    write(root / "instances.json", {"images": images, "annotations": annotations, "categories": CATEGORIES})
    return root


def lvis(root: Path) -> Path:
    """One image with a cat; no dog for certain; perhaps more cats."""
    picture(root / "val2017" / "a.jpg")
    image = {
        "id": 1,
        "coco_url": "http://images.cocodataset.org/val2017/a.jpg",
        "width": WIDTH,
        "height": HEIGHT,
        "neg_category_ids": [3],
        "not_exhaustive_category_ids": [1],
    }
    categories = [{**CATEGORIES[0], "synonyms": ["cat", "house_cat"]}, *CATEGORIES[1:]]
    annotations = [annotation(10, 1, 1, [LEFT_POLYGON])]
    write(
        root / "annotations" / "lvis_v1_val.json",
        {"images": [image], "annotations": annotations, "categories": categories},
    )
    return root


def reasonseg(root: Path) -> Path:
    """A long query with a part that is ignored, and a short one in the Windows code page without target."""
    for name in ("one", "two"):
        picture(root / "val" / f"{name}.jpg")
    shapes = [
        {"label": "target", "points": [[0, 0], [9, 0], [9, 9], [0, 9]]},
        {"label": "Ignore this", "points": [[0, 0], [2, 0], [2, 2], [0, 2]]},
        {"label": "flag", "points": [[15, 0], [19, 0], [19, 9]]},
    ]
    text = ["What does one sleep on?", "another wording"]
    write(root / "val" / "one.json", {"text": text, "is_sentence": True, "shapes": shapes})
    short = json.dumps({"text": ["caf\xe9"], "is_sentence": False, "shapes": []}, ensure_ascii=False)
    (root / "val" / "two.json").write_bytes(short.encode("cp1252"))
    return root


def refs() -> list[dict[str, Any]]:
    return [
        {
            "ref_id": 5,
            "ann_id": 10,
            "image_id": 1,
            "split": "val",
            "file_name": "COCO_train2014_000000000001_10.jpg",
            "sentences": [
                {"sent_id": 50, "sent": "the left one", "raw": "The left one!"},
                {"sent_id": 51, "sent": "not the right one", "raw": "not the right one"},
            ],
        },
        {
            "ref_id": 6,
            "ann_id": 11,
            "image_id": 1,
            "split": "testA",
            "sentences": [{"sent_id": 52, "sent": "the right one", "raw": "the right one"}],
        },
    ]


def refer_instances(folder: Path, pictures: Path) -> None:
    picture(pictures / "COCO_train2014_000000000001.jpg")
    images = [{"id": 1, "file_name": "COCO_train2014_000000000001.jpg", "width": WIDTH, "height": HEIGHT}]
    annotations = [annotation(10, 1, 1, [LEFT_POLYGON]), annotation(11, 1, 1, [RIGHT_POLYGON])]
    write(folder / "instances.json", {"images": images, "annotations": annotations, "categories": CATEGORIES})


def refcoco(root: Path, name: str = "refcoco", partition: str = "unc") -> Path:
    refer_instances(root / name, root / "images" / "mscoco" / "images" / "train2014")
    # Protocol 0 is what Python 2 wrote.
    (root / name / f"refs({partition}).p").write_bytes(pickle.dumps(refs(), protocol=0))
    return root


def grefcoco(root: Path) -> Path:
    """One expression of both objects, one of none."""
    refer_instances(root / "grefcoco", root / "train2014")
    both, none = (
        {
            "ref_id": number,
            "ann_id": targets,
            "image_id": 1,
            "split": "val",
            "no_target": not targets or targets == [-1],
            "sentences": [{"sent_id": number + 50, "sent": sentence, "raw": sentence}],
        }
        for number, targets, sentence in ((5, [10, 11], "both"), (6, [-1], "the elephant"))
    )
    write(root / "grefcoco" / "grefs(unc).json", [both, none])
    return root


def gold(root: Path) -> Path:
    """Two pairs on one image, and one that two annotators could not finish; a saw more than b and c."""
    picture(root / "metaclip-images" / "1" / "x.jpg")
    for annotator, present in (("a", True), ("b", False), ("c", False)):
        images = [
            {
                "id": pair,
                "file_name": "1/x.jpg",
                "text_input": phrase,
                "width": WIDTH,
                "height": HEIGHT,
                "is_instance_exhaustive": int(pair != 102 or present),
            }
            for pair, phrase in ((100, "red cup"), (101, "elephant"), (102, "leaf"))
        ]
        annotations = [annotation(1, 100, 1, as_json(LEFT), bbox=[0, 0, 0.25, 1])]
        if present:
            annotations.append(annotation(2, 100, 1, as_json(RIGHT), bbox=[0.6, 0.2, 0.3, 0.6]))
        write(
            root / "gt-annotations" / f"gold_metaclip_merged_{annotator}_release_test.json",
            {"images": images, "annotations": annotations, "categories": [{"id": 1, "name": "object"}]},
        )
    return root


def folder(root: Path) -> Path:
    """Two instances in one mask image, a query that nothing matches, and one with ignored pixels."""
    picture(root / "images" / "a.jpg")
    mask_image(root / "masks" / "both.png", LEFT, RIGHT)
    mask_image(root / "masks" / "left.png", LEFT)
    mask_image(root / "masks" / "right.png", RIGHT)
    lines = [
        {"image": "a.jpg", "query": "things", "mask": "both.png", "tags": {"kind": "plural"}},
        {"image": "a.jpg", "query": "elephants", "mask": None, "id": "no elephants!"},
        {
            "image": "a.jpg",
            "query": "left",
            "mask": ["left.png"],
            "ignore": "right.png",
            "phrases": ["thing"],
        },
    ]
    (root / "queries.jsonl").write_text("\n".join(json.dumps(line) for line in lines) + "\n\n")
    return root


def mask_image(path: Path, *instances: Mask) -> None:
    values = np.zeros((instances[0].height, instances[0].width), np.uint8)
    for value, mask in enumerate(instances, start=1):
        values[masks.decode(mask)] = value
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(values).save(path)
