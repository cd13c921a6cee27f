"""Reads VisDrone's text: annotations/*.txt beside images/, a file for each picture.

A line is `x,y,width,height,score,category,truncation,occlusion` in whole pixels. The categories are
VisDrone's own, with its numbers: 0 is a region in which nothing was labelled and 11 is "others", so
neither is a class. A score of 0 leaves an object out of VisDrone's evaluation, as a crowd is left
out of COCO's.
"""

from __future__ import annotations

import posixpath
import re

from edet.files import read_text
from edet.records.sources.annotations import AnnotatedImage, AnnotatedObject, Annotations
from edet.records.sources.folder import Folder, by_split, source_ids
from edet.records.sources.shapes import Seen, read_files, read_objects

_CLASSES = {
    1: "pedestrian", 2: "people", 3: "bicycle", 4: "car", 5: "van", 6: "truck", 7: "tricycle",
    8: "awning-tricycle", 9: "bus", 10: "motor",
}  # fmt: skip
_NO_CLASSES = {
    0: "dropped: ignored region (of no class)",
    11: 'dropped: "others" (of no class)',
}
_FIELDS = 8
_ROOM = re.compile(r"(^|/)annotations/(?=[^/]*$)")


def splits(folder: Folder) -> dict[str, tuple[str, ...]]:
    """Returns {split: its text files} of a folder; {} where there is none."""
    return by_split(folder.alike(folder.matching("*.txt"), _is_visdrone), posixpath.dirname)


def _is_visdrone(head: str) -> bool:
    """Whether the first line is VisDrone's; detections have a score between 0 and 1."""
    try:
        _fields(head.strip().partition("\n")[0])
    except ValueError:
        return False
    return True


def read(folder: Folder, split: str, files: tuple[str, ...]) -> Annotations:
    """Returns the annotations of one split; a picture without a text file is left out."""
    found = Annotations(folder.root, [], "xywh", labels=dict(_CLASSES), split=split)
    texts = read_files(folder, files, lambda path: read_text(path, "annotations"), found.tally)
    names = [_ROOM.sub(r"\1images/", file)[:-4] + ".jpg" for file in texts]
    for file, name, source_id in zip(texts, names, source_ids(names), strict=True):
        lines = [line for line in texts[file].splitlines() if line.strip()]
        objects = read_objects(file, lines, _seen, found.tally)
        found.images.append(AnnotatedImage(name, source_id, objects))
    return found


def _fields(line: str) -> list[float]:
    """Returns the eight numbers of a line; a comma may follow.

    Raises:
      ValueError: there are not as many, or one is not whole, or cannot be what it should be.
    """
    words = line.strip().removesuffix(",").split(",")
    if len(words) != _FIELDS:
        raise ValueError(f"{len(words)} fields, not {_FIELDS}")
    fields = [float(word) for word in words]
    if not all(map(float.is_integer, fields)):
        raise ValueError("its numbers are not whole")
    score, category = map(int, fields[4:6])
    if score not in (0, 1):
        raise ValueError(f"its score {score} is neither 0 nor 1")
    if category not in _CLASSES | _NO_CLASSES:
        raise ValueError(f"its category {category} is none of VisDrone's, 0 to 11")
    return fields


def _seen(line: str) -> Seen:
    x, y, width, height, score, category, *_ = _fields(line)
    if category in _NO_CLASSES:
        return Seen(None, _NO_CLASSES[int(category)])
    return Seen(AnnotatedObject(int(category), (x, y, width, height), is_crowd=score == 0))
