"""What every node takes of each of its inputs, written down while training (paper Figure 5)."""

from __future__ import annotations

import keras
import numpy as np
import tensorflow as tf

from edet.models.pyramid import WeightedFusion
from edet.step_log import StepLog
from edet.workdir import Workdir


class FusionLog:
    """fusion_weights.csv, and the same in TensorBoard: a row an interval, a column an input.

    A value is a normalised weight, what the input is multiplied by; where every channel or pixel
    has its own, their mean. Columns are named "cell0.node5.input0"; see
    `edet.models.fusion_graph` for the nodes. A network without learnt weights has no file.
    """

    def __init__(self, network: keras.Model, workdir: Workdir, first_step: int):
        """Notes the weights at the start, after `first_step` updates; nothing is written yet."""
        self.layers = [layer for layer in network.layers if isinstance(layer, WeightedFusion)]
        self._log = StepLog(workdir.fusion_weights_file)
        self._waiting = [self._row(first_step)]

    def add(self, step: int, board: tf.summary.SummaryWriter) -> None:
        """Writes down the weights after `step` updates."""
        if not self.layers:
            return
        row = self._row(step)
        self._log.add([*self._waiting, row])
        self._waiting = []
        with board.as_default(step):
            for name, value in row.items():
                if name != "step":
                    tf.summary.scalar(f"fusion/{name}", float(value))

    def _row(self, step: int) -> dict[str, int | str]:
        row: dict[str, int | str] = {"step": step}
        for layer in self.layers:
            node = layer.name.removeprefix("pyramid.").removesuffix(".fusion")
            for k, weight in enumerate(layer.normalized_weights().numpy()):
                row[f"{node}.input{k}"] = f"{np.mean(weight):.7g}"
        return row
