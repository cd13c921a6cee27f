"""What a run tells while it goes: lines with the time left, history.csv, TensorBoard."""

from __future__ import annotations

import csv
import datetime
import io
import os
import time
from collections.abc import Sequence

import numpy as np
import tensorflow as tf
from rich.console import Console

from edet.errors import UserError
from edet.files import read_text, reason, write_text

COLUMNS = (
    "step", "total_loss", "class_loss", "box_loss", "iou_loss", "l2_loss", "learning_rate",
    "gradient_norm", "positives", "dropped_boxes", "replaced_images", "images_per_second",
)  # fmt: skip


_WARNINGS = {
    "dropped_boxes": "boxes did not fit into data.max_boxes and were left out",
    "replaced_images": "images could not be decoded (named above) and were replaced",
}


class History:
    """history.csv: one row a step, kept in order when a run goes on from an earlier step."""

    def __init__(self, path: str, first_step: int):
        """Opens the file and forgets rows from `first_step` on; they will be written again."""
        self.path = path
        if not tf.io.gfile.exists(path):
            write_text(path, ",".join(COLUMNS) + "\n")
            return
        rows = read_history(path)
        kept = [row for row in rows if int(row["step"]) < first_step]
        if len(kept) < len(rows):
            write_text(path, _to_csv(kept, header=True))

    def add(self, rows: Sequence[dict[str, float]]) -> None:
        """Appends rows."""
        try:
            with tf.io.gfile.GFile(self.path, "a") as file:
                file.write(_to_csv(rows, header=False))
        except (OSError, tf.errors.OpError) as error:
            raise UserError(f"cannot write {self.path}: {reason(error)}") from error


def read_history(path: str) -> list[dict[str, str]]:
    """Returns the complete rows of a history.csv, in order; a half-written last one is left out."""
    rows = csv.DictReader(io.StringIO(read_text(path, "history")))
    return [row for row in rows if None not in row.values() and row["step"].isdigit()]


def _to_csv(rows: Sequence[dict], header: bool, columns: Sequence[str] = COLUMNS) -> str:
    text = io.StringIO()
    writer = csv.DictWriter(text, columns, extrasaction="ignore", lineterminator="\n")
    if header:
        writer.writeheader()
    writer.writerows(rows)
    return text.getvalue()


class Reporter:
    """Prints a line an interval with the time left, and writes the history and TensorBoard."""

    def __init__(self, workdir: str, first_step: int, total_steps: int, batch_size: int):
        self.total_steps, self.batch_size = total_steps, batch_size
        self.console = Console(soft_wrap=True)
        self.history = History(os.path.join(workdir, "history.csv"), first_step)
        self.board = tf.summary.create_file_writer(os.path.join(workdir, "tensorboard"))
        self._rates: list[float] = []
        self._warned: set[str] = set()
        self._started = time.monotonic()

    def start_interval(self) -> None:
        """Starts the clock; what lies between two intervals is not training time."""
        self._started = time.monotonic()

    def end_interval(self, last_step: int, metrics: dict[str, np.ndarray]) -> None:
        """Records the steps of an interval.

        Args:
          last_step: updates done by now.
          metrics: {name: [n]} of the last n steps.
        """
        count = len(metrics["total_loss"])
        rate = count * self.batch_size / (time.monotonic() - self._started)
        self._rates.append(rate)
        rows = [
            {name: f"{values[i]:.7g}" for name, values in metrics.items()}
            | {"step": last_step - count + i, "images_per_second": f"{rate:.2f}"}
            for i in range(count)
        ]
        self.history.add(rows)
        means = {name: float(np.mean(values)) for name, values in metrics.items()}
        with self.board.as_default(last_step):
            for name, value in means.items():
                tf.summary.scalar(f"train/{name}", value)
            tf.summary.scalar("train/images_per_second", rate)
        self.board.flush()
        self.console.print(self._line(last_step, means, rate), highlight=False)
        self._warn_once(metrics)

    def _warn_once(self, metrics: dict[str, np.ndarray]) -> None:
        for name, text in _WARNINGS.items():
            count = int(metrics[name].sum())
            if count and name not in self._warned:
                self._warned.add(name)
                self.console.print(
                    f"warning: {count} {text}; history.csv counts them step by step.",
                    style="yellow", highlight=False,
                )  # fmt: skip

    def _line(self, step: int, means: dict[str, float], rate: float) -> str:
        # The first interval holds the compilation; the estimate forgets it as soon as it can.
        usual = float(np.median(self._rates[1:] or self._rates))
        left = round((self.total_steps - step) * self.batch_size / usual)
        return (
            f"step {step}/{self.total_steps}  loss {means['total_loss']:.4f} (class "
            f"{means['class_loss']:.4f} box {means['box_loss']:.5f} L2 {means['l2_loss']:.4f})  "
            f"rate {means['learning_rate']:.4g}  {rate:.1f} images/s  "
            f"left {datetime.timedelta(seconds=left)}"
        )

    def evaluation(self, step: int, metrics: dict[str, float], picture: str) -> None:
        """Shows an evaluation's numbers and its page of drawn examples (a PNG) in TensorBoard."""
        with self.board.as_default(step):
            for name, value in metrics.items():
                tf.summary.scalar(f"eval/{name}", value)
            page = tf.io.decode_png(tf.io.read_file(picture), channels=3)
            tf.summary.image("eval/examples", page[None])
        self.board.flush()

    def summary(self) -> dict[str, float]:
        """Returns the usual speed of the run."""
        usual = float(np.median(self._rates[1:] or self._rates)) if self._rates else 0.0
        return {"images_per_second": round(usual, 2)}


def append_evaluation(path: str, step: int, metrics: dict[str, float]) -> None:
    """Adds a row to evaluations.csv; a row of the same step, from before a restart, is replaced."""
    rows = []
    if tf.io.gfile.exists(path):
        rows = list(csv.DictReader(io.StringIO(read_text(path, "evaluations"))))
    rows = [row for row in rows if int(row["step"]) < step]
    rows.append({"step": step} | {name: f"{value:.6f}" for name, value in metrics.items()})
    write_text(path, _to_csv(rows, header=True, columns=list(rows[-1])))
