"""Reads LabelMe: a JSON beside each picture, or in a folder of its own, with the shapes of it.

LabelMe's own way is kept in two things: shapes of one label and one `group_id` are one object, and
`imagePath` starts from the JSON's folder. Pictures beside the JSONs that have none are those
without objects, since LabelMe saves nothing for them.
"""

from __future__ import annotations

import math
import posixpath
from typing import Any

from edet.files import read_json
from edet.records.sources.annotations import AnnotatedImage, AnnotatedObject, Annotations
from edet.records.sources.example_set import Tally
from edet.records.sources.folder import Folder, by_split, source_ids
from edet.records.sources.shapes import (
    JOINED,
    NO_BOX,
    NO_FILE,
    OUTLINE,
    ROTATED,
    Box,
    Seen,
    bounds,
    ellipse_bounds,
    pixels,
    read_files,
    read_objects,
    text,
)  # fmt: skip

_LINES = ("point", "points", "line", "linestrip")


def splits(folder: Folder) -> dict[str, tuple[str, ...]]:
    """Returns {split: its JSON files} of a folder; {} where there is none."""
    return by_split(folder.alike(folder.matching("*.json"), _is_labelme), posixpath.dirname)


def _is_labelme(head: str) -> bool:
    """Whether a head is LabelMe's; a picture within may be all of it but the first keys."""
    keys = ("shapes", "flags", "version", "imagePath", "imageData")
    has = {key: f'"{key}"' in head for key in keys}
    return head.lstrip().startswith("{") and (
        has["imageData"]
        or (has["shapes"] and (has["imagePath"] or (has["version"] and has["flags"])))
    )


def read(folder: Folder, split: str, files: tuple[str, ...]) -> Annotations:
    """Returns the annotations of one split; a JSON of something else is reported by name."""
    found = Annotations(folder.root, [], "xyxy", split=split)
    parsed = read_files(folder, files, _parse, found.tally)
    pictures = set(folder.pictures)
    beside = {posixpath.splitext(name)[0]: name for name in reversed(folder.pictures)}
    entries: dict[tuple[str, str], AnnotatedImage] = {}  # by path, and folder of the file
    for file, (image_path, shapes, height, width) in parsed.items():
        room = posixpath.dirname(file)
        name = posixpath.normpath(posixpath.join(room, image_path.replace("\\", "/")))
        if name not in pictures:  # both were renamed after they were saved
            name = beside.get(posixpath.splitext(file)[0], name)
        if (name, room) in entries:
            found.tally.image_problem(file, "dropped: second annotation file of a picture", name)
            continue
        objects = read_objects(file, _joined(shapes, file, found.tally), _seen, found.tally)
        as_told, base = (name, "") if name in pictures else (image_path, room)
        image = AnnotatedImage(as_told, name, objects, height, width, base=base, file=room)
        entries[name, room] = image
    stems = {posixpath.splitext(file)[0] for file in files}
    told = {name for name, _ in entries}
    own = {posixpath.dirname(name) for name in told & pictures}
    for name in folder.pictures:
        without = name not in told and posixpath.splitext(name)[0] not in stems
        without = without and not folder.only
        if without and posixpath.dirname(name) in own:
            found.tally.image_problem(name, NO_FILE)
            entries[name, ""] = AnnotatedImage(name, name, [])
    paths = list(dict.fromkeys(name for name, _ in entries))
    ids = dict(zip(paths, source_ids(paths), strict=True))
    found.images = [one._replace(source_id=ids[one.source_id]) for one in entries.values()]
    return found


def _parse(path: str) -> tuple[str, list[dict[str, Any]], int, int]:
    """Returns imagePath, shapes, height and width of one file."""
    data = read_json(path, "LabelMe annotation")
    shapes = data["shapes"]
    if not isinstance(shapes, list):
        raise ValueError("its shapes are no list")
    return (
        text(data.get("imagePath") or f"{posixpath.basename(path)[:-5]}.jpg"), shapes,
        pixels(data.get("imageHeight")), pixels(data.get("imageWidth")),
    )  # fmt: skip


def _joined(shapes: list[Any], file: str, tally: Tally) -> list[list[Any]]:
    """Returns the shapes of each object: those of one label and one group_id are one."""
    objects: dict[Any, list[Any]] = {}
    for number, shape in enumerate(shapes):
        group = shape.get("group_id") if isinstance(shape, dict) else None
        lone = group is None or shape.get("shape_type") in _LINES
        key = number if lone else (str(shape.get("label")), str(group))
        objects.setdefault(key, []).append(shape)
    joined = [parts for parts in objects.values() if len(parts) > 1]
    tally.box_problem(file, JOINED, len(joined))
    return list(objects.values())


def _seen(shapes: list[dict[str, Any]]) -> Seen:
    """Returns the shapes of one object as one box."""
    kinds = {shape.get("shape_type") or "polygon" for shape in shapes}
    if kinds & set(_LINES):
        return Seen(None, NO_BOX)
    boxes = [_box(shape) for shape in shapes]
    box = bounds([corner for box in boxes for corner in (box[:2], box[2:])])
    note = ""
    if kinds & {"rotation", "oriented_rectangle"}:
        note = ROTATED
    elif kinds != {"rectangle"}:
        note = OUTLINE
    return Seen(AnnotatedObject(text(shapes[0]["label"]), box), note)


def _box(shape: dict[str, Any]) -> Box:
    points, kind = shape["points"], shape.get("shape_type") or "polygon"
    if kind == "circle":  # its centre, and a point on it
        (x, y), edge = points
        radius = math.dist((x, y), edge)
        return ellipse_bounds(x, y, radius, radius)
    xmin, ymin, xmax, ymax = bounds(points)
    if kind == "mask":  # the first and the last of its pixels
        return xmin, ymin, xmax + 1, ymax + 1
    return xmin, ymin, xmax, ymax
