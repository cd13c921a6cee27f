"""Reads Supervisely's projects (and Dataset Ninja's): a JSON in `ann` for each picture in `img`.

The files of its SDK hold whole pixels, the last one included, so that an object ends a pixel behind
the largest number; numbers with fractions, as the labelling tool draws, are sides themselves.
"""

from __future__ import annotations

import base64
import io
import math
import posixpath
import zlib
from typing import Any

from PIL import Image

from edet.files import read_json
from edet.records.sources.annotations import AnnotatedImage, AnnotatedObject, Annotations
from edet.records.sources.folder import Folder, by_split, key_of, source_ids
from edet.records.sources.shapes import (
    NO_BOX,
    OUTLINE,
    ROTATED,
    Box,
    Seen,
    bounds,
    pixels,
    read_files,
    read_objects,
    rotated_bounds,
    text,
)  # fmt: skip

_NO_BOX = ("point", "line", "polyline", "graph")
_KEYS = ("objects", "size", "tags")
_LARGEST = 1 << 24  # bytes of a mask's PNG


def splits(folder: Folder) -> dict[str, tuple[str, ...]]:
    """Returns {split: its JSON files} of a folder; {} where there is none."""
    names = folder.alike(folder.matching("ann/*.json", "*/ann/*.json"), _is_supervisely)
    return by_split(names, posixpath.dirname)


def _is_supervisely(head: str) -> bool:
    """Whether a head is of a picture's file: outlines may be longer than a head."""
    has_object = '"classTitle"' in head or '"geometryType"' in head
    return head.lstrip().startswith("{") and (
        has_object or all(f'"{key}"' in head for key in _KEYS)
    )


def read(folder: Folder, split: str, files: tuple[str, ...]) -> Annotations:
    """Returns the annotations of one split; a JSON of something else is reported by name."""
    found = Annotations(folder.root, [], "xyxy", split=split)
    pictures = {file: _picture(file) for file in files}
    parsed = read_files(folder, files, _parse, found.tally)
    annotated = set(map(key_of, pictures.values()))
    own = set(map(posixpath.dirname, pictures.values()))
    for name in folder.pictures:
        without = not {key_of(name), key_of(posixpath.splitext(name)[0])} & annotated
        if without and posixpath.dirname(name) in own and not folder.only:
            found.tally.image_problem(name, "dropped: picture without its annotation file")
    ids = source_ids([_picture(file, room="") for file in parsed])
    for (file, data), source_id in zip(parsed.items(), ids, strict=True):
        objects = read_objects(file, data["objects"], _seen, found.tally)
        size = (pixels(data["size"].get(side)) for side in ("height", "width"))
        found.images.append(AnnotatedImage(pictures[file], source_id, objects, *size))
    return found


def _picture(file: str, room: str = "img") -> str:
    """Returns the picture of dataset/ann/a.jpg.json: dataset/img/a.jpg."""
    ann, name = posixpath.split(file)
    return posixpath.join(posixpath.dirname(ann), room, name[: -len(".json")])


def _parse(path: str) -> dict[str, Any]:
    """Returns one file.

    Raises:
      UserError: it is no JSON; one of WRONG: it is something else's.
    """
    data = read_json(path, "Supervisely annotation")
    if not isinstance(data["objects"], list) or not isinstance(data["size"], dict):
        raise ValueError("it has no list of objects")
    return data


def _seen(entry: dict[str, Any]) -> Seen:
    kind, label = entry.get("geometryType"), text(entry["classTitle"])
    if kind in _NO_BOX:
        return Seen(None, NO_BOX)
    if mask := entry.get("bitmap"):
        return Seen(AnnotatedObject(label, _mask_bounds(mask)), OUTLINE)
    box = _ends(_points(entry))
    if kind == "oriented_bbox":
        box = rotated_bounds(box, math.degrees(float(entry.get("angle") or 0)))
        return Seen(AnnotatedObject(label, box), ROTATED)
    return Seen(AnnotatedObject(label, box), "" if kind == "rectangle" else OUTLINE)


def _points(entry: dict[str, Any]) -> list[Any]:
    """Returns the points of an object, of all parts of an outline, or of a cuboid."""
    if "vertices" in entry:
        return [one["loc"] for one in entry["vertices"].values()]
    if "parts" in entry:
        return [point for part in entry["parts"] for point in part["exterior"]]
    points = entry["points"]
    return points["exterior"] if isinstance(points, dict) else points


def _ends(points: list[Any]) -> Box:
    """Returns the sides around points, which are pixels if all are whole numbers."""
    xmin, ymin, xmax, ymax = bounds(points)
    whole = all(float(value).is_integer() for point in points for value in point)
    return xmin, ymin, xmax + whole, ymax + whole


def _mask_bounds(mask: dict[str, Any]) -> Box:
    """Returns the sides around the pixels of a mask: a PNG, packed once more, and where it lies.

    Raises:
      ValueError: it is damaged, or has no pixel.
    """
    x, y = map(float, mask["origin"])
    try:
        packed = base64.b64decode(mask["data"], validate=True)
        png = zlib.decompressobj().decompress(packed, _LARGEST)
        with Image.open(io.BytesIO(png), formats=["PNG"]) as picture:
            drawn = picture.getchannel("A") if picture.mode in ("RGBA", "LA") else picture
            box = drawn.getbbox()
    except (OSError, SyntaxError, zlib.error, Image.DecompressionBombError) as error:
        raise ValueError("its mask is damaged") from error
    if not box:
        raise ValueError("its mask has no pixel")
    return x + box[0], y + box[1], x + box[2], y + box[3]
