"""Reads COCO instances JSON: sparse category ids, crowds, mask areas, images without objects.

COCO boxes are [x, y, width, height] in pixels; they become [ymin, xmin, ymax, xmax] here.
"""

from __future__ import annotations

import math
import os
from collections import defaultdict
from typing import Any, NamedTuple

import numpy as np
from absl import logging

from edet.errors import UserError
from edet.files import read_json
from edet.geometry.boxes import xywh_to_yxyx
from edet.records.schema import Example, box_areas
from edet.records.sources.example_set import ExampleSet, Tally

_UNREADABLE = "dropped: bbox of four numbers, class or iscrowd missing or unreadable"


def read_coco(annotations_json: str, images_dir: str) -> ExampleSet:
    """Returns every image of the file, in its order, named by its id.

    Labels are the file's own category ids and names. If they start at 0, which COCO's never do,
    each id is written as id + 1 and a warning says so: id 0 would be a background class.

    Args:
      annotations_json: an instances file, such as instances_train2017.json; gs:// works.
      images_dir: the folder that the `file_name` of each image is relative to.

    Raises:
      UserError: the file is not JSON, lacks images, categories or one of their fields, or has two
        categories of one id.
    """
    data = _load(annotations_json)
    tally = Tally()
    try:
        labels = _labels(data["categories"], annotations_json)
        images = [_Image.of(item) for item in data["images"]]
        names = {image.id: image.name for image in images}
        objects = _objects_by_image(data.get("annotations") or [], names, tally)
    except UserError:  # which is a ValueError, and says already what is wrong
        raise
    except (AttributeError, KeyError, TypeError, ValueError, OverflowError) as error:
        raise UserError(
            f"{annotations_json} is not a COCO instances file: an entry of its images, categories "
            f"or annotations is wrong ({error!r})."
        ) from error
    shift = _shift(labels, annotations_json)
    examples, seen = [], set()
    for image in images:
        if image.id in seen:
            tally.image_problem(image.name, "dropped: image id is given twice", str(image.id))
            continue
        seen.add(image.id)
        path = os.path.join(images_dir, image.name)
        examples.append(_example(image, path, objects[image.id], shift))
    return ExampleSet(examples, {key + shift: name for key, name in labels.items()}, tally)


class _Image(NamedTuple):
    """One entry of "images"; -1 stands for a size that is not given."""

    id: int
    name: str
    height: int
    width: int

    @classmethod
    def of(cls, item: dict[str, Any]) -> _Image:
        sides = (int(item.get(side) or -1) for side in ("height", "width"))
        name = str(item["file_name"])
        name.encode()  # refuses half of a letter ("\ud83d"), which is in no file's name
        return cls(_id(item["id"]), name, *sides)


def _load(path: str) -> dict[str, Any]:
    data = read_json(path, "COCO annotations")
    if not isinstance(data, dict) or not {"images", "categories"} <= set(data):
        raise UserError(
            f"{path} has no images and categories; give a COCO instances file, such as "
            "instances_train2017.json."
        )
    return data


def _labels(categories: list[dict[str, Any]], path: str) -> dict[int, str]:
    """Returns {id: name}. Of two names for one id, nobody knows which its boxes mean."""
    labels: dict[int, str] = {}
    for item in categories:
        category, name = _category(item["id"]), str(item["name"])
        if labels.setdefault(category, name) != name:
            raise UserError(
                f"{path} has two categories of id {category}, {labels[category]!r} and {name!r}; "
                "give each an id of its own."
            )
    return labels


def _shift(labels: dict[int, str], path: str) -> int:
    """Returns what is added to each category id: 1 where they start at 0."""
    first = min(labels, default=1)
    if first < 0:
        raise UserError(f"{path} has the category id {first}; ids are 0 or more.")
    if first == 0:
        logging.warning("%s numbers its categories from 0; each is written as id + 1.", path)
    return int(first == 0)


def _objects_by_image(
    annotations: list[dict[str, Any]], names: dict[int, str], tally: Tally
) -> dict[int, list[tuple[list[float], int, bool, float]]]:
    """Returns {image id: [(xywh, category id, is crowd, area)]} of the annotations that are whole.

    An area of 0 stands for one that is not given.
    """
    objects = defaultdict(list)
    for item in annotations:
        image_id = _known(item.get("image_id"), names)
        if image_id is None:
            file = f"annotation {item.get('id')}"
            tally.box_problem(file, "dropped: its image is not in the file")
            continue
        file = names[image_id]
        try:
            xywh = [float(value) for value in item["bbox"]]
            # Of text, bool() is true whatever it says.
            found = (xywh, _category(item["category_id"]), bool(int(item.get("iscrowd") or 0)))
            if len(xywh) != 4:
                raise ValueError(f"bbox {xywh}")
            objects[image_id].append((*found, _area(item, file, tally)))
        except (KeyError, TypeError, ValueError, OverflowError) as error:
            detail = f"annotation {item.get('id')}: {error}"
            tally.box_problem(file, _UNREADABLE, detail=detail)
    return objects


def _id(value: Any) -> int:
    """Returns an id that the file gives as a number or as text; both are one id."""
    if isinstance(value, float) and not value.is_integer():
        raise ValueError(f"id {value}")
    return int(value)


def _area(item: dict[str, Any], file: str, tally: Tally) -> float:
    """Returns the area that is given, or 0: the box stands for an area that cannot be read."""
    try:
        area = float(item.get("area") or 0)
    except (TypeError, ValueError, OverflowError):
        area = math.nan
    if math.isfinite(area):
        return area
    detail = f"annotation {item.get('id')}: area {item['area']!r}"
    tally.box_problem(file, "area unreadable (that of the box taken)", detail=detail)
    return 0.0


def _category(value: Any) -> int:
    """Returns the id of a category, which records hold in 64 bits."""
    category = _id(value)
    if abs(category) >= 2**63 - 1:
        raise ValueError(f"category id {category} is too large")
    return category


def _known(value: Any, names: dict[int, str]) -> int | None:
    """Returns the id of an image of the file, or None where there is no such image."""
    try:
        image_id = _id(value)
    except (TypeError, ValueError):
        return None
    return image_id if image_id in names else None


def _example(
    image: _Image,
    path: str,
    objects: list[tuple[list[float], int, bool, float]],
    shift: int,
) -> Example:
    xywh, class_ids, crowd, areas = zip(*objects, strict=True) if objects else ((),) * 4
    boxes = xywh_to_yxyx(np.array(xywh, np.float64).reshape(-1, 4)).astype(np.float32)
    areas = np.array(areas, np.float32)
    return Example(
        image=path,
        source_id=str(image.id),
        boxes=boxes,
        class_ids=np.array(class_ids, np.int64) + shift,
        height=image.height,
        width=image.width,
        is_crowd=np.array(crowd, bool),
        areas=np.where(areas > 0, areas, box_areas(boxes)),
    )
