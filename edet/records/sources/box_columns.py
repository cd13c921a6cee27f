"""The columns of a table of boxes: found by their header, or known where there is none.

RetinaNet's are path, x1, y1, x2, y2, class, all but the path empty for a picture without objects.
SKU-110K has the picture's width and height behind these. makesense.ai's are class, x, y, width,
height of the box, name, width and height of the picture. Google's AutoML (and TF Lite's Model
Maker) has split, path, class and two or four corners, x and y each, of which the first and the
third are those of the box. With a header the columns may have any order, and one of their usual
names.
"""

from __future__ import annotations

import csv
import io
import itertools
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from edet.records.sources.folder import is_picture, readings, usual_split
from edet.records.sources.units import BoxFormat

_DELIMITERS = ",;\t|"
# Cells of a header, of which letters and digits count alone: Image_Name, "image name".
_NAMES = {
    "name": (
        "filename", "file", "filepath", "path", "image", "imagepath", "imagename", "imagefile",
        "imagefilename", "img", "imgpath", "imgname", "imageid", "frame",
    ),
    "class": (  # names before what may be their numbers
        "classname", "labelname", "categoryname", "tagname", "class", "label", "category", "tag",
        "name", "labels", "classid", "categoryid", "labelid", "annotationtag",
    ),
    "split": ("split", "subset", "set", "mluse", "usage", "partition"),
    "box": ("bbox", "boundingbox"),
    "cx": ("xcenter", "xcentre", "centerx", "centrex", "cx", "xc", "bboxxcenter", "bboxcx"),
    "cy": ("ycenter", "ycentre", "centery", "centrey", "cy", "yc", "bboxycenter", "bboxcy"),
    "x": ("bboxx", "x", "xmin", "x1", "left"),
    "y": ("bboxy", "y", "ymin", "y1", "top"),
    "w": ("bboxwidth", "bboxw", "boxwidth", "w"),
    "h": ("bboxheight", "bboxh", "boxheight", "h"),
    "xmin": ("xmin", "x1", "left", "roix1", "xtl", "startx", "topleftx", "upperleftcornerx"),
    "ymin": ("ymin", "y1", "top", "roiy1", "ytl", "starty", "toplefty", "upperleftcornery"),
    "xmax": ("xmax", "x2", "right", "roix2", "xbr", "endx", "bottomrightx", "lowerrightcornerx"),
    "ymax": ("ymax", "y2", "bottom", "roiy2", "ybr", "endy", "bottomrighty", "lowerrightcornery"),
    "width": ("width", "imagewidth", "imgwidth"),
    "height": ("height", "imageheight", "imgheight"),
}  # fmt: skip
_FROM_0 = {"x0": "xmin", "y0": "ymin", "x1": "xmax", "y1": "ymax"}  # beside x0, x1 is a second one
CORNERS = ("xmin", "ymin", "xmax", "ymax")
SIDES = ("height", "width")
_BOXES: dict[tuple[str, ...], BoxFormat] = {  # the first that a table has counts
    CORNERS: "xyxy", ("cx", "cy", "w", "h"): "cxcywh", ("x", "y", "w", "h"): "xywh",
    ("box",): "xywh",
}  # fmt: skip
_TRIED = 20  # rows, most of which must be of the layout
_RETINANET = {key: k for k, key in enumerate(("name", *CORNERS, "class"))}
_SKU = _RETINANET | {"width": 6, "height": 7}
_MAKESENSE = {
    key: k for k, key in enumerate(("class", "x", "y", "w", "h", "name", "width", "height"))
}
_GOOGLE = {"split": 0, "name": 1, "class": 2, "xmin": 3, "ymin": 4, "xmax": 7, "ymax": 8}
_WITHOUT_HEADER = ((6, _RETINANET), (8, _SKU), (8, _MAKESENSE), (11, _GOOGLE))  # fields, columns


class Layout(NamedTuple):
    """How a table is written."""

    delimiter: str
    columns: dict[str, int]  # {what: number of the column}
    has_header: bool

    def box_columns(self) -> tuple[str, ...]:
        """The columns that a box is of: four, or one that holds it all."""
        return next(keys for keys in _BOXES if self.columns.keys() >= set(keys))

    def box_format(self) -> BoxFormat:
        """Which four numbers a box is."""
        return _BOXES[self.box_columns()]

    def has_lists(self) -> bool:
        """Whether a box is one field, x, y, width, height."""
        return self.box_columns() == ("box",)

    def box(self, row: Sequence[str]) -> list[str]:
        """The fields of a row's box, or the parts of its only one."""
        if self.has_lists():
            return row[self.columns["box"]].strip(" []()").split(",")
        return [row[self.columns[key]] for key in self.box_columns()]

    def has_box(self, row: Sequence[str]) -> bool:
        """Whether a row is an object, not a picture without any."""
        return any(cell.strip() for cell in self.box(row))

    def numbers(self, cells: Sequence[str]) -> tuple[float, ...]:
        """Returns numbers; where no comma divides, one may stand for the point."""
        point = "," if self.delimiter == "," else "."
        return tuple(float(cell.replace(",", point)) for cell in cells)


def layout_of(head: str) -> Layout | None:
    """Returns how the first rows are to be read; None where they are no table of boxes."""
    for delimiter in _DELIMITERS:
        try:
            reader = rows_of(io.StringIO(head, newline=""), delimiter)
            rows = [row for row in itertools.islice(reader, _TRIED) if any(row)]
        except csv.Error:
            continue
        if not rows:
            continue
        columns = _columns(rows[0])
        if "name" in columns and any(columns.keys() >= set(box) for box in _BOXES):
            return Layout(delimiter, columns, True)
        for count, known in _WITHOUT_HEADER:
            layout = Layout(delimiter, known, False)
            # Single ones may be damaged, and are named; a first one without a picture is a header
            # in words that nobody knows, and the columns may have any order.
            fitting = [row for row in rows if len(row) == count and _is_written_so(row, layout)]
            if _has_picture(rows[0], layout) and 2 * len(fitting) > len(rows):
                return layout
    return None


def rows_of(content: io.StringIO, delimiter: str) -> Iterator[list[str]]:
    """Yields the rows; a cell in quotes may stand behind a space."""
    return csv.reader(content, delimiter=delimiter, skipinitialspace=True)


def _columns(header: Sequence[str]) -> dict[str, int]:
    """Returns {what: number of the column} of a header."""
    cells = ["".join(filter(str.isalnum, cell.lower())) for cell in header]
    if set(cells) >= _FROM_0.keys():
        cells = [_FROM_0.get(cell, cell) for cell in cells]
    columns = {
        what: cells.index(next(name for name in names if name in cells))
        for what, names in _NAMES.items()
        if set(names) & set(cells)
    }
    has_sides = columns.keys() & {"w", "h", "xmax", "ymax"}
    has_place = columns.keys() >= {"x", "y"} or columns.keys() >= {"cx", "cy"}
    if has_place and not has_sides and {"width", "height"} <= set(cells):  # these are the box's
        columns |= {"w": columns.pop("width"), "h": columns.pop("height")}
        others = {"width": "imagewidth", "height": "imageheight"}
        columns |= {what: cells.index(name) for what, name in others.items() if name in cells}
    return columns


def _is_written_so(row: Sequence[str], layout: Layout) -> bool:
    """Whether a row is one of a table without a header: a picture, and four numbers or nothing."""
    columns = layout.columns
    if not _has_picture(row, layout):
        return False
    if "split" in columns and not is_split(row[columns["split"]]):
        return False
    cells = layout.box(row)
    try:
        is_empty = not any(cell.strip() for cell in (*cells, row[columns["class"]]))
        return is_empty or bool(layout.numbers(cells))
    except ValueError:
        return False


def _has_picture(row: Sequence[str], layout: Layout) -> bool:
    column = layout.columns["name"]
    return len(row) > column and any(map(is_picture, readings(row[column].strip())))


def is_split(cell: str) -> bool:
    """Whether a cell of a column of splits says which one, or that it is none."""
    return bool(usual_split(cell)) or cell.strip().lower() in ("", "unassigned")
