"""Reads V7's Darwin JSON 2.0: a file for each item, as `darwin dataset pull` lays them.

A box is x, y, w, h in pixels. The folder of an item in V7 is where its picture lies below
`images`, and names the split, since all files lie in one folder.
"""

from __future__ import annotations

import concurrent.futures
import posixpath
import re
from typing import Any

from edet.files import read_json
from edet.records.sources.annotations import AnnotatedImage, AnnotatedObject, Annotations
from edet.records.sources.folder import Folder, by_split, is_picture, source_ids
from edet.records.sources.shapes import (
    NO_BOX,
    OUTLINE,
    Box,
    Seen,
    bounds,
    ellipse_bounds,
    pixels,
    read_files,
    read_objects,
    text,
)  # fmt: skip

_ITEM = re.compile(r'"item"\s*:\s*\{')
_PATH = re.compile(r'"item"\s*:\s*\{.*?"path"\s*:\s*"([^"]*)"', re.DOTALL)
# Pictures lie in images, beside annotations or beside the releases that these are a part of.
_ROOM = re.compile(r"(^|/)(releases/.*)?annotations$")
_NO_BOX = ("keypoint", "line", "skeleton", "graph", "eye")
_NO_OBJECT = ("tag", "raster_layer", "string")  # of the picture, of masks, of other objects
_MASK = "dropped: mask of a class (it may be of several objects)"
_TURNED = "dropped: turned ellipse (no text says in which unit)"


def splits(folder: Folder) -> dict[str, tuple[str, ...]]:
    """Returns {split: its JSON files} of a folder; {} where there is none."""
    names = folder.alike(folder.matching("*.json"), _is_darwin)
    with concurrent.futures.ThreadPoolExecutor(16) as pool:
        found = list(map(_PATH.search, pool.map(folder.head, names)))
    paths = {name: path[1] if path else "" for name, path in zip(names, found, strict=True)}
    return by_split(names, lambda name: f"{posixpath.dirname(name)}/{paths[name]}")


def _is_darwin(head: str) -> bool:
    return head.lstrip().startswith("{") and bool(
        _ITEM.search(head) and ("darwin_json" in head or '"slots"' in head)
    )


def read(folder: Folder, split: str, files: tuple[str, ...]) -> Annotations:
    """Returns the annotations of one split; a JSON of something else is reported by name."""
    found = Annotations(folder.root, [], "xyxy", split=split)
    parsed = read_files(folder, files, _parse, found.tally)
    ids = source_ids([name for name, *_ in parsed.values()])
    for (file, (name, size, things)), source_id in zip(parsed.items(), ids, strict=True):
        things = [thing for thing in things if not _has_key(thing, _NO_OBJECT)]
        objects = read_objects(file, things, _seen, found.tally)
        base = _ROOM.sub(r"\1images", posixpath.dirname(file))
        found.images.append(AnnotatedImage(name, source_id, objects, *size, base=base))
    return found


def _parse(path: str) -> tuple[str, tuple[int, int], list[Any]]:
    """Returns the picture of one file, its height and width, and its annotations.

    Raises:
      UserError: it is no JSON; one of WRONG: it is something else's, or not of one picture.
    """
    data = read_json(path, "Darwin annotations")
    item, things = data["item"], data["annotations"]
    slots = item.get("slots") or []
    if not isinstance(things, list):
        raise ValueError("its annotations are no list")
    if len(slots) > 1:
        raise ValueError(f"it is of {len(slots)} slots, not of one picture")
    slot = slots[0] if slots else {}
    name, kind = text(item["name"]), slot.get("type", "image")
    if kind != "image" and not is_picture(name):  # a frame keeps the type of its video
        raise ValueError(f"it is no picture but a {kind}; have its frames pulled")
    name = posixpath.join((item.get("path") or "").strip("/"), name)
    return name, (pixels(slot.get("height")), pixels(slot.get("width"))), things


def _has_key(thing: Any, keys: tuple[str, ...]) -> bool:
    return isinstance(thing, dict) and any(key in thing for key in keys)


def _seen(thing: dict[str, Any]) -> Seen:
    label = text(thing["name"])
    if _has_key(thing, _NO_BOX):
        return Seen(None, NO_BOX)
    if "mask" in thing:
        return Seen(None, _MASK)
    if "ellipse" in thing and float(thing["ellipse"].get("angle") or 0):
        return Seen(None, _TURNED)
    box, note = _box(thing)
    return Seen(AnnotatedObject(label, box), note)


def _box(thing: dict[str, Any]) -> tuple[Box, str]:
    """Returns the sides of an object, and what is to be said of them."""
    if "polygon" in thing:  # whose bounding_box its own library leaves empty
        paths = thing["polygon"].get("paths") or [thing["polygon"]["path"]]
        return bounds((point["x"], point["y"]) for path in paths for point in path), OUTLINE
    if "ellipse" in thing:
        centre, radius = thing["ellipse"]["center"], thing["ellipse"]["radius"]
        numbers = (float(pair[axis]) for pair in (centre, radius) for axis in "xy")
        return ellipse_bounds(*numbers), OUTLINE
    if "cuboid" in thing:
        faces = [_sides(thing["cuboid"][face]) for face in ("front", "back")]
        return bounds(corner for face in faces for corner in (face[:2], face[2:])), OUTLINE
    if "bounding_box" not in thing:
        raise ValueError(f"its keys {', '.join(thing)} are of no shape that edet knows")
    return _sides(thing["bounding_box"]), ""


def _sides(box: dict[str, Any]) -> Box:
    """Returns the sides of a box of x, y, w, h."""
    x, y, width, height = (float(box[key]) for key in "xywh")
    return x, y, x + width, y + height
