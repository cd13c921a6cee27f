"""One small data set whose boxes are known: what tools/checks/annotation_tools.py has written.

Five oblong photos with all that conversions lose: ids with gaps (classes 3, 17, 90), a class and a
file with a space in their names, a picture without objects, a crowd (a run-length mask), a photo
that its EXIF tag turns, an object whose outline has two parts, and boxes between whole pixels.

Boxes are [ymin, xmin, ymax, xmax] in pixels of the photo as it is displayed.
"""

from __future__ import annotations

import json
import pathlib
from typing import Any

import numpy as np
from PIL import Image, ImageFilter

Truth = dict[str, Any]  # "classes": {id: name}, "photos": [{id, file, height, width, objects}]

_CLASSES = {"3": "person", "17": "traffic light", "90": "dog"}
_TURNED_LEFT = 6  # EXIF: turn the stored pixels by 90 degrees clockwise to display them
_ORIENTATION = 0x0112
# Of the dog: its front and its back, with a tree before it. The box spans both.
_PARTS = [[20, 10, 60, 10, 60, 40, 20, 40], [30, 55, 80.5, 55, 80.5, 90, 30, 90]]
# Photo: (id, height, width, [(class, box)]).
_PHOTOS: dict[str, tuple[int, int, int, list[tuple[int, list[float]]]]] = {
    "street.jpg": (17, 96, 160, [
        (3, [20.5, 10.25, 70.75, 40.5]), (17, [8, 100.5, 40.25, 120]), (3, [30, 130.5, 96, 160]),
    ]),
    "two dogs.jpg": (3, 140, 100, [(90, [10, 20, 90, 80.5]), (90, [95.25, 5, 135, 60.75])]),
    "empty.jpg": (90, 48, 80, []),
    "turned.jpg": (42, 120, 80, [(90, [10.5, 20, 60, 70.25]), (3, [70, 2.5, 118, 30])]),
    "crowd.jpg": (5, 96, 128, [
        (3, [40, 8, 90, 120]), (17, [4, 6.5, 30.5, 20]), (3, [35, 60, 80, 75.5]),
    ]),
}  # fmt: skip


def make_truth(folder: pathlib.Path, seed: int) -> Truth:
    """Writes photos/*.jpg, truth.json, and the same as COCO instances in coco.json.

    Args:
      folder: of all three.
      seed: of the colours and the grain.
    """
    rng = np.random.default_rng(seed)
    photos = []
    for name, (photo_id, height, width, boxes) in _PHOTOS.items():
        objects = [{"class": class_id, "box": box, "crowd": False} for class_id, box in boxes]
        photo = {"id": photo_id, "file": name, "height": height, "width": width}
        photos.append(photo | {"objects": objects})
    photos[1]["objects"][0]["outline"] = _PARTS
    photos[4]["objects"][0]["crowd"] = True
    truth = {"classes": _CLASSES, "photos": photos}
    (folder / "photos").mkdir(parents=True)
    for photo in photos:
        _draw(photo, rng).save(
            folder / "photos" / photo["file"], quality=40, exif=_exif(photo["file"])
        )
    (folder / "truth.json").write_text(json.dumps(truth, indent=1))
    (folder / "coco.json").write_text(json.dumps(_as_coco(truth), indent=1))
    return truth


def _draw(photo: dict[str, Any], rng: np.random.Generator) -> Image.Image:
    """A smooth ground with a block of colour in each box, stored as the EXIF tag wants it."""
    sides = (photo["width"], photo["height"])
    ground = Image.fromarray(rng.integers(60, 200, (4, 4, 3), np.uint8))
    picture = ground.resize(sides, Image.Resampling.BICUBIC)
    for item in photo["objects"]:
        ymin, xmin, ymax, xmax = (round(side) for side in item["box"])
        picture.paste(tuple(rng.integers(0, 256, 3).tolist()), (xmin, ymin, xmax, ymax))
    picture = picture.filter(ImageFilter.GaussianBlur(1))
    return picture.rotate(90, expand=True) if photo["file"] == "turned.jpg" else picture


def _exif(name: str) -> Image.Exif:
    exif = Image.Exif()
    if name == "turned.jpg":
        exif[_ORIENTATION] = _TURNED_LEFT
    return exif


def _as_coco(truth: Truth) -> dict[str, Any]:
    images, annotations = [], []
    for photo in truth["photos"]:
        sides = {"height": photo["height"], "width": photo["width"]}
        images.append({"id": photo["id"], "file_name": photo["file"], **sides})
        for item in photo["objects"]:
            ymin, xmin, ymax, xmax = item["box"]
            annotation = {
                "id": 11 * (len(annotations) + 1),
                "image_id": photo["id"],
                "category_id": item["class"],
                "bbox": [xmin, ymin, xmax - xmin, ymax - ymin],
                "iscrowd": int(item["crowd"]),
                "segmentation": item.get("outline")
                or [[xmin, ymin, xmax, ymin, xmax, ymax, xmin, ymax]],
                "area": float((ymax - ymin) * (xmax - xmin)),
            }
            if "outline" in item:
                annotation["area"] = sum(_area(part) for part in item["outline"])
            if item["crowd"]:
                annotation["segmentation"] = _rle(item["box"], photo["height"], photo["width"])
            annotations.append(annotation)
    categories = [{"id": int(key), "name": name} for key, name in truth["classes"].items()]
    return {"images": images, "categories": categories, "annotations": annotations}


def _area(part: list[float]) -> float:
    """Of a polygon [x, y, x, y, ...], by its corners."""
    x, y = np.array(part[::2]), np.array(part[1::2])
    return float(abs(np.dot(x, np.roll(y, 1)) - np.dot(y, np.roll(x, 1))) / 2)


def _rle(box: list[float], height: int, width: int) -> dict[str, Any]:
    """The box as COCO's run-length mask: pixels off, on, off, ... down the columns."""
    mask = np.zeros((width, height), bool)
    ymin, xmin, ymax, xmax = (int(side) for side in box)
    mask[xmin:xmax, ymin:ymax] = True
    changes = np.flatnonzero(np.diff(mask.ravel())) + 1
    return {
        "size": [height, width],
        "counts": np.diff([0, *changes.tolist(), mask.size]).tolist(),
    }
