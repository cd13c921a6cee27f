"""The measured rows: kept in compile_results.json, shown as a table in the README beside it."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence

from edet.errors import UserError
from edet.files import read_text, write_json, write_text
from tpu.compile_check.report import Row, largest_table, table

_FOLDER = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
RESULTS = os.path.join(_FOLDER, "compile_results.json")
README = os.path.join(_FOLDER, "README.md")
BEGIN, END = "<!-- compile table -->", "<!-- end of compile table -->"
# What was compiled; rows that agree in it are one measurement, done again.
_KEY = (
    "model", "image_size", "step", "topology", "replicas", "batch_size", "precision", "remat",
    "micro_batches",
)  # fmt: skip

_DEVICES = ("v2", "v3", "v4", "v5e", "v5p", "v6e")


def read_rows(path: str = RESULTS) -> list[Row]:
    """Returns the rows measured so far."""
    return json.loads(read_text(path, "compile results")) if os.path.exists(path) else []


def find_row(rows: Sequence[Row], wanted: Row) -> Row | None:
    """Returns the row that measured the same as `wanted`, or None."""
    return next((row for row in rows if _key(row) == _key(wanted)), None)


def save_row(row: Row, path: str = RESULTS) -> None:
    """Adds a row to the file."""
    write_json(path, with_row(read_rows(path), row))


def with_row(rows: Sequence[Row], row: Row) -> list[Row]:
    """Returns the rows in order with one more, in the place of an earlier one of the same step."""
    return sorted([*(other for other in rows if _key(other) != _key(row)), row], key=_order)


def write_table(readme: str = README, results: str = RESULTS) -> None:
    """Writes the tables of all rows between its two marks in the README.

    Raises:
      UserError: the marks are not there.
    """
    text = read_text(readme, "the README of the table")
    write_text(readme, with_table(text, tables(read_rows(results)), readme))


def tables(rows: Sequence[Row]) -> str:
    """Returns how many images fit, and all rows."""
    return f"{largest_table(rows)}\n\n{table(rows)}"


def with_table(text: str, new: str, name: str) -> str:
    """Returns a text with what is between the marks replaced."""
    before, begin, rest = text.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not (begin and end):
        raise UserError(f"{name} has no lines {BEGIN!r} and {END!r} for the table; add them.")
    return f"{before}{BEGIN}\n{new}\n{END}{after}"


def _key(row: Row) -> tuple:
    return tuple(row.get(name) for name in _KEY)


def _order(row: Row) -> tuple:
    """Devices by age, models by size, training first, small batches first."""
    kind, model = row["topology"].partition(":")[0], row["model"].replace("d7x", "d8")
    age = _DEVICES.index(kind) if kind in _DEVICES else len(_DEVICES)
    settings = (row.get("remat", False), row.get("micro_batches", 1), row["images_per_core"])
    return (age, model, row["step"] != "train", *settings, row["replicas"])
