"""Reads Create ML's JSON (Apple, LabelImg, Roboflow): lists of pictures with their objects.

A box is its centre and its sides in pixels, from the upper left corner: what Create ML takes unless
its user says otherwise, which no file tells.
"""

from __future__ import annotations

import functools
import posixpath
import re
from typing import Any

from edet.files import read_json
from edet.records.sources.annotations import AnnotatedImage, AnnotatedObject, Annotations
from edet.records.sources.folder import Folder, by_split
from edet.records.sources.shapes import (
    BAD_IMAGE,
    WRONG,
    Seen,
    in_words,
    read_files,
    read_objects,
    text,
)

# The second name of each pair is that of Apple's own documentation.
_NAMES, _LISTS = ("image", "imagefilename"), ("annotations", "annotation")
_ENTRY = re.compile(r'"(image|imagefilename)"\s*:\s*"')
_OBJECTS = re.compile(r'"coordinates"\s*:\s*\{|"annotations?"\s*:\s*\[\s*\]')


def splits(folder: Folder) -> dict[str, tuple[str, ...]]:
    """Returns {split: its JSON files} of a folder; {} where there is none."""
    return by_split(folder.alike(folder.matching("*.json"), _is_createml))


def _is_createml(head: str) -> bool:
    return head.lstrip().startswith("[") and bool(_ENTRY.search(head) and _OBJECTS.search(head))


def read(folder: Folder, split: str, files: tuple[str, ...]) -> Annotations:
    """Returns the annotations of one split; a JSON of something else is reported by name."""
    where = folder.path(files[0])
    found = Annotations(where, [], "cxcywh", split=split)
    parse = functools.partial(read_json, what="Create ML annotations", kind=list)
    for file, entries in read_files(folder, files, parse, found.tally).items():
        for number, entry in enumerate(entries, start=1):
            try:
                name, things = text(_first(entry, _NAMES)), _first(entry, _LISTS)
                things = list(things or [])
            except WRONG as error:
                found.tally.image_problem(f"picture {number} of {file}", BAD_IMAGE, in_words(error))
                continue
            objects = read_objects(name, things, _seen, found.tally)
            base = posixpath.dirname(file)
            found.images.append(AnnotatedImage(name, name, objects, base=base, file=file))
    return found


def _first(entry: dict[str, Any], keys: tuple[str, str]) -> Any:
    return entry[keys[0]] if keys[0] in entry else entry[keys[1]]


def _seen(entry: dict[str, Any]) -> Seen:
    sides = entry["coordinates"]
    x, y, width, height = (float(sides[key]) for key in ("x", "y", "width", "height"))
    return Seen(AnnotatedObject(text(entry["label"]), (x, y, width, height)))
