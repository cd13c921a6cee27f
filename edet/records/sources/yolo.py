"""Reads a YOLO set of Ultralytics or Roboflow: data.yaml, pictures, and a text file for each.

A line is `class x y width height`, centre and sides as shares of the picture, or `class x y x y
...`, an outline, whose bounds are taken; key points behind a box, as data.yaml's kpt_shape counts
them, a confidence and the number of a track are left out. A picture without a text file, or with an
empty one, has no objects. Classes are numbered from 0 in the order of data.yaml, and keep these
ids; where folders have lists of names that differ, classes are matched by name.
"""

from __future__ import annotations

import concurrent.futures
import posixpath
from collections.abc import Mapping, Sequence
from typing import Any

from absl import logging

from edet.errors import UserError
from edet.files import read_text
from edet.records.sources.annotations import (
    AnnotatedImage,
    AnnotatedObject,
    Annotations,
)  # fmt: skip
from edet.records.sources.example_set import Tally
from edet.records.sources.folder import Folder, by_split, source_ids, stem_of, usual_split
from edet.records.sources.joining import joined
from edet.records.sources.picture_texts import dota_splits
from edet.records.sources.shapes import BAD_FILE, NO_FILE, OUTLINE
from edet.records.sources.yolo_names import NAME_LISTS, data_yaml, key_points, names_of, nearest

_KEYS = {"train": ("train",), "val": ("val", "valid", "validation"), "test": ("test",)}
_NO_PICTURE = "dropped: labels of a picture that is not there"
_COPY = "dropped: picture without labels, of the name of one that has them (a copy?)"


def splits(folder: Folder) -> dict[str, tuple[str, ...]]:
    """Returns {split: its pictures} of a folder; {} where it is no YOLO set."""
    name, data = data_yaml(folder) or ("", {})
    if not folder.alike(folder.matching("*.txt", beside=True), _is_label) and dota_splits(folder):
        return {}  # Roboflow gives these a data.yaml too
    data = {str(key).lower(): value for key, value in data.items()}  # CVAT's subset is "Train"
    named, missing = {}, []
    for split, keys in _KEYS.items():
        for key in keys:
            if data.get(key):
                named[split] = _pictures(folder, name, data, data[key])
                missing += [] if named[split] else [f"{key}: {data[key]}"]
    if any(named.values()):
        for place in missing:
            logging.warning("%s: no picture is at %s.", folder.path(name), place)
        return {split: pictures for split, pictures in named.items() if pictures}
    if not data and not _has_labels(folder):
        return {}
    return by_split(folder.pictures, posixpath.dirname)


def _has_labels(folder: Folder) -> bool:
    """Whether there are names of classes and a label; other formats come with such names too."""
    lists = folder.matching(*NAME_LISTS, beside=True)
    texts = folder.matching("*.txt", beside=True)
    return bool(lists) and bool(folder.alike(sorted(set(texts) - set(lists)), _is_label))


def refusal(folder: Folder) -> str:
    """Says that labels lie there and no names of their classes; "" where there are none."""
    labels = folder.alike(folder.matching("*.txt"), _is_label)
    if not labels or data_yaml(folder):
        return ""
    return (
        f"{folder.path(labels[0])} is a label of YOLO's, and no file has names of the classes; add "
        "a classes.txt of a name a line, that of class 0 first, or names: [...] in data.yaml."
    )


def _is_label(head: str) -> bool:
    try:
        values = [float(word) for word in head.strip().partition("\n")[0].split()]
    except ValueError:
        return False
    return len(values) >= 5 and values[0].is_integer() and max(map(abs, values[1:5])) <= 1.5


def read(folder: Folder, split: str, files: Sequence[str]) -> Annotations:
    """Returns the annotations of the pictures in `files`.

    Raises:
      UserError: data.yaml does not say what the classes are called, or lines count them from 1.
    """
    tally = Tally()
    texts = _label_files(folder, files, split, tally)
    with concurrent.futures.ThreadPoolExecutor(16) as pool:
        futures = {
            picture: pool.submit(read_text, folder.path(text), "labels")
            for picture, text in texts.items()
            if text
        }
    copies = _copies(texts) if not data_yaml(folder) else set()
    names = names_of(folder)
    numbers = key_points(folder)
    parts: dict[str, Annotations] = {}  # {list of names: the pictures that it counts for}
    for picture, source_id in zip(files, source_ids(files), strict=True):
        place, labels = nearest(names, texts[picture] or picture)
        part = parts.setdefault(
            place, Annotations(folder.root, [], "cxcywh", True, labels, Tally(), split=split)
        )
        if picture in copies:
            tally.image_problem(picture, _COPY)
            continue
        try:
            text = futures[picture].result() if picture in futures else ""
        except UserError as error:
            tally.image_problem(picture, BAD_FILE, str(error))
            continue
        if picture not in futures:
            tally.image_problem(picture, NO_FILE)
        lines = (line for line in text.splitlines() if line.strip())
        objects = [_object(line, picture, tally, numbers) for line in lines]
        part.images.append(AnnotatedImage(picture, source_id, [o for o in objects if o]))
    for place, part in parts.items():
        _refuse_ids_from_1(part, folder.path(place))
    found = joined(list(parts.values()))
    found.tally.add(tally)
    return found


def _refuse_ids_from_1(part: Annotations, place: str) -> None:
    """Refuses lines that count classes from 1: each would get the name of the next one."""
    used, last = part.used(), len(part.labels)
    is_from_0 = set(part.labels) == set(range(last))
    if not used or not is_from_0 or min(used) == 0 or max(used) != last:
        return
    raise UserError(
        f"{place} has the classes 0 to {last - 1}, and the lines of {part.where} have those from "
        f"{min(used)} to {last}; if these count from 1, put a name that means nothing, such as _, "
        f"before the others; otherwise mend the lines of class {last}."
    )


def _copies(texts: Mapping[str, str]) -> set[str]:
    """Returns the pictures, of {picture: its text file}, that are thumbnails or drawings of others.

    They have no labels, and none of their folder has; they are called as pictures that have some.
    """
    labelled = [picture for picture, text in texts.items() if text]
    rooms, stems = set(map(posixpath.dirname, labelled)), set(map(stem_of, labelled))
    return {
        picture
        for picture in texts
        if posixpath.dirname(picture) not in rooms and stem_of(picture) in stems
    }


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
                found += [_listed_picture(folder, line.strip()) for line in lines if line.strip()]
                break
            below = [p for p in folder.pictures if p.startswith(f"{path}/" if path else "")]
            if below:
                found += below
                break
    return tuple(dict.fromkeys(found))


def _listed_picture(folder: Folder, line: str) -> str:
    """Returns the picture of a line, whose path may be absolute and of another machine."""
    try:
        return folder.locate(_inside(line))
    except LookupError:
        return _inside(line)  # which is said when it is looked for again


def _inside(path: str) -> str:
    """Returns a path from the set's folder; Roboflow's "../train/images" means one inside it."""
    path = posixpath.normpath(path.replace("\\", "/"))
    while path.startswith("../"):
        path = path[3:]
    return "" if path in (".", "..") else path


def _label_files(
    folder: Folder, pictures: Sequence[str], split: str, tally: Tally
) -> dict[str, str]:
    """Returns {picture: its text file, "" if none}: in labels/ for images/, beside it, or alike."""
    texts = dict.fromkeys(folder.matching("*.txt", beside=True))
    found = {}
    for picture in pictures:
        stem = posixpath.splitext(picture)[0]
        before, _, after = f"/{stem}".rpartition("/images/")
        places = f"{before}/labels/{after}.txt".lstrip("/"), f"{stem}.txt"
        # One that is saved with two endings has its labels twice, as in Ultralytics.
        found[picture] = next((place for place in places if place in texts), "")
    without = {picture for picture, text in found.items() if not text}
    taken = set(found.values())
    for text in (text for text in texts if text not in taken):  # whose names tools have changed
        if usual_split(posixpath.dirname(text)) not in ("", split):
            continue
        try:
            picture = folder.locate(posixpath.splitext(text)[0], split=split)
        except LookupError as error:
            if _is_label(folder.head(text)):
                tally.image_problem(text, _NO_PICTURE, str(error))
            continue
        if picture in without:
            found[picture] = text
    return found


def _object(line: str, picture: str, tally: Tally, key_points: int = 0) -> AnnotatedObject | None:
    """Returns one line as an object; a line that is none is reported.

    Args:
      line: of a label file.
      picture: named in reports.
      tally: that takes them.
      key_points: the numbers of key points behind each box.
    """
    try:
        values = [float(word) for word in line.split()]
        if not values or not values[0].is_integer():
            raise ValueError("the class is no whole number")
        label, numbers = int(values[0]), values[1:]
        if key_points and len(numbers) >= 4 + key_points:
            del numbers[4 : 4 + key_points]
        is_track = len(numbers) == 6 and numbers[5] > 1 and numbers[5].is_integer()
        if len(numbers) in (4, 5) or is_track:  # a confidence, and the number of a track behind
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
