"""A run's checkpoints: raw weights, averages, velocities and step, each under its own name.

    <workdir>/checkpoints/ckpt-<step>      the last `train.keep` of them; a stopped run goes on here
    <workdir>/best/ckpt-<step>             the one with the highest AP, and best.json beside it

Variables are stored as "raw/<path>", "average/<path>", "velocity/<path>"; the path is the layer's
name and the variable's, so other code can read a weight without building the network.
"""

from __future__ import annotations

import json
import os

import tensorflow as tf

from edet.errors import UserError
from edet.files import read_text, reason, write_json
from edet.training.variables import TrainingVariables


class Checkpoints:
    """Writes and restores the checkpoints of one workdir."""

    def __init__(self, workdir: str, variables: TrainingVariables, keep: int):
        self._checkpoint = tf.train.Checkpoint(**variables.by_name())
        self._step = variables.step
        self._last, self._best = (
            tf.train.CheckpointManager(self._checkpoint, os.path.join(workdir, folder), count)
            for folder, count in (("checkpoints", keep), ("best", 1))
        )
        self._best_file = os.path.join(workdir, "best", "best.json")

    def restore_last(self) -> bool:
        """Puts the newest checkpoint into the variables; False if there is none."""
        if self._last.latest_checkpoint is None:
            return False
        try:
            status = self._checkpoint.restore(self._last.latest_checkpoint)
            status.assert_existing_objects_matched()
        except (tf.errors.OpError, IndexError, ValueError, AssertionError) as error:
            # A file cut short is an IndexError here.
            raise UserError(
                f"cannot restore {self._last.latest_checkpoint}: {reason(error)}; was it written "
                "by a run with another model?"
            ) from error
        return True

    def save(self) -> str:
        """Writes a checkpoint of the current step and drops the oldest; returns its path."""
        return self._write(self._last)

    def save_if_best(self, ap: float) -> bool:
        """Writes the current step beside the others if its AP is the highest of the run."""
        best = self.best()
        if best is not None and ap <= best["AP"]:
            return False
        self._write(self._best)
        write_json(self._best_file, {"step": int(self._step.numpy()), "AP": ap})
        return True

    def best(self) -> dict | None:
        """Returns {"step", "AP"} of the best checkpoint, or None before the first."""
        if not tf.io.gfile.exists(self._best_file):
            return None
        return json.loads(read_text(self._best_file, "best result"))

    def _write(self, manager: tf.train.CheckpointManager) -> str:
        try:
            return manager.save(checkpoint_number=self._step)
        except (OSError, tf.errors.OpError) as error:
            raise UserError(
                f"cannot write a checkpoint in {manager.directory}: {reason(error)}; the earlier "
                "ones are untouched."
            ) from error
