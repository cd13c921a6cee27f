"""Reads boxes as CSV: RetinaNet's, SKU-110K's and makesense.ai's columns, others by their header.

RetinaNet's are path, x1, y1, x2, y2, class, all but the path empty for a picture without objects;
a second CSV may number the classes. SKU-110K has the picture's width and height behind these.
makesense.ai's are class, x, y, width, height of the box, name, width and height of the picture.
With a header the columns may have any order, and one of the usual names; a picture without objects
has empty fields. Commas, semicolons, tabs and bars divide; where no comma does, one may stand for
the point of a number.
A column `bbox` is "[x, y, width, height]" as in Kaggle's sets, which leave out the class where
there is one only, and the rows of pictures without objects.
"""

from __future__ import annotations

import csv
import functools
import io
import itertools
import posixpath
import re
from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

from absl import logging

from edet.errors import UserError
from edet.files import read_text
from edet.records.sources.annotations import AnnotatedImage, AnnotatedObject, Annotations
from edet.records.sources.example_set import Tally
from edet.records.sources.folder import Folder, by_split, is_picture, readings, stem_of, usual_split
from edet.records.sources.open_images import is_open_images
from edet.records.sources.shapes import BAD_IMAGE, ONLY_CLASS, Seen, pixels, read_objects, text

_DELIMITERS = ",;\t|"
# Cells of a header, of which letters and digits count alone: Image_Name, "image name".
_NAMES = {
    "name": (
        "filename", "file", "filepath", "path", "image", "imagepath", "imagename", "imagefile",
        "imagefilename", "img", "imgpath", "imgname", "imageid",
    ),
    "class": (
        "class", "label", "classname", "labelname", "category", "categoryname", "name", "labels",
        "classid", "categoryid", "labelid",
    ),
    "box": ("bbox", "boundingbox"),
    "x": ("bboxx", "x", "xmin", "x1", "left"),
    "y": ("bboxy", "y", "ymin", "y1", "top"),
    "w": ("bboxwidth", "bboxw", "boxwidth", "w"),
    "h": ("bboxheight", "bboxh", "boxheight", "h"),
    "xmin": ("xmin", "x1", "left", "roix1"),
    "ymin": ("ymin", "y1", "top", "roiy1"),
    "xmax": ("xmax", "x2", "right", "roix2"),
    "ymax": ("ymax", "y2", "bottom", "roiy2"),
    "width": ("width", "imagewidth", "imgwidth"),
    "height": ("height", "imageheight", "imgheight"),
}  # fmt: skip
_CORNERS = ("xmin", "ymin", "xmax", "ymax")
_CORNER_AND_SIDES = ("x", "y", "w", "h")
_SIDES = ("height", "width")
_TWICE = "dropped: box that another file has too"
_NO_ROW = "without a row (taken as without objects)"
# A number of a class, of a column in which other rows are empty: pandas writes 3 as 3.0 there.
_AS_FLOAT = re.compile(r"^(\d+)\.0+$")
_TRIED = 20  # rows, all of which must be of the layout
_BOXES = (set(_CORNERS), set(_CORNER_AND_SIDES), {"box"})
_RETINANET = {key: k for k, key in enumerate(("name", *_CORNERS, "class"))}
_SKU = _RETINANET | {"width": 6, "height": 7}
_MAKESENSE = {
    key: k for k, key in enumerate(("class", *_CORNER_AND_SIDES, "name", "width", "height"))
}


class _Layout(NamedTuple):
    """How a CSV is written."""

    delimiter: str
    columns: dict[str, int]  # {what: number of the column}
    has_header: bool

    def has_lists(self) -> bool:
        """Whether a box is one field, x, y, width, height."""
        return "box" in self.columns

    def has_corners(self) -> bool:
        """Whether a box is its corners, not its upper left corner and its sides."""
        return self.columns.keys() >= set(_CORNERS)

    def box(self, row: Sequence[str]) -> list[str]:
        """The fields of a row's box, or the parts of its only one."""
        if self.has_lists():
            return row[self.columns["box"]].strip(" []()").split(",")
        keys = _CORNERS if self.has_corners() else _CORNER_AND_SIDES
        return [row[self.columns[key]] for key in keys]


def splits(folder: Folder) -> dict[str, tuple[str, ...]]:
    """Returns {split: its files} of a folder; {} where there is none."""
    names = folder.matching("*.csv", "*.tsv")
    heads = ((name, folder.head(name)) for name in names)
    return by_split(name for name, head in heads if _layout(head) and not is_open_images(head))


def _layout(head: str) -> _Layout | None:
    """Returns how the first rows are to be read; None where they are no table of boxes."""
    for delimiter in _DELIMITERS:
        try:
            reader = _reader(io.StringIO(head, newline=""), delimiter)
            rows = [row for row in itertools.islice(reader, _TRIED) if any(row)]
        except csv.Error:
            continue
        if not rows:
            continue
        columns = _columns(rows[0])
        if "name" in columns and any(columns.keys() >= box for box in _BOXES):
            return _Layout(delimiter, columns, True)
        for known in (_RETINANET, _SKU, _MAKESENSE):
            layout = _Layout(delimiter, known, False)
            if all(_is_written_so(row, layout) for row in rows):
                return layout
    return None


def _columns(header: Sequence[str]) -> dict[str, int]:
    """Returns {what: number of the column} of a header."""
    cells = ["".join(filter(str.isalnum, cell.lower())) for cell in header]
    columns = {
        what: cells.index(next(name for name in names if name in cells))
        for what, names in _NAMES.items()
        if set(names) & set(cells)
    }
    is_corner_alone = columns.keys() >= {"x", "y", *_SIDES} and not columns.keys() & {
        "w", "h", "xmax", "ymax",
    }  # fmt: skip
    if is_corner_alone and {"width", "height"} <= set(cells):  # then these are the box's
        columns |= {"w": columns.pop("width"), "h": columns.pop("height")}
    if any(columns.keys() >= box for box in _BOXES[:2]):
        columns.pop("box", None)
    return columns


def _reader(content: io.StringIO, delimiter: str) -> Iterator[list[str]]:
    """Yields the rows; a cell in quotes may stand behind a space."""
    return csv.reader(content, delimiter=delimiter, skipinitialspace=True)


def _is_written_so(row: Sequence[str], layout: _Layout) -> bool:
    """Whether a row is one of a table without a header: a picture, and four numbers or nothing."""
    columns = layout.columns
    name = row[columns["name"]].strip() if len(row) == len(columns) else ""
    if not any(map(is_picture, readings(name))):
        return False
    cells = layout.box(row)
    try:
        is_empty = not any(cell.strip() for cell in (*cells, row[columns["class"]]))
        return is_empty or bool(_numbers(cells, layout.delimiter))
    except ValueError:
        return False


def _numbers(cells: Sequence[str], delimiter: str) -> tuple[float, ...]:
    """Returns four numbers; where no comma divides, one may stand for the point."""
    point = "," if delimiter == "," else "."
    return tuple(float(cell.replace(",", point)) for cell in cells)


def read(folder: Folder, split: str, files: tuple[str, ...]) -> Annotations:
    """Returns the annotations of one split.

    Raises:
      UserError: a file is not UTF-8, or no CSV to its end, or has other boxes than the first.
    """
    where = folder.path(files[0])
    layouts = {file: _layout_of(folder, file) for file in files}
    first = layouts[files[0]]
    found = Annotations(where, [], "xyxy" if first.has_corners() else "xywh", split=split)
    found.base = posixpath.dirname(files[0])
    pictures: dict[tuple[str, str], AnnotatedImage] = {}  # several files may tell of one
    for file, layout in layouts.items():
        base = posixpath.dirname(file)
        if (layout.has_lists(), layout.has_corners()) != (first.has_lists(), first.has_corners()):
            raise UserError(
                f"{where} and {folder.path(file)} are of one split, and their boxes are written in "
                "two ways; give each a folder of its own."
            )
        if "class" not in layout.columns:
            logging.warning(
                "%s has no column that edet knows as one of classes (class, label, ...); all boxes "
                "are of one class, %r.", folder.path(file), ONLY_CLASS,
            )  # fmt: skip
        found.labels |= {} if layout.has_header else _class_ids(folder)
        ids = {name: class_id for class_id, name in found.labels.items()}
        see = functools.partial(_seen, layout=layout, ids=ids)
        by_name = _rows(folder.path(file), layout, file, found.tally)
        sized = not _is_of_boxes(by_name, layout)
        for name, rows in by_name.items():
            objects = read_objects(name, filter(_has_box(layout), rows), see, found.tally)
            known = layout.columns if sized else ()
            cells = [rows[0][layout.columns[k]] if k in known else "" for k in _SIDES]
            image = AnnotatedImage(name, name, objects, *map(pixels, cells), base=base)
            before = pictures.setdefault((base, name), image)
            if before is not image:
                new = [one for one in objects if one not in before.objects]
                found.tally.box_problem(name, _TWICE, len(objects) - len(new))
                before.objects.extend(new)
    found.images = list(pictures.values())
    if first.has_lists():
        _add_pictures_without_rows(folder, found, files)
    return found


def _layout_of(folder: Folder, file: str) -> _Layout:
    layout = _layout(folder.head(file))
    if layout is None:
        raise UserError(f"{folder.path(file)} has no columns of boxes; see docs/data.md.")
    return layout


def _add_pictures_without_rows(folder: Folder, found: Annotations, files: Sequence[str]) -> None:
    """Adds the pictures beside those that have rows, unless another split's table may have them."""
    tables = folder.matching("*.csv", "*.tsv", beside=True)
    if any(_layout(folder.head(name)) for name in tables if name not in files):
        return
    named = {stem_of(image.name) for image in found.images}
    rooms = {posixpath.dirname(name) for name in folder.pictures if stem_of(name) in named}
    if found.split:
        rooms = {room for room in rooms if usual_split(room) in ("", found.split)}
    for name in folder.pictures:
        if posixpath.dirname(name) in rooms and stem_of(name) not in named:
            found.tally.image_problem(name, _NO_ROW)
            found.images.append(AnnotatedImage(name, name, [], base=""))


def _is_of_boxes(pictures: dict[str, list[list[str]]], layout: _Layout) -> bool:
    """Whether the columns width and height are those of every box, not of its picture."""
    if not layout.columns.keys() >= {*_CORNERS, *_SIDES}:
        return False
    rows = [row for rows in pictures.values() for row in filter(_has_box(layout), rows)]
    try:
        return bool(rows) and all(_has_sides(row, layout) for row in rows)
    except ValueError:
        return False


def _has_sides(row: list[str], layout: _Layout) -> bool:
    columns = [layout.columns[key] for key in (*_CORNERS, *reversed(_SIDES))]
    xmin, ymin, xmax, ymax, width, height = _numbers([row[k] for k in columns], layout.delimiter)
    return abs(xmax - xmin - width) <= 1 and abs(ymax - ymin - height) <= 1


def _rows(path: str, layout: _Layout, file: str, tally: Tally) -> dict[str, list[list[str]]]:
    """Returns {name of a picture: its rows}."""
    content = io.StringIO(read_text(path, "boxes"), newline="")
    found: dict[str, list[list[str]]] = {}
    last = max(layout.columns.values())
    try:
        for number, row in enumerate(_reader(content, layout.delimiter), start=1):
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


def _has_box(layout: _Layout) -> Callable[[list[str]], bool]:
    """Returns whether a row is an object, not a picture without any."""
    return lambda row: any(cell.strip() for cell in layout.box(row))


def _class_ids(folder: Folder) -> dict[int, str]:
    """Returns {id: name} of RetinaNet's second file, name,id; {} where there is none."""
    for file in folder.matching("*class*.csv", beside=True):
        rows = [row for row in csv.reader(folder.head(file).splitlines()) if row]
        if rows and all(len(row) == 2 and _is_id(row[1].strip()) for row in rows):
            return {int(row[1]): row[0].strip() for row in rows}
    return {}


def _is_id(cell: str) -> bool:
    return cell.isdecimal() and len(cell) < 19


def _seen(row: list[str], layout: _Layout, ids: dict[str, int]) -> Seen:
    cells = layout.box(row)
    if len(cells) != len(_CORNERS):
        raise ValueError(f"its box {row[layout.columns['box']]!r} is not [x, y, width, height]")
    name = text(row[layout.columns["class"]]) if "class" in layout.columns else ONLY_CLASS
    name = _AS_FLOAT.sub(r"\1", name)
    return Seen(AnnotatedObject(ids.get(name, name), _numbers(cells, layout.delimiter)))
