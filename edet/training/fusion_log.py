"""What every node takes of each of its inputs, written down while training (paper Figure 5)."""

from __future__ import annotations

import csv
import io
import os

import keras
import numpy as np
import tensorflow as tf

from edet.errors import UserError
from edet.files import append_text, read_text, write_text
from edet.models.pyramid import WeightedFusion


class FusionLog:
    """fusion_weights.csv, and the same in TensorBoard: a row an interval, a column an input.

    A value is a normalised weight, what the input is multiplied by; where every channel or pixel
    has its own, their mean. Columns are named "cell0.node5.input0"; see
    `edet.models.fusion_graph` for the nodes. A network without learnt weights has no file.
    """

    def __init__(self, network: keras.Model, workdir: str, first_step: int):
        """Notes the weights at the start, after `first_step` updates; nothing is written yet."""
        self.layers = [layer for layer in network.layers if isinstance(layer, WeightedFusion)]
        self.path = os.path.join(workdir, "fusion_weights.csv")
        self._start: dict[str, float] | None = {"step": first_step} | self._values()

    def add(self, step: int, board: tf.summary.SummaryWriter) -> None:
        """Writes down the weights after `step` updates."""
        if not self.layers:
            return
        if self._start is not None:
            self._open(self._start)
            self._start = None
        values = self._values()
        append_text(self.path, _to_csv([{"step": step} | values]))
        with board.as_default(step):
            for name, value in values.items():
                tf.summary.scalar(f"fusion/{name}", value)

    def _open(self, start: dict[str, float]) -> None:
        """Keeps the rows of an earlier part of the run; later ones will come again."""
        rows = read_fusion_log(self.path) if tf.io.gfile.exists(self.path) else []
        kept = [row for row in rows if row["step"] < start["step"] and row.keys() == start.keys()]
        write_text(self.path, ",".join(start) + "\n" + _to_csv([*kept, start]))

    def _values(self) -> dict[str, float]:
        values = {}
        for layer in self.layers:
            node = layer.name.removeprefix("pyramid.").removesuffix(".fusion")
            for k, weight in enumerate(layer.normalized_weights().numpy()):
                values[f"{node}.input{k}"] = float(np.mean(weight))
        return values


def read_fusion_log(path: str) -> list[dict[str, float]]:
    """Returns the rows of a fusion_weights.csv, {"step": 300.0, "cell0.node5.input0": 0.5, ...}.

    Raises:
      UserError: the file cannot be read or holds something else than numbers.
    """
    whole, _, _ = read_text(path, "fusion weights").rpartition("\n")  # not a half-written last row
    rows = csv.DictReader(io.StringIO(whole))
    try:
        return [{name: float(value) for name, value in row.items()} for row in rows]
    except (ValueError, TypeError) as error:
        raise UserError(f"{path} is not a fusion_weights.csv: {error}") from error


def _to_csv(rows: list[dict[str, float]]) -> str:
    return "".join(",".join(f"{value:.7g}" for value in row.values()) + "\n" for row in rows)
