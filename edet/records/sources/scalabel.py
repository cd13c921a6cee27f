"""Reads Scalabel's JSON, as BDD100K has it: a list of frames with labels, or a file for each.

A box2d ends with its last pixel, since Scalabel's own library says so and adds one wherever it
converts to other formats: so does this. Outlines and masks are read where there is no box2d.
"""

from __future__ import annotations

import posixpath
import re
from typing import Any

from edet.files import read_json
from edet.records.sources.annotations import AnnotatedImage, AnnotatedObject, Annotations
from edet.records.sources.coco import outline_bounds
from edet.records.sources.folder import Folder, by_split, usual_split
from edet.records.sources.shapes import (
    BAD_IMAGE,
    NO_BOX,
    OUTLINE,
    WRONG,
    Box,
    Seen,
    bounds,
    flag,
    in_words,
    pixels,
    read_files,
    read_objects,
    text,
)  # fmt: skip

_DRAWN = re.compile(r'"(box2d|poly2d)"\s*:')
_CROWDS = ("crowd", "ignored")  # both are crowds in what its own library makes of them
_ELSEWHERE = "dropped: label without box2d, poly2d or rle (a cuboid, key points, a tag)"
_UNCLEAR = "dropped: poly2d that does not say whether it is closed (BDD100K of 2018)"


def splits(folder: Folder) -> dict[str, tuple[str, ...]]:
    """Returns {split: its JSON files} of a folder; {} where there is none."""
    names = folder.alike(folder.matching("*.json"), _is_scalabel)
    return by_split(names, _place)


def _is_scalabel(head: str) -> bool:
    return head.lstrip()[:1] in ("[", "{") and bool(_DRAWN.search(head))


def _place(name: str) -> str:
    """The folder of a file where that names a split: pictures have words of their own."""
    room = posixpath.dirname(name)
    return room if usual_split(room) else name


def read(folder: Folder, split: str, files: tuple[str, ...]) -> Annotations:
    """Returns the annotations of one split; a JSON of something else is reported by name."""
    found = Annotations(folder.path(files[0]), [], "xyxy", split=split)
    for file, (frames, size) in read_files(folder, files, _parse, found.tally).items():
        for number, frame in enumerate(frames, start=1):
            try:
                image, labels = _picture(frame, size)
            except WRONG as error:
                found.tally.image_problem(f"frame {number} of {file}", BAD_IMAGE, in_words(error))
                continue
            objects = read_objects(image.name, labels, _seen, found.tally)
            base = posixpath.dirname(file)
            found.images.append(image._replace(objects=objects, base=base))
    return found


def _parse(path: str) -> tuple[list[Any], dict[str, Any]]:
    """Returns the frames of one file, and the size that all have which give none.

    Raises:
      UserError: it is no JSON; one of WRONG: it is something else's, or not of one picture.
    """
    data = read_json(path, "Scalabel labels")
    if isinstance(data, list):
        return data, {}
    if "labels" in data:
        return [data], {}
    frames, size = data["frames"], (data.get("config") or {}).get("imageSize")
    if not isinstance(frames, list):
        raise ValueError("its frames are no list")
    if "name" in data:  # BDD100K of 2018: a file for each picture
        if len(frames) != 1:
            raise ValueError(f"it has {len(frames)} frames, not one picture")
        frames = [{"name": data["name"], "labels": frames[0]["objects"]}]
    return frames, size or {}


def _picture(frame: Any, size: dict[str, Any]) -> tuple[AnnotatedImage, list[Any]]:
    """Returns the picture of a frame, without objects, and its labels."""
    name, video = text(frame["name"]), frame.get("videoName") or ""
    path = name if str(video) in name else f"{text(video)}/{name}"  # others may have such a frame
    size, labels = frame.get("size") or size, frame.get("labels") or []
    if not isinstance(labels, list):
        raise ValueError("its labels are no list")
    sides = pixels(size.get("height")), pixels(size.get("width"))
    return AnnotatedImage(path, name, [], *sides), labels


def _seen(label: dict[str, Any]) -> Seen:
    name = text(label["category"])
    is_crowd = any(flag((label.get("attributes") or {}).get(key)) for key in _CROWDS)
    if label.get("box2d"):
        return Seen(AnnotatedObject(name, _sides(label["box2d"]), is_crowd))
    if label.get("poly2d"):
        return _outlined(label["poly2d"], name, is_crowd)
    if label.get("rle"):
        x, y, width, height = outline_bounds(label["rle"])
        return Seen(AnnotatedObject(name, (x, y, x + width, y + height), is_crowd), OUTLINE)
    return Seen(None, _ELSEWHERE)


def _outlined(parts: list[Any], name: str, is_crowd: bool) -> Seen:
    """Returns the bounds of the outlines among some parts; the others are lines, such as lanes."""
    if not all(isinstance(part, dict) for part in parts):
        return Seen(None, _UNCLEAR)
    closed = [part["vertices"] for part in parts if part["closed"]]
    if not closed:
        return Seen(None, NO_BOX)
    box = bounds(point for vertices in closed for point in vertices)
    return Seen(AnnotatedObject(name, box, is_crowd), OUTLINE)


def _sides(box: dict[str, Any]) -> Box:
    """Returns the sides of a box whose last pixels are part of it."""
    corners = (box["x1"], box["y1"]), (box["x2"], box["y2"])
    xmin, ymin, xmax, ymax = bounds(corners)
    return xmin, ymin, xmax + 1, ymax + 1
