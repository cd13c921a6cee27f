"""Reads Datumaro's own JSON (its format `datumaro`, CVAT, Geti): a file for each subset.

A box is [x, y, width, height] in pixels, a class the number of its place in the list of labels.
What has one group and one class is one object: an outline, a mask, and the box around them.
"""

from __future__ import annotations

import posixpath
import re
from typing import Any

from edet.errors import UserError
from edet.files import read_json
from edet.records.sources.annotations import AnnotatedImage, AnnotatedObject, Annotations
from edet.records.sources.coco import outline_bounds
from edet.records.sources.folder import Folder, by_split
from edet.records.sources.joining import joined
from edet.records.sources.shapes import (
    BAD_IMAGE,
    JOINED,
    NO_BOX,
    OUTLINE,
    ROTATED,
    WRONG,
    Box,
    Seen,
    bounds,
    flag,
    in_words,
    pixels,
    read_objects,
    rotated_bounds,
    text,
)  # fmt: skip

# A version comes first; files before the first version have none, but classes under their kinds.
_HEAD = re.compile(r'"dm_format_version"\s*:|"categories"\s*:\s*\{\s*"label"\s*:\s*\{')
_OTHER_MEDIA = ("video", "video_frame", "point_cloud")
_OUTLINES = ("polygon", "mask", "ellipse", "cuboid_2d")
_NO_BOX = ("points", "polyline")
_OF_THE_PICTURE = ("label", "caption")
_BESIDE = "outline beside the box of its group (the box taken)"


def splits(folder: Folder) -> dict[str, tuple[str, ...]]:
    """Returns {split: its JSON files} of a folder; {} where there is none."""
    # Only where one is found are all heads read: other tools write a JSON for each picture.
    names = folder.alike(folder.matching("*.json"), _is_datumaro)
    return by_split(name for name in names if _is_datumaro(folder.head(name)))


def _is_datumaro(head: str) -> bool:
    return head.lstrip().startswith("{") and bool(_HEAD.search(head))


def read(folder: Folder, split: str, files: tuple[str, ...]) -> Annotations:
    """Returns the annotations of one split.

    Raises:
      UserError: a file is not JSON, or has no classes or no items.
    """
    return joined([_read(folder, split, file) for file in files])


def _read(folder: Folder, split: str, file: str) -> Annotations:
    path = folder.path(file)
    data = read_json(path, "Datumaro annotations", kind=dict)
    try:
        labels = [text(label["name"]) for label in data["categories"]["label"]["labels"]]
        items = list(data["items"])
    except WRONG as error:
        raise UserError(
            f"{path} has no classes or no items ({in_words(error)}); export it from Datumaro once "
            "more, as the format datumaro."
        ) from error
    found = Annotations(path, [], "xywh", labels=dict(enumerate(labels)), split=split)
    found.base = _pictures_of(file)
    for number, item in enumerate(items, start=1):
        try:
            image, things = _item(item)
        except WRONG as error:
            found.tally.image_problem(f"item {number} of {file}", BAD_IMAGE, in_words(error))
            continue
        objects = read_objects(image.name, things, _seen, found.tally)
        found.images.append(image._replace(objects=objects))
    return found


def _pictures_of(file: str) -> str:
    """Returns the folder of a file's pictures: images/train of annotations/train.json."""
    room, name = posixpath.split(file)
    if posixpath.basename(room) != "annotations":
        return room
    return posixpath.join(posixpath.dirname(room), "images", posixpath.splitext(name)[0])


def _item(item: dict[str, Any]) -> tuple[AnnotatedImage, list[list[Any]]]:
    """Returns the picture of an item, without objects, and the parts of each of its objects."""
    if other := next((key for key in _OTHER_MEDIA if key in item), ""):
        raise ValueError(f"it is no picture but a {other}")
    image = item.get("image") or {}  # none where the pictures were not part of the set
    source_id, size = text(item["id"]), image.get("size") or (-1, -1)
    height, width = map(pixels, size)
    name = text(image.get("path") or source_id)
    return AnnotatedImage(name, source_id, [], height, width), _objects(item["annotations"])


def _objects(annotations: list[Any]) -> list[list[Any]]:
    """Returns the parts of each object.

    A group of several boxes is one of objects, such as people, not one of an object's parts.
    """
    groups: dict[Any, list[Any]] = {}
    for number, part in enumerate(annotations):
        if _kind(part) in _OF_THE_PICTURE:
            continue
        group = part.get("group") if _kind(part) in ("bbox", *_OUTLINES) else None
        key = (str(part.get("label_id")), str(group)) if group else number
        groups.setdefault(key, []).append(part)
    objects = []
    for parts in groups.values():
        boxes = sum(_kind(part) == "bbox" for part in parts)
        objects += [[part] for part in parts] if boxes > 1 else [parts]
    return objects


def _kind(part: Any) -> Any:
    return part.get("type") if isinstance(part, dict) else None


def _seen(parts: list[dict[str, Any]]) -> Seen:
    """Returns the parts of one object as one box."""
    first, kinds = parts[0], [part["type"] for part in parts]
    if kinds[0] in _NO_BOX:
        return Seen(None, NO_BOX)
    label = first.get("label_id")
    if isinstance(label, bool) or not isinstance(label, int):
        raise ValueError(f"its label_id {label!r} is no number of a class")
    is_crowd = any(flag((part.get("attributes") or {}).get("is_crowd")) for part in parts)
    if "bbox" in kinds:
        box, note = _box(parts[kinds.index("bbox")])
        note = note or (_BESIDE if len(parts) > 1 else "")
        return Seen(AnnotatedObject(label, box, is_crowd), note)
    outlines = map(_outline, parts)
    xmin, ymin, xmax, ymax = bounds(corner for box in outlines for corner in (box[:2], box[2:]))
    box = (xmin, ymin, xmax - xmin, ymax - ymin)
    return Seen(AnnotatedObject(label, box, is_crowd), JOINED if len(parts) > 1 else OUTLINE)


def _box(part: dict[str, Any]) -> tuple[Box, str]:
    """Returns x, y, width, height of a box, and what is to be said of it.

    CVAT's boxes are turned clockwise about their centres, by an attribute in degrees.
    """
    sides, degrees = part["bbox"], (part.get("attributes") or {}).get("rotation")
    if not isinstance(sides, list) or len(sides) != 4:
        raise ValueError(f"its bbox {sides!r} is not [x, y, width, height]")
    x, y, width, height = map(float, sides)
    if not isinstance(degrees, int | float) or not degrees % 360:
        return (x, y, width, height), ""
    xmin, ymin, xmax, ymax = rotated_bounds((x, y, x + width, y + height), degrees)
    return (xmin, ymin, xmax - xmin, ymax - ymin), ROTATED


def _outline(part: dict[str, Any]) -> Box:
    """Returns the sides around an outline, or around the pixels of a mask."""
    if part["type"] not in _OUTLINES:
        raise ValueError(f"{part['type']!r} is no shape that edet knows")
    if part["type"] == "mask":
        x, y, width, height = outline_bounds(part["rle"])
        return x, y, x + width, y + height
    points = part["points"]
    if not isinstance(points[0], list):  # of an ellipse, two corners of the box around it
        points = list(zip(points[::2], points[1::2], strict=True))
    return bounds(points)
