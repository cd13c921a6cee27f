"""Reads Hugging Face's `imagefolder`: metadata.jsonl or metadata.csv beside the pictures.

A line is of one picture: `file_name`, and `objects` with a list of `bbox`, [x, y, width, height] in
pixels, and one of `categories`; a list of objects that have one each is read too. In a CSV this is
JSON within a field. Classes are names, or numbers whose names README.md has as a `class_label`.
Parquet, in which pictures may lie too, is only recognised: its readers are large.
"""

from __future__ import annotations

import contextlib
import csv
import functools
import io
import json
import math
import posixpath
import re
from collections.abc import Iterator
from typing import Any

from edet.config.yaml_text import parse_yaml
from edet.errors import UserError
from edet.files import read_text
from edet.records.sources.annotations import AnnotatedImage, AnnotatedObject, Annotations
from edet.records.sources.folder import Folder, usual_split
from edet.records.sources.shapes import (
    BAD_IMAGE,
    WRONG,
    Seen,
    flag,
    in_words,
    pixels,
    read_objects,
    text,
)  # fmt: skip

_METADATA = tuple(place + end for end in ("metadata.jsonl", "metadata.csv") for place in ("", "*/"))
_NAMES = ("file_name", "image_file_name")  # the column is the picture's, or called as it is
_BOXES, _CLASSES = ("bbox", "bboxes"), ("categories", "category", "category_id", "labels", "label")
_NAME = re.compile(r'"(image_)?file_name"\s*:')
_OBJECTS = re.compile(r'"objects"\s*:\s*(\[|\{|null)')
_FRONT = re.compile(r"---[ \t]*\n(.*?)\n---[ \t]*(\n|$)", re.DOTALL)


def splits(folder: Folder) -> dict[str, tuple[str, ...]]:
    """Returns {split: its files} of a folder; {} where there is none.

    The split is that of the file's folder, otherwise that of each picture's. Where a folder has
    lines and a CSV, of which the library itself reads neither, the lines come first.
    """
    found: dict[str, list[str]] = {}
    for file in sorted(folder.matching(*_METADATA), key=lambda name: name.lower().endswith(".csv")):
        if _is_metadata(file, folder.head(file)):
            own = usual_split(posixpath.dirname(file))
            within = [own] if own else list(_splits_within(folder.path(file)))
            for split in dict.fromkeys(within or [""]):  # of no line that can be read
                found.setdefault(split, []).append(file)
    return {split: tuple(files) for split, files in found.items()}


def _is_metadata(file: str, head: str) -> bool:
    if file.lower().endswith(".csv"):
        rows = csv.DictReader(io.StringIO(head, newline=""))
        try:
            cells = [row.get("objects") or "" for row in rows]
        except csv.Error:
            return False
        filled = [cell.lstrip()[:1] for cell in cells if cell.strip()]
        is_named = "objects" in (fields := rows.fieldnames or []) and bool({*_NAMES} & {*fields})
        return is_named and (not filled or "{" in filled or "[" in filled)  # not their number
    return head.lstrip().startswith("{") and bool(_NAME.search(head) and _OBJECTS.search(head))


def _splits_within(path: str) -> Iterator[str]:
    for _, entry in _entries(path):
        with contextlib.suppress(*WRONG):  # which is said when it is read
            yield _split_of(text(_first(entry, _NAMES)))


def _split_of(name: str) -> str:
    return usual_split(posixpath.dirname(name.replace("\\", "/")))


def parquet_refusal(folder: Folder) -> str:
    """Says how Parquet becomes what edet reads; "" of a folder that has none."""
    files = folder.matching("*.parquet")
    tables = [file for file in files if posixpath.basename(file).lower() == "metadata.parquet"]
    if tables:
        path = folder.path(tables[0])
        return (
            f"{path} is Hugging Face's metadata as Parquet, which edet does not read; write it as "
            'JSON lines: pip install datasets, then python -c "from datasets import Dataset as D; '
            f"D.from_parquet('{path}').to_json('{path[:-8]}.jsonl')\"."
        )
    if files:
        return (
            f"{folder.path(files[0])} is Parquet, as Hugging Face keeps data sets with their "
            "pictures within, which edet does not read; write it as pictures with metadata.jsonl: "
            "docs/data.md, under Parquet, has the lines for the package datasets."
        )
    return ""


def read(folder: Folder, split: str, files: tuple[str, ...]) -> Annotations:
    """Returns the annotations of one split; a line that cannot be read is named.

    Raises:
      UserError: a file is not UTF-8, or no CSV to its end, or README.md has names of classes that
        cannot be read.
    """
    found = Annotations(folder.path(files[0]), [], "xywh", split=split)
    for file in files:
        names = _class_names(folder, file)
        found.labels |= names
        see = functools.partial(_seen, ids={name: class_id for class_id, name in names.items()})
        base = posixpath.dirname(file)
        is_of_one = bool(usual_split(base))
        for number, entry in _entries(folder.path(file)):
            try:
                image, things = _picture(entry)
            except WRONG as error:
                found.tally.image_problem(f"line {number} of {file}", BAD_IMAGE, in_words(error))
                continue
            if is_of_one or _split_of(image.name) == split:
                objects = read_objects(image.name, things, see, found.tally)
                found.images.append(image._replace(objects=objects, base=base))
    if not found.labels:
        numbers = sorted(label for label in found.used() if isinstance(label, int))
        found.labels = {number: f"class {number}" for number in numbers}
    return found


def _entries(path: str) -> Iterator[tuple[int, Any]]:
    """Yields the number and the value of each line; what is wrong with one that has none."""
    content = read_text(path, "metadata")
    if path.lower().endswith(".csv"):
        try:
            for number, row in enumerate(csv.DictReader(io.StringIO(content, newline="")), start=2):
                is_whole = None not in row.values()
                yield number, row if is_whole else ValueError("it has fewer fields than the header")
        except csv.Error as error:
            raise UserError(f"{path} is not a CSV to its end: {error}.") from error
        return
    for number, line in enumerate(content.split("\n"), start=1):  # others may lie within text
        if line.strip():
            try:
                yield number, _value(line)
            except ValueError as error:
                yield number, error


def _value(line: str) -> Any:
    try:
        return json.loads(line)
    except (ValueError, RecursionError) as error:
        raise ValueError(f"it is not JSON: {error}") from error


def _picture(entry: Any) -> tuple[AnnotatedImage, list[Any]]:
    """Returns the picture of a line, without objects, and its objects with the fields of each."""
    if isinstance(entry, ValueError):
        raise entry
    if not isinstance(entry, dict):
        raise ValueError("it is no object of JSON")
    name = text(_first(entry, _NAMES))
    image_id = entry.get("image_id")
    source_id = name if image_id in (None, "") else text(image_id)
    size = pixels(entry.get("height")), pixels(entry.get("width"))
    return AnnotatedImage(name, source_id, [], *size), _things(entry["objects"])


def _first(fields: dict[str, Any], keys: tuple[str, ...]) -> Any:
    """Returns the value of the first of some keys that is there; a KeyError names the usual one."""
    return fields[next((key for key in keys if key in fields), keys[0])]


def _things(objects: Any) -> list[Any]:
    """Returns the fields of each object, where a line has a list of each field."""
    if isinstance(objects, str):
        objects = _value(objects) if objects.strip() else None
    if objects is None or isinstance(objects, list):
        return objects or []
    if not isinstance(objects, dict):
        raise ValueError("its objects are no list and no object of JSON")
    boxes, classes = (_first(objects, keys) or [] for keys in (_BOXES, _CLASSES))
    if len(boxes) != len(classes):  # then nobody knows which belong together
        raise ValueError(f"it has {len(boxes)} boxes and {len(classes)} categories")
    columns = {k: v for k, v in objects.items() if isinstance(v, list) and len(v) == len(boxes)}
    return [{key: column[k] for key, column in columns.items()} for k in range(len(boxes))]


def _seen(thing: dict[str, Any], ids: dict[str, int]) -> Seen:
    box = _first(thing, _BOXES)
    if not isinstance(box, list) or len(box) != 4:
        raise ValueError(f"its bbox {box!r} is not [x, y, width, height]")
    x, y, width, height = map(float, box)
    label = _label(_first(thing, _CLASSES), ids)
    is_crowd = flag(thing.get("iscrowd")) or flag(thing.get("is_crowd"))
    area = float(thing.get("area") or 0)
    area = area if math.isfinite(area) else 0.0
    return Seen(AnnotatedObject(label, (x, y, width, height), is_crowd, area))


def _label(value: Any, ids: dict[str, int]) -> int | str:
    """Returns the number of a class, or the name of one without a number."""
    if isinstance(value, str):
        return ids.get(text(value), text(value))
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    if not is_number or not 0 <= value < 2**63 - 1 or value != int(value):
        raise ValueError(f"its category {value!r} is no number of a class")
    return int(value)


def _class_names(folder: Folder, file: str) -> dict[int, str]:
    """Returns {number: name} of the README.md of a file's own folder, or of one above it."""
    readmes = folder.matching("readme.md", "*/readme.md", beside=True)
    above = [name for name in readmes if f"/{file}".startswith(f"/{name[:-9]}")]
    for readme in sorted(above, key=len, reverse=True):
        path = folder.path(readme)
        if "class_label" not in folder.head(readme, 2**20):  # thousands of names may be there
            continue
        front = _FRONT.match(read_text(path, "the data set card").replace("\r\n", "\n"))
        if not front:
            continue
        data = parse_yaml(f"\n{front[1]}", path)  # its lines are counted from the file's first
        found = dict(reversed(list(_class_labels(data))))
        names = next((found[key] for key in _CLASSES if key in found), None) or {}
        try:
            pairs = enumerate(names) if isinstance(names, list) else names.items()
            return {_label(int(number), {}): text(name) for number, name in pairs}
        except WRONG as error:
            raise UserError(
                f"{path}: the names of a class_label must be a list, or a map of whole numbers to "
                f"text ({error})."
            ) from error
    return {}


def _class_labels(node: Any, feature: Any = "") -> Iterator[tuple[str, Any]]:
    """Yields each feature that is a class_label, and the names of its classes."""
    if isinstance(node, list):
        for item in node:
            yield from _class_labels(item, feature)
    elif isinstance(node, dict):
        feature = node.get("name", feature)
        for key, value in node.items():
            if key == "class_label" and isinstance(value, dict):
                yield str(feature), value.get("names")
            else:
                yield from _class_labels(value, feature)
