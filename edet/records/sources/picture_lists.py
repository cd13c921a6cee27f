"""Reads texts of many pictures, with their boxes: WIDER FACE's, and keras-yolo3's.

WIDER FACE has the name of a picture, the number of its faces, and a line for each, `x y width
height` and six flags, of which the fourth marks faces that cannot be told: crowds here. Where there
is none, a line of zeros may follow; CVAT and datumaro name a class before the flags. keras-yolo3
(Roboflow's "YOLO v4 PyTorch" and "YOLO v3 Keras") has a line for each picture: its path, and
`x1,y1,x2,y2,class` for each object, spaces between; the classes' names are in `_classes.txt`.
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Callable

from edet.files import read_text
from edet.records.sources.annotations import AnnotatedImage, AnnotatedObject, Annotations
from edet.records.sources.folder import Folder, by_split, is_picture
from edet.records.sources.joining import joined
from edet.records.sources.shapes import BAD_IMAGE, Seen, read_objects, text
from edet.records.sources.yolo_names import NAME_LISTS, names_of, nearest

_FACE = "face"
_INVALID = 3  # of the flags
_BOX = re.compile(r"\s(?=\d+(?:\.\d+)?(?:,-?\d+(?:\.\d+)?){4}(?:\s|$))")
_HEAD = 20  # lines by which a text is recognised


def wider_splits(folder: Folder) -> dict[str, tuple[str, ...]]:
    """Returns {split: WIDER FACE's texts} of a folder; {} where there is none."""
    return _splits(folder, _is_wider)


def keras_yolo_splits(folder: Folder) -> dict[str, tuple[str, ...]]:
    """Returns {split: keras-yolo3's texts} of a folder; {} where there is none."""
    return _splits(folder, _is_keras_yolo)


def _splits(folder: Folder, is_one: Callable[[list[str]], bool]) -> dict[str, tuple[str, ...]]:
    heads = ((name, _lines(folder.head(name))[:_HEAD]) for name in folder.texts_of_many())
    return by_split(name for name, lines in heads if lines and is_one(lines))


def _lines(content: str) -> list[str]:
    return [line.strip() for line in content.splitlines() if line.strip()]


def _is_wider(lines: list[str]) -> bool:
    return len(lines) > 2 and is_picture(lines[0]) and lines[1].isdecimal()


def _is_keras_yolo(lines: list[str]) -> bool:
    parts = [_BOX.split(line) for line in lines]
    named = [one for one in parts if is_picture(one[0])]
    return 2 * len(named) > len(parts) and any(len(one) > 1 for one in named)


def read_wider(folder: Folder, split: str, files: tuple[str, ...]) -> Annotations:
    """Returns the faces of one split; a picture whose lines cannot be read is reported."""
    parts = []
    for file in files:
        found = Annotations(folder.path(file), [], "xywh", split=split)
        found.base = posixpath.dirname(file)
        blocks: list[tuple[str, list[str]]] = []
        for line in _lines(read_text(folder.path(file), "faces")):
            if is_picture(line):
                blocks.append((line, []))
            elif blocks:
                blocks[-1][1].append(line)
        for name, (number, *lines) in ((name, lines or [""]) for name, lines in blocks):
            if not number.isdecimal() or int(number) > len(lines):
                detail = f"{number!r} faces, and {len(lines)} lines of them"
                found.tally.image_problem(name, BAD_IMAGE, detail)
                continue
            objects = read_objects(name, lines[: int(number)], _face, found.tally)
            found.images.append(AnnotatedImage(name, name, objects))
        parts.append(found)
    return joined(parts)


def _face(line: str) -> Seen:
    words = line.split()
    name = text(words.pop(4)) if len(words) in (5, 11) else _FACE
    x, y, width, height, *flags = map(float, words)
    is_invalid = len(flags) > _INVALID and flags[_INVALID] == 1
    return Seen(AnnotatedObject(name, (x, y, width, height), is_crowd=is_invalid))


def read_keras_yolo(folder: Folder, split: str, files: tuple[str, ...]) -> Annotations:
    """Returns the annotations of one split.

    Raises:
      UserError: a list of names has an empty line.
    """
    names = names_of(folder) if folder.matching(*NAME_LISTS, beside=True) else {}
    parts = []
    for file in files:
        labels = dict(nearest(names, file)[1]) if names else {}
        found = Annotations(folder.path(file), [], "xyxy", labels=labels, split=split)
        found.base = posixpath.dirname(file)
        for line in _lines(read_text(folder.path(file), "boxes")):
            name, *boxes = _BOX.split(line)
            objects = read_objects(name, boxes, _box, found.tally)
            found.images.append(AnnotatedImage(name, name, objects))
        if not names:
            found.labels = {int(label): f"class {label}" for label in found.used()}
        parts.append(found)
    return joined(parts)


def _box(word: str) -> Seen:
    *box, class_id = (float(number) for number in word.split(","))
    if len(box) != 4 or not class_id.is_integer():
        raise ValueError(f"{word[:40]!r} is not x1,y1,x2,y2,class")
    return Seen(AnnotatedObject(int(class_id), tuple(box)))
