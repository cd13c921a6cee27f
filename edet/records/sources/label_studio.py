"""Reads Label Studio's exports JSON, JSON-MIN and CSV, which is JSON-MIN with JSON in its cells.

Sides are in percent of the picture as it is displayed, and a box is turned about its upper left
corner, in pixels: without the picture's size nothing can be turned. Predictions are no annotations.
"""

from __future__ import annotations

import contextlib
import csv
import functools
import io
import json
import posixpath
import re
from collections.abc import Iterable
from typing import Any

from edet.errors import UserError
from edet.files import read_json, read_text
from edet.records.sources.annotations import AnnotatedImage, AnnotatedObject, Annotations
from edet.records.sources.folder import PREFIX, Folder, by_split, is_picture, readings
from edet.records.sources.shapes import (
    BAD_IMAGE,
    NO_BOX,
    OUTLINE,
    ROTATED,
    WRONG,
    Box,
    Seen,
    bounds,
    ellipse_bounds,
    in_words,
    pixels,
    read_objects,
    rotated_bounds,
    text,
)  # fmt: skip

_OF_A_TASK = ("annotations", "completions")  # the second before version 1.0
_DATA = re.compile(r'"data"\s*:\s*\{')  # not a class of that name
_HEADER = ("annotator", "annotation_id", "lead_time")  # of a CSV, beside the fields of the data
_OTHERS = "other annotations of the same picture (the last one taken)"


def splits(folder: Folder) -> dict[str, tuple[str, ...]]:
    """Returns {split: its exports} of a folder; {} where there is none."""
    names = folder.matching("*.json", "*.csv", "*.tsv")
    return by_split(name for name in names if _is_export(folder.head(name)))


def _is_export(head: str) -> bool:
    """Whether a head is an export's: of a task, or of regions that are longer than a head."""
    if set(_HEADER) <= set(re.split(r"[,\t\r\n]", head.partition("\n")[0])):
        return True
    own = ("annotator", "annotation_id", "original_width", "original_height")
    has = {key: f'"{key}"' in head for key in (*_OF_A_TASK, *own)}
    return head.lstrip().startswith("[") and bool(
        (_DATA.search(head) and (has["annotations"] or has["completions"]))
        or (has["annotator"] and has["annotation_id"])
        or (has["original_width"] and has["original_height"])
    )


def read(folder: Folder, split: str, files: tuple[str, ...]) -> Annotations:
    """Returns the annotations of one split.

    Raises:
      UserError: a file is not JSON, or no list of tasks.
    """
    where = folder.path(files[0])
    found = Annotations(where, [], "xyxy", base=posixpath.dirname(files[0]), split=split)
    # {(id, picture): folder of its file, name, regions}; two projects may have equal ids
    tasks: dict[tuple[str, str], tuple[str, str, list[dict[str, Any]]]] = {}
    for file in files:
        for number, task in enumerate(_tasks(folder.path(file)), start=1):
            try:
                name, regions, others = _task(task)
                source_id = str(task.get("id", name))
            except WRONG as error:
                found.tally.image_problem(f"task {number} of {file}", BAD_IMAGE, in_words(error))
                continue
            if regions is None:
                what = "dropped: task without an annotation that was not cancelled"
                found.tally.image_problem(name, what)
                continue
            base = posixpath.dirname(file)
            place = folder.as_written(name, base) or PREFIX.sub("", posixpath.basename(name))
            key = source_id, place
            if others or key in tasks:
                found.tally.image_problem(name, _OTHERS, f"{others or 1} more")
            tasks[key] = base, name, regions
    shapes = [region for *_, regions in tasks.values() for region in regions]
    found.relative = bool(shapes) and not any(_size(region)[0] > 0 for region in shapes)
    for (source_id, _), (base, name, regions) in tasks.items():
        see = functools.partial(_seen, relative=found.relative)
        objects = read_objects(name, regions, see, found.tally)
        size = next((_size(region) for region in regions if _size(region)[0] > 0), (-1, -1))
        found.images.append(AnnotatedImage(name, source_id, objects, *size, base=base))
    return found


def _tasks(path: str) -> list[Any]:
    """Returns the tasks of an export; of a CSV its rows, as JSON-MIN would have them."""
    if path.lower().endswith(".json"):
        return read_json(path, "Label Studio export", kind=list)
    csv.field_size_limit(2**31 - 1)  # of a cell, which has all regions of a picture
    content = io.StringIO(read_text(path, "Label Studio export"), newline="")
    try:
        rows = csv.DictReader(content, delimiter="\t" if path.lower().endswith(".tsv") else ",")
        return [{key: _cell(cell) for key, cell in row.items()} for row in rows]
    except csv.Error as error:
        raise UserError(f"{path} is not a CSV to its end: {error}.") from error


def _cell(cell: Any) -> Any:
    """Returns the regions of a cell, which are JSON, or its text."""
    if isinstance(cell, str) and cell.startswith("["):
        with contextlib.suppress(ValueError, RecursionError):
            return json.loads(cell)
    return cell


def _task(task: dict[str, Any]) -> tuple[str, list[dict[str, Any]] | None, int]:
    """Returns the picture of a task, its regions, and how many other annotations it has.

    The regions are None where nobody has annotated the picture, or all have given it up.
    """
    for key in _OF_A_TASK:
        if isinstance(task.get("data"), dict) and key in task:
            whole = [item for item in task[key] if not _is_given_up(item)]
            regions = _regions(map(_flat, whole[-1]["result"])) if whole else None
            return _picture(task["data"]), regions, max(len(whole) - 1, 0)
    # JSON-MIN: the fields of the task's data, and lists of regions by the names of the controls.
    lists = [value for value in task.values() if isinstance(value, list)]
    items = [item for value in lists for item in value if isinstance(item, dict)]
    return _picture(task), _regions(items), 0


def _is_given_up(annotation: dict[str, Any]) -> bool:
    return bool(annotation.get("was_cancelled") or annotation.get("skipped"))


def _flat(result: dict[str, Any]) -> dict[str, Any]:
    """Returns a result as JSON-MIN would have it: what is drawn, beside the picture's size."""
    value = result.get("value")
    return result | value if isinstance(value, dict) else result


def _regions(items: Iterable[dict[str, Any]]) -> list[dict[str, Any]]:
    """Returns what is drawn: not choices, texts and relations, and each region once.

    Where shapes and classes are controls of their own, a region is there twice under one id.
    """
    drawn = [i for i in items if any(key in i for key in ("x", "points", "vertices", "rle"))]
    named = {item.get("id") for item in drawn if _labels(item)}
    return [item for item in drawn if _labels(item) or item.get("id") not in named]


def _labels(region: dict[str, Any]) -> list[Any]:
    """Returns the classes of a region: of "rectanglelabels", "polygonlabels", "labels", ..."""
    found = (value for key, value in region.items() if key.endswith("labels") and value)
    return next((value for value in found if isinstance(value, list)), [])


def _picture(fields: dict[str, Any]) -> str:
    """Returns the field that names a picture: a path, a URL, or one with the path behind "?d="."""
    named = {
        key: value
        for key, value in fields.items()
        if isinstance(value, str) and any(map(is_picture, readings(value)))
    }
    if len(named) > 1 and "image" not in named:
        raise ValueError(f"it names several pictures, in {' and '.join(named)}")
    if not named and not isinstance(fields.get("image"), str):
        raise ValueError("it names no picture")
    return named["image"] if "image" in named else next(iter(named.values()), fields.get("image"))


def _size(region: dict[str, Any]) -> tuple[int, int]:
    return pixels(region.get("original_height")), pixels(region.get("original_width"))


def _seen(region: dict[str, Any], relative: bool) -> Seen:
    """Returns one region in pixels, or where no region has the picture's size in shares of it."""
    if "rle" in region:
        return Seen(None, "dropped: brush mask (in run lengths of Label Studio's own)")
    if "vertices" in region or ("x" in region and not {"height", "radiusX"} & set(region)):
        return Seen(None, NO_BOX)
    if float(region.get("image_rotation") or 0) % 360:
        return Seen(None, "dropped: drawn while the view was turned (image_rotation)")
    height, width = (1, 1) if relative else _size(region)
    if height < 0 or width < 0:
        raise ValueError("it has no original_width and original_height")
    classes, degrees = _labels(region), float(region.get("rotation") or 0)
    if not classes:
        raise ValueError("it has no class")
    if degrees % 360 and relative:
        raise ValueError("it is turned, and the picture's original_width is not given")
    box, note = _box(region, width / 100, height / 100, degrees)
    note = "of several classes (the first one taken)" if len(classes) > 1 else note
    return Seen(AnnotatedObject(text(classes[0]), box), note)


def _box(region: dict[str, Any], sx: float, sy: float, degrees: float) -> tuple[Box, str]:
    """Returns the bounds of a region, and what is to be said; sx and sy are one percent."""
    if "points" in region:
        return bounds((float(x) * sx, float(y) * sy) for x, y in region["points"]), OUTLINE
    x, y = float(region["x"]) * sx, float(region["y"]) * sy
    if "radiusX" in region:
        radii = float(region["radiusX"]) * sx, float(region["radiusY"]) * sy
        return ellipse_bounds(x, y, *radii, degrees), OUTLINE
    box = (x, y, x + float(region["width"]) * sx, y + float(region["height"]) * sy)
    return (rotated_bounds(box, degrees, (x, y)), ROTATED) if degrees % 360 else (box, "")
