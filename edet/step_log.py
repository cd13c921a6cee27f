"""The CSV files of a run: a row a step, in order, also when it resumes from an earlier step."""

from __future__ import annotations

import csv
import io
import math
import time
from collections.abc import Collection, Mapping, Sequence
from typing import Any

import tensorflow as tf

from edet.errors import UserError
from edet.files import append_text, read_text, write_text


class StepLog:
    """Writes one of them.

    Args:
      path: the file; gs:// works.
      seconds: between two writes. A bucket cannot append, so each is the whole file anew.
    """

    def __init__(self, path: str, seconds: float = 0.0):
        self.path = path
        self._seconds, self._written = seconds, time.monotonic()
        self._columns: Collection[str] = ()
        self._next: float = math.inf  # step after the last row, as far as this process knows
        self._waiting: list[Mapping[str, Any]] = []

    def start(self, first_step: int, columns: Collection[str]) -> None:
        """Makes the file, or forgets its rows from `first_step` on, which will be written again."""
        self.flush()
        self._columns = columns
        kept = [row for row in _read_rows(self.path) if int(row["step"]) < first_step]
        text = ",".join(columns) + "\n" + self._to_csv(kept)
        # Rows that come again, or half of one; a header alone where there is no file.
        if not tf.io.gfile.exists(self.path) or text != read_text(self.path, "log"):
            write_text(self.path, text)
        self._next = first_step

    def add(self, rows: Sequence[Mapping[str, Any]]) -> None:
        """Appends rows: at once, or when `seconds` are over or `flush` is called.

        Args:
          rows: by rising "step", an int. Where nothing is started the first gives the columns;
            rows of its step and later ones are forgotten.
        """
        if (first := rows[0]["step"]) < self._next:
            self.start(first, self._columns or rows[0].keys())
        self._waiting += rows
        self._next = rows[-1]["step"] + 1
        if time.monotonic() - self._written >= self._seconds:
            self.flush()

    def flush(self) -> None:
        """Writes the rows that wait."""
        if self._waiting:
            append_text(self.path, self._to_csv(self._waiting))
            self._waiting, self._written = [], time.monotonic()

    def _to_csv(self, rows: Sequence[Mapping[str, Any]]) -> str:
        text = io.StringIO()
        csv.DictWriter(
            text, list(self._columns), extrasaction="ignore", lineterminator="\n"
        ).writerows(rows)
        return text.getvalue()


def read_steps(path: str) -> list[dict[str, float]]:
    """Returns the rows of a log, {"step": 300, "total_loss": 0.5, ...}; none if it is not there.

    Empty cells and incomplete rows are left out.

    Raises:
      UserError: it cannot be read or holds something else than numbers; StorageError: its disk or
        bucket does not answer now.
    """
    try:
        return [
            {name: float(cell) for name, cell in row.items() if cell} | {"step": int(row["step"])}
            for row in _read_rows(path)
        ]
    except (ValueError, csv.Error) as error:
        raise UserError(f"{path} is not a log of a run: {error}.") from error


def _read_rows(path: str) -> list[dict[str, str]]:
    """Returns the complete rows; a killed process or full disk leaves others, also within."""
    if not tf.io.gfile.exists(path):
        return []
    whole, _, _ = read_text(path, "log").rpartition("\n")  # not a half-written last row
    return [
        row
        for row in csv.DictReader(io.StringIO(whole))
        if None not in row and None not in row.values() and row.get("step", "").isdigit()
    ]
