"""Reads Open Images' boxes: *-annotations-bbox.csv, with the classes' names in another CSV.

Sides are shares of the picture. IsGroupOf is a crowd. People hold a part of the pictures: boxes of
others are left out, and counted. Pictures that a list of images names (ImageID) and no box does are
those without objects.
"""

from __future__ import annotations

import csv
import functools
import io
from collections.abc import Iterator

from edet.errors import UserError
from edet.files import read_text
from edet.records.sources.annotations import AnnotatedImage, AnnotatedObject, Annotations
from edet.records.sources.example_set import Tally
from edet.records.sources.folder import Folder, by_split, stem_of, usual_split
from edet.records.sources.shapes import BAD_IMAGE, Seen, read_objects, text

_SIDES = ("XMin", "YMin", "XMax", "YMax")
_COLUMNS = ("ImageID", "LabelName", *_SIDES)
_ABSENT = "dropped: image missing or unreadable"
Row = dict[str, str]


def splits(folder: Folder) -> dict[str, tuple[str, ...]]:
    """Returns {split: its files of boxes} of a folder; {} where there is none."""
    names = folder.matching("*.csv")
    return by_split(name for name in names if is_open_images(folder.head(name)))


def is_open_images(head: str) -> bool:
    """Whether a CSV begins with the columns of Open Images' boxes."""
    return set(_COLUMNS) <= set(_header(head))


def _header(head: str) -> list[str]:
    return next(csv.reader(head.splitlines()[:1]), [])


def read(folder: Folder, split: str, files: tuple[str, ...]) -> Annotations:
    """Returns the annotations of one split.

    Raises:
      UserError: a file is no CSV, or none of its pictures is in the folder.
    """
    where = folder.path(files[0])
    found = Annotations(where, [], "xyxy", relative=True, split=split)
    there = {stem_of(name) for name in folder.pictures}
    boxes: dict[str, list[Row]] = {}
    absent: set[str] = set()
    for row in _rows(folder, files, found.tally):
        image_id = row["ImageID"]
        if stem_of(image_id) in there:
            boxes.setdefault(image_id, []).append(row)
        else:
            absent.add(image_id)
    if absent and not boxes:
        raise UserError(
            f"{where}: no picture was found; the first: {min(absent)} is not in {folder.root}."
        )
    if absent:
        detail = f"{len(absent):,} pictures, such as {min(absent)}, are not in {folder.root}"
        found.tally.image_problem(files[0], _ABSENT, detail)
    for row in _rows(folder, _image_lists(folder, split), found.tally):
        if stem_of(row["ImageID"]) in there:
            boxes.setdefault(row["ImageID"], [])
    see = functools.partial(_seen, names=_display_names(folder))
    for image_id, rows in boxes.items():
        objects = read_objects(image_id, rows, see, found.tally)
        found.images.append(AnnotatedImage(image_id, image_id, objects))
    return found


def _rows(folder: Folder, files: tuple[str, ...], tally: Tally) -> Iterator[Row]:
    """Yields the rows with an ImageID of CSVs with a header."""
    for file in files:
        content = read_text(folder.path(file), "Open Images annotations")
        try:
            for number, row in enumerate(csv.DictReader(io.StringIO(content, newline="")), start=2):
                if row["ImageID"]:
                    yield row
                else:
                    tally.image_problem(f"line {number} of {file}", BAD_IMAGE, "it has no ImageID")
        except csv.Error as error:
            raise UserError(f"{folder.path(file)} is not a CSV to its end: {error}.") from error


def _image_lists(folder: Folder, split: str) -> tuple[str, ...]:
    """Returns the CSVs that name the pictures of a split and hold no boxes or labels."""
    csvs = folder.matching("*.csv", beside=True)
    names = [name for name in csvs if usual_split(name) == split]
    headers = {name: _header(folder.head(name)) for name in names}
    return tuple(n for n, h in headers.items() if "ImageID" in h and "LabelName" not in h)


def _display_names(folder: Folder) -> dict[str, str]:
    """Returns {LabelName: what it is called} of class-descriptions*.csv."""
    names: dict[str, str] = {}
    for file in folder.matching("*class-descriptions*.csv", beside=True):
        lines = read_text(folder.path(file), "class descriptions").splitlines()
        for row in csv.reader(lines):
            if len(row) == 2 and row[0] != "LabelName":
                names[row[0]] = row[1]
    return names


def _seen(row: Row, names: dict[str, str]) -> Seen:
    box = tuple(float(row[side]) for side in _SIDES)
    label = text(row["LabelName"])
    is_crowd = float(row.get("IsGroupOf") or 0) == 1
    return Seen(AnnotatedObject(text(names.get(label, label)), box, is_crowd))
