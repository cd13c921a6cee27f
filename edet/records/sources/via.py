"""Reads VGG Image Annotator (VIA 1 to 3): a project or its annotations as JSON, or as CSV.

A region's class is the region attribute that all regions have. Where it is a drop-down with whole
numbers as ids, these are the classes' ids; otherwise the text in the region is the class. Regions
without any attribute, one and all, are of one class.
"""

from __future__ import annotations

import csv
import functools
import io
import json
import math
import posixpath
from collections import Counter
from typing import Any, NamedTuple

from absl import logging

from edet.errors import UserError
from edet.files import read_json, read_text
from edet.records.sources import via3
from edet.records.sources.annotations import AnnotatedImage, AnnotatedObject, Annotations
from edet.records.sources.example_set import Tally
from edet.records.sources.folder import Folder, by_split
from edet.records.sources.shapes import (
    BAD_IMAGE,
    NO_BOX,
    ONLY_CLASS,
    OUTLINE,
    WRONG,
    Seen,
    bounds,
    ellipse_bounds,
    in_words,
    read_objects,
    text,
)  # fmt: skip

_USUAL = ("class", "label", "category", "class_name", "label_id", "type", "object")
_KINDS = ("project", "json", "csv")  # one set may be saved in several ways: the first is taken
_COLUMNS = ("filename", "region_shape_attributes", "region_attributes")


def splits(folder: Folder) -> dict[str, tuple[str, ...]]:
    """Returns {split: its files} of a folder, projects first; {} where there is none."""
    kinds = {name: _kind(folder.head(name)) for name in folder.matching("*.json", "*.csv")}
    return by_split(name for kind in _KINDS for name, own in kinds.items() if own == kind)


def _kind(head: str) -> str:
    start = head.lstrip()
    if start.startswith("{"):
        if '"_via_' in head or via3.is_head(head):
            return "project"
        return "json" if '"filename"' in head and _has_regions(head) else ""
    header = (start.splitlines() or [""])[0]
    return "csv" if all(column in header for column in _COLUMNS) else ""


def _has_regions(head: str) -> bool:
    """Whether a head has VIA's own keys; VIA 1 may have the whole picture before the regions."""
    has = {key: f'"{key}"' in head for key in ("regions", "shape_attributes", "file_attributes")}
    return '"base64_img_data"' in head or (
        has["regions"] and (has["shape_attributes"] or has["file_attributes"])
    )


class _Set(NamedTuple):
    """One file: each picture with its regions and, of a project, {region attribute: options}."""

    pictures: list[tuple[str, list[Any]]]
    options: dict[str, dict[str, str]]


def read(folder: Folder, split: str, files: tuple[str, ...]) -> Annotations:
    """Returns the annotations of one split.

    Raises:
      UserError: a file is neither VIA's JSON nor CSV, or several attributes may be the class.
    """
    where = folder.path(files[0])
    found = Annotations(where, [], "xyxy", base=posixpath.dirname(files[0]), split=split)
    sets = [
        (_read_csv if name.lower().endswith(".csv") else _read_json)(folder.path(name), found.tally)
        for name in files
    ]
    kinds: dict[tuple[str, str], str] = {}  # {folder and name of a picture: of its first file}
    kept = []
    for file, one in zip(files, sets, strict=True):
        base, kind = posixpath.dirname(file), _kind(folder.head(file))
        new = [item for item in one.pictures if kinds.setdefault((base, item[0]), kind) == kind]
        kept += [(file, name, regions) for name, regions in new]
    key = _class_attribute([region for *_, regions in kept for region in regions], where)
    for one in sets:
        found.labels |= _ids(one.options.get(key, {}))
    see = functools.partial(_seen, key=key, labels=found.labels)
    for file, name, regions in kept:
        objects = read_objects(name, regions, see, found.tally)
        base = posixpath.dirname(file)
        found.images.append(AnnotatedImage(name, name, objects, base=base, file=file))
    return found


def _read_json(path: str, tally: Tally) -> _Set:
    data = read_json(path, "VIA annotations")
    if via3.is_project(data):
        return _Set(via3.pictures_of(data, posixpath.basename(path), tally), {})
    try:
        entries = data.get("_via_img_metadata", data)
        attributes = (data.get("_via_attributes") or {}).get("region") or {}
        options = {key: dict(value.get("options") or {}) for key, value in attributes.items()}
        items = list(entries.items())
    except WRONG as error:
        raise UserError(f"{path} is not VIA's JSON of a project or its annotations.") from error
    pictures = []
    for key, entry in items:
        try:
            regions = entry["regions"]  # VIA 1 has a map from "0", "1", ...
            regions = list(regions.values() if isinstance(regions, dict) else regions)
            pictures.append((text(entry["filename"]), regions))
        except WRONG as error:
            tally.image_problem(key, BAD_IMAGE, in_words(error))
    return _Set(pictures, options)


def _read_csv(path: str, tally: Tally) -> _Set:
    """Reads a row for each region; JSON that is damaged stays text, which `_seen` refuses."""
    content = read_text(path, "VIA annotations").removeprefix("#")
    pictures: dict[str, list[Any]] = {}
    try:
        for row in csv.DictReader(io.StringIO(content, newline="")):
            shape, attributes = (row[column] or "" for column in _COLUMNS[1:])
            regions = pictures.setdefault(text(row["filename"]), [])
            if shape.strip() not in ("", "{}"):
                regions.append({"shape_attributes": shape, "region_attributes": attributes})
    except (csv.Error, *WRONG) as error:
        raise UserError(f"{path} is not VIA's CSV: {in_words(error)}.") from error
    return _Set(list(pictures.items()), {})


def _attributes(region: Any, key: str) -> dict[str, Any]:
    """Returns the shape or region attributes, which a CSV holds as JSON.

    Raises:
      One of WRONG: they are no map.
    """
    value = region[key]
    value = json.loads(value) if isinstance(value, str) else value
    return dict(value)


def _class_attribute(regions: list[Any], where: str) -> str:
    """Returns the region attribute that is the class; "" where no region has any.

    Raises:
      UserError: more than one may be it.
    """
    given: Counter[str] = Counter()
    total = 0
    for region in regions:
        try:
            attributes = _attributes(region, "region_attributes")
        except WRONG:
            continue  # `_seen` reports it
        total += 1
        given.update(key for key, value in attributes.items() if value not in ("", None, {}))
    usual = [key for key in given if key.lower() in _USUAL]
    on_all = [key for key in given if given[key] == total]
    found = set(usual) | set(on_all) or set(given)
    if len(found) > 1:
        found = set(usual) & set(on_all) or found
    if len(found) > 1:
        raise UserError(
            f"{where}: the class may be any of the region attributes {', '.join(sorted(found))}; "
            "call the one that is 'class', in all regions."
        )
    if total and not found:
        logging.warning(
            "%s: no region has an attribute; all are of one class, %r.", where, ONLY_CLASS
        )
    return next(iter(found), "")


def _ids(options: dict[str, str]) -> dict[int, str]:
    """Returns {id: name} of a drop-down whose ids are whole numbers; {} of any other."""
    if not all(key.isdecimal() and len(key) < 19 and name for key, name in options.items()):
        return {}
    return {int(key): str(name).strip() for key, name in options.items()}


def _seen(region: Any, key: str, labels: dict[int, str]) -> Seen:
    shape = _attributes(region, "shape_attributes")
    kind = shape["name"]
    if kind == "point":
        return Seen(None, NO_BOX)
    value = _attributes(region, "region_attributes").get(key) if key else ONLY_CLASS
    if isinstance(value, dict):  # of checkboxes
        chosen = [name for name, is_chosen in value.items() if is_chosen]
        if len(chosen) != 1:
            raise ValueError(f"{key} has {len(chosen)} classes, {' and '.join(chosen)}")
        value = chosen[0]
    label: int | str = text(value)
    if labels:
        if not label.isdecimal() or int(label) not in labels:
            raise ValueError(f"{key} is {label!r}, which is none of the project's options")
        label = int(label)
    if kind == "rect":
        x, y, width, height = (float(shape[side]) for side in ("x", "y", "width", "height"))
        return Seen(AnnotatedObject(label, (x, y, x + width, y + height)))
    if kind == "circle":
        x, y, radius = (float(shape[side]) for side in ("cx", "cy", "r"))
        return Seen(AnnotatedObject(label, ellipse_bounds(x, y, radius, radius)), OUTLINE)
    if kind == "ellipse":
        x, y, rx, ry = (float(shape[side]) for side in ("cx", "cy", "rx", "ry"))
        degrees = math.degrees(float(shape.get("theta") or 0))
        return Seen(AnnotatedObject(label, ellipse_bounds(x, y, rx, ry, degrees)), OUTLINE)
    points = zip(shape["all_points_x"], shape["all_points_y"], strict=True)
    return Seen(AnnotatedObject(label, bounds(points)), OUTLINE)
