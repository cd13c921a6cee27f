"""Reads a YOLO set of Ultralytics or Roboflow: data.yaml, pictures, and a text file for each.

A line is `class x y width height`, centre and sides as shares of the picture, or `class x y x y
...`, an outline, whose bounds are taken. A picture without a text file, or with an empty one, has
no objects. Classes are numbered from 0 in the order of data.yaml, and keep these ids.
"""

from __future__ import annotations

import concurrent.futures
import posixpath
import re
from collections.abc import Mapping, Sequence
from typing import Any

from edet.config.yaml_text import parse_yaml
from edet.errors import UserError
from edet.files import read_text
from edet.records.sources.annotations import AnnotatedImage, AnnotatedObject, Annotations
from edet.records.sources.example_set import Tally
from edet.records.sources.folder import Folder, by_split, source_ids
from edet.records.sources.shapes import BAD_FILE, NO_FILE, OUTLINE

_KEYS = {"train": ("train",), "val": ("val", "valid", "validation"), "test": ("test",)}
# A key of YAML may be in quotes, in braces, and before a space.
_NAMES = re.compile(r"""\bnames["']?\s*:""")
_OTHERS = re.compile(r"""\b(train|val|valid|validation|test|nc)["']?\s*:""")
_NAME_LISTS = ("*classes.txt", "*obj.names", "*labels/labels.txt")


def splits(folder: Folder) -> dict[str, tuple[str, ...]]:
    """Returns {split: its pictures} of a folder; {} where it is no YOLO set."""
    name, data = _data_yaml(folder) or ("", {})
    named = {
        split: _pictures(folder, name, data, data[key])
        for split, keys in _KEYS.items()
        for key in keys
        if data.get(key)
    }
    if any(named.values()):
        return {split: pictures for split, pictures in named.items() if pictures}
    if not data and not folder.matching(*_NAME_LISTS):
        return {}
    return by_split(folder.pictures, posixpath.dirname)


def read(folder: Folder, split: str, files: Sequence[str]) -> Annotations:
    """Returns the annotations of the pictures in `files`.

    Raises:
      UserError: data.yaml does not say what the classes are called.
    """
    labels = _names(folder)
    found = Annotations(folder.root, [], "cxcywh", relative=True, labels=labels, split=split)
    texts = _label_files(folder, files, split)
    with concurrent.futures.ThreadPoolExecutor(16) as pool:
        read_one = [
            pool.submit(read_text, folder.path(texts[picture]), "labels")
            if texts[picture]
            else None
            for picture in files
        ]
    for picture, source_id, future in zip(files, source_ids(files), read_one, strict=True):
        try:
            text = future.result() if future else ""
        except UserError as error:
            found.tally.image_problem(picture, BAD_FILE, str(error))
            continue
        if future is None:
            found.tally.image_problem(picture, NO_FILE)
        lines = text.splitlines()
        objects = [_object(line, picture, found.tally) for line in lines if line.strip()]
        found.images.append(AnnotatedImage(picture, source_id, [o for o in objects if o]))
    return found


def _data_yaml(folder: Folder) -> tuple[str, dict[str, Any]] | None:
    """Returns the name and the values of the file that describes the set; None without one."""
    names = folder.matching("data.yaml", "*.yaml", "*.yml")
    for name in sorted(names, key=lambda name: (name.count("/"), not name.endswith("data.yaml"))):
        head = folder.head(name, 2**20)  # thousands of names may come first
        if all(key.search(head) for key in (_NAMES, _OTHERS)):
            data = parse_yaml(read_text(folder.path(name), "the YOLO set"), folder.path(name))
            if isinstance(data, dict) and isinstance(data.get("names"), (list, dict)):
                return name, data
    return None


def _names(folder: Folder) -> dict[int, str]:
    found = _data_yaml(folder)
    if found:
        names = found[1]["names"]
        pairs = names.items() if isinstance(names, Mapping) else enumerate(names)
        try:
            return {int(class_id): str(name) for class_id, name in pairs}
        except (TypeError, ValueError) as error:
            raise UserError(
                f"{folder.path(found[0])}: names must be a list, or a map of whole numbers to "
                f"text ({error})."
            ) from error
    lists = folder.matching(*_NAME_LISTS)
    lines = read_text(folder.path(lists[0]), "the classes").splitlines() if lists else []
    if not lines:
        raise UserError(f"{folder.root} has no data.yaml with the names of the classes; add one.")
    return dict(enumerate(line.strip() for line in lines if line.strip()))


def _pictures(folder: Folder, name: str, data: dict[str, Any], value: Any) -> tuple[str, ...]:
    """Returns the pictures of a split: of a folder, of folders, or of a list in a text file.

    A path may be absolute and of another machine: then its end is looked for in this folder.
    """
    found: list[str] = []
    base = posixpath.join(posixpath.dirname(name), str(data.get("path") or ""))
    for place in map(str, value if isinstance(value, list) else [value]):
        parts = _inside(place).strip("/").split("/")
        ends = ("/".join(parts[k:]) for k in range(len(parts)))
        for path in (_inside(posixpath.join(base, place)), *ends):
            if path.endswith(".txt") and path in folder.files:
                lines = read_text(folder.path(path), "the split").splitlines()
                found += [_inside(line.strip()) for line in lines if line.strip()]
                break
            below = [p for p in folder.pictures if p.startswith(f"{path}/" if path else "")]
            if below:
                found += below
                break
    return tuple(dict.fromkeys(found))


def _inside(path: str) -> str:
    """Returns a path from the set's folder; Roboflow's "../train/images" means one inside it."""
    path = posixpath.normpath(path.replace("\\", "/"))
    while path.startswith("../"):
        path = path[3:]
    return "" if path in (".", "..") else path


def _label_files(folder: Folder, pictures: Sequence[str], split: str) -> dict[str, str]:
    """Returns {picture: its text file, "" if none}: in labels/ for images/, beside it, or alike."""
    texts = {name: name for name in folder.matching("*.txt")}
    found = {}
    for picture in pictures:
        stem = posixpath.splitext(picture)[0]
        before, _, after = f"/{stem}".rpartition("/images/")
        moved = f"{before}/labels/{after}.txt".lstrip("/")
        found[picture] = texts.pop(moved, "") or texts.pop(f"{stem}.txt", "")
    without = {picture for picture, text in found.items() if not text}
    for text in texts if without else ():  # whose names tools have changed
        try:
            picture = folder.locate(posixpath.splitext(text)[0], split=split)
        except LookupError:
            continue
        if picture in without:
            found[picture] = text
    return found


def _object(line: str, picture: str, tally: Tally) -> AnnotatedObject | None:
    """Returns one line as an object; a line that is none is reported."""
    try:
        values = [float(word) for word in line.split()]
        if not values or not values[0].is_integer():
            raise ValueError("the class is no whole number")
        label, numbers = int(values[0]), values[1:]
        if len(numbers) in (4, 5):  # 5: a confidence behind
            return AnnotatedObject(label, tuple(numbers[:4]))
        if len(numbers) < 6 or len(numbers) % 2:
            raise ValueError(f"{len(values)} numbers")
    except (ValueError, OverflowError) as error:
        what = "dropped: line of another form than `class x y width height` or an outline"
        tally.box_problem(picture, what, detail=f"{line[:60]}: {error}")
        return None
    xs, ys = numbers[0::2], numbers[1::2]
    tally.box_problem(picture, OUTLINE)
    left, top, right, bottom = min(xs), min(ys), max(xs), max(ys)
    return AnnotatedObject(
        label, ((left + right) / 2, (top + bottom) / 2, right - left, bottom - top)
    )
