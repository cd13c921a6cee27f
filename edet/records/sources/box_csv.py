"""Reads boxes as a table, CSV or text: `box_columns` says which columns there may be.

A second CSV may number RetinaNet's classes. With a header a picture without objects has empty
fields. Commas, semicolons, tabs and bars divide; where no comma does, one may stand for the point
of a number.
A column `bbox` is "[x, y, width, height]" as in Kaggle's sets, which leave out the class where
there is one only, and the rows of pictures without objects. Boxes are shares of the picture where
no number is above 1. A column may say of which split a row is.
"""

from __future__ import annotations

import csv
import functools
import io
import posixpath
import re
from collections.abc import Iterable, Sequence

import numpy as np
from absl import logging

from edet.errors import UserError
from edet.files import read_text
from edet.records.sources.annotations import AnnotatedImage, AnnotatedObject, Annotations
from edet.records.sources.box_columns import CORNERS, SIDES, Layout, is_split, layout_of, rows_of
from edet.records.sources.example_set import Tally
from edet.records.sources.folder import Folder, stem_of, usual_split
from edet.records.sources.open_images import is_open_images
from edet.records.sources.shapes import BAD_IMAGE, ONLY_CLASS, Seen, pixels, read_objects, text

_TABLES = ("*.csv", "*.tsv")
_TWICE = "dropped: box that another file has too"
_NO_ROW = "without a row (taken as without objects)"
# A number of a class, of a column in which other rows are empty: pandas writes 3 as 3.0 there.
_AS_FLOAT = re.compile(r"^(\d+)\.0+$")


def splits(folder: Folder) -> dict[str, tuple[str, ...]]:
    """Returns {split: its files} of a folder; {} where there is none."""
    found: dict[str, tuple[str, ...]] = {}
    for name in [*folder.matching(*_TABLES), *folder.texts_of_many()]:
        head = folder.head(name)
        layout = None if is_open_images(head) else layout_of(head)
        if layout:
            for split in _splits_of(folder, name, layout) or (usual_split(name),):
                found[split] = (*found.get(split, ()), name)
    return found


def _splits_of(folder: Folder, name: str, layout: Layout) -> Iterable[str]:
    """Returns the splits that the rows of a table name; none where it has no column of them."""
    if "split" not in layout.columns:
        return ()
    rows = _rows(folder.path(name), layout, name, Tally())
    cells = {row[layout.columns["split"]]: None for of_one in rows.values() for row in of_one}
    named = {usual_split(cell): None for cell in cells}
    return named if all(map(is_split, cells)) and any(named) else ()


def read(folder: Folder, split: str, files: tuple[str, ...]) -> Annotations:
    """Returns the annotations of one split.

    Raises:
      UserError: a file is not UTF-8, or no CSV to its end, or has other boxes than the first.
    """
    where = folder.path(files[0])
    layouts = {file: _layout_of(folder, file) for file in files}
    first = layouts[files[0]]
    found = Annotations(where, [], first.box_format(), split=split)
    found.base = posixpath.dirname(files[0])
    pictures: dict[tuple[str, str], AnnotatedImage] = {}  # several files may tell of one
    for file, layout in layouts.items():
        base = posixpath.dirname(file)
        if (layout.has_lists(), layout.box_format()) != (first.has_lists(), first.box_format()):
            raise UserError(
                f"{where} and {folder.path(file)} are of one split, and their boxes are written in "
                "two ways; give each a folder of its own."
            )
        if "class" not in layout.columns:
            logging.warning(
                "%s has no column that edet knows as one of classes (class, label, ...; it begins "
                "with %r); all boxes are of one class, %r.", folder.path(file),
                folder.head(file).partition("\n")[0].strip()[:80], ONLY_CLASS,
            )  # fmt: skip
        found.labels |= {} if layout.has_header else _class_ids(folder)
        ids = {name: class_id for class_id, name in found.labels.items()}
        see = functools.partial(_seen, layout=layout, ids=ids)
        by_name = _rows(folder.path(file), layout, file, found.tally)
        if _splits_of(folder, file, layout):
            by_name = _of_split(by_name, split, layout.columns["split"])
        sized = not _is_of_boxes(by_name, layout)
        for name, rows in by_name.items():
            objects = read_objects(name, filter(layout.has_box, rows), see, found.tally)
            known = layout.columns if sized else ()
            cells = [rows[0][layout.columns[k]] if k in known else "" for k in SIDES]
            image = AnnotatedImage(name, name, objects, *map(pixels, cells), base=base)
            before = pictures.setdefault((base, name), image)
            if before is not image:
                new = [one for one in objects if one not in before.objects]
                found.tally.box_problem(name, _TWICE, len(objects) - len(new))
                before.objects.extend(new)
    found.images = list(pictures.values())
    found.relative = _are_shares(found)
    if first.has_lists():
        _add_pictures_without_rows(folder, found, files)
    return found


def _layout_of(folder: Folder, file: str) -> Layout:
    layout = layout_of(folder.head(file))
    if layout is None:
        raise UserError(f"{folder.path(file)} has no columns of boxes; see docs/data.md.")
    return layout


def _of_split(
    by_name: dict[str, list[list[str]]], split: str, column: int
) -> dict[str, list[list[str]]]:
    """Returns the rows of one split, by picture."""
    kept = {
        name: [row for row in rows if usual_split(row[column]) == split]
        for name, rows in by_name.items()
    }
    return {name: rows for name, rows in kept.items() if rows}


def _are_shares(found: Annotations) -> bool:
    """Whether boxes are shares of the picture: no object is as small as a pixel at its corner."""
    boxes = np.array([thing.box for image in found.images for thing in image.objects])
    return bool(boxes.size) and bool(np.nanmax(np.abs(boxes)) <= 1)


def _add_pictures_without_rows(folder: Folder, found: Annotations, files: Sequence[str]) -> None:
    """Adds the pictures beside those that have rows, unless another split's table may have them."""
    tables = folder.matching(*_TABLES, beside=True)
    if any(layout_of(folder.head(name)) for name in tables if name not in files):
        return
    named = {stem_of(image.name) for image in found.images}
    rooms = {posixpath.dirname(name) for name in folder.pictures if stem_of(name) in named}
    if found.split:
        rooms = {room for room in rooms if usual_split(room) in ("", found.split)}
    for name in folder.pictures:
        if posixpath.dirname(name) in rooms and stem_of(name) not in named:
            found.tally.image_problem(name, _NO_ROW)
            found.images.append(AnnotatedImage(name, name, [], base=""))


def _is_of_boxes(pictures: dict[str, list[list[str]]], layout: Layout) -> bool:
    """Whether the columns width and height are those of every box, not of its picture."""
    if not layout.columns.keys() >= {*CORNERS, *SIDES}:
        return False
    rows = [row for rows in pictures.values() for row in filter(layout.has_box, rows)]
    try:
        return bool(rows) and all(_has_sides(row, layout) for row in rows)
    except ValueError:
        return False


def _has_sides(row: list[str], layout: Layout) -> bool:
    columns = [layout.columns[key] for key in (*CORNERS, *reversed(SIDES))]
    xmin, ymin, xmax, ymax, width, height = layout.numbers([row[k] for k in columns])
    return abs(xmax - xmin - width) <= 1 and abs(ymax - ymin - height) <= 1


def _rows(path: str, layout: Layout, file: str, tally: Tally) -> dict[str, list[list[str]]]:
    """Returns {name of a picture: its rows}."""
    content = io.StringIO(read_text(path, "boxes"), newline="")
    found: dict[str, list[list[str]]] = {}
    last = max(layout.columns.values())
    try:
        for number, row in enumerate(rows_of(content, layout.delimiter), start=1):
            if not any(row) or (number == 1 and layout.has_header):
                continue
            name = row[layout.columns["name"]].strip() if len(row) > last else ""
            if name:
                found.setdefault(name, []).append(row)
            else:
                detail = f"it has {len(row)} fields" if len(row) <= last else "it has no name"
                tally.image_problem(f"line {number} of {file}", BAD_IMAGE, detail)
    except csv.Error as error:
        raise UserError(f"{path} is not a CSV to its end: {error}.") from error
    return found


def _class_ids(folder: Folder) -> dict[int, str]:
    """Returns {id: name} of RetinaNet's second file, name,id; {} where there is none."""
    for file in folder.matching("*class*.csv", beside=True):
        rows = [row for row in csv.reader(folder.head(file).splitlines()) if row]
        if rows and all(len(row) == 2 and _is_id(row[1].strip()) for row in rows):
            return {int(row[1]): row[0].strip() for row in rows}
    return {}


def _is_id(cell: str) -> bool:
    return cell.isdecimal() and len(cell) < 19


def _seen(row: list[str], layout: Layout, ids: dict[str, int]) -> Seen:
    cells = layout.box(row)
    if len(cells) != len(CORNERS):
        raise ValueError(f"its box {row[layout.columns['box']]!r} is not [x, y, width, height]")
    name = text(row[layout.columns["class"]]) if "class" in layout.columns else ONLY_CLASS
    name = _AS_FLOAT.sub(r"\1", name)
    return Seen(AnnotatedObject(ids.get(name, name), layout.numbers(cells)))
