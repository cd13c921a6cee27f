"""A run's checkpoints: raw weights, averages, velocities and step, each under its own name.

The last `train.keep` of them are kept, with which a stopped run resumes, and the one with the
highest AP. Should the newest be damaged, the one before is taken.
"""

from __future__ import annotations

from collections.abc import Callable

import tensorflow as tf

from edet.checkpoint_files import DamagedCheckpoint, find_damage, read_checkpoint
from edet.errors import UserError
from edet.files import read_json, reason, write_json
from edet.training.variables import TrainingVariables
from edet.workdir import Workdir


class Checkpoints:
    """Writes and restores the checkpoints of one workdir."""

    def __init__(
        self, workdir: Workdir | str, variables: TrainingVariables, keep: int, is_chief: bool = True
    ):
        """Args: `keep`, how many of the last stay; `is_chief`, whether this process writes."""
        workdir = Workdir(str(workdir))
        named = variables.by_name()
        self._checkpoint = tf.train.Checkpoint(**named)
        # Runs of another precision have none; whoever goes on from them starts with a fresh one.
        scale = {"loss_scale": named.pop("loss_scale")} if "loss_scale" in named else {}
        self._required, self._optional = tf.train.Checkpoint(**named), tf.train.Checkpoint(**scale)
        self._step = variables.step
        self._keep, self._is_chief = keep, is_chief
        self._last, self._best = workdir.last_checkpoints, workdir.best_checkpoints
        self._best_file = workdir.best_file
        for folder in (self._last, self._best) if is_chief else ():
            folder.take_stock()
        self._saved = -1  # step of the newest whole one, as far as this process knows

    def restore_last(self, log: Callable[[str], None] = print) -> bool:
        """Puts the newest whole checkpoint into the variables; False if there are none at all.

        Args:
          log: gets a sentence for every damaged checkpoint that is skipped.

        Raises:
          UserError: all are damaged, or they are of another model; StorageError: their disk or
            bucket does not answer now.
        """
        if self._is_chief:
            self._last.take_stock()
        found = self._last.paths()
        for path in found:
            why = find_damage(path) or self._restore(path)
            if not why:
                self._saved = int(self._step.numpy())
                return True
            log(f"{path} is damaged ({why}) and was skipped")
        if found:
            raise UserError(
                f"no checkpoint in {self._last.path} is whole; remove that folder to start the run "
                "anew, or give another --workdir."
            )
        return False

    def _restore(self, path: str) -> str:
        """Returns what is wrong with the data, or "" when the variables hold them."""

        def read() -> None:
            """Assigns the variables; raises UserError if the checkpoint is of another model."""
            try:
                status = self._required.read(path)
                status.assert_existing_objects_matched()
            except (ValueError, AssertionError) as error:
                raise UserError(
                    f"cannot restore {path}: {reason(error)}; was it written by a run with "
                    "another model?"
                ) from error
            status.expect_partial()  # a loss scale that this run has no use for
            self._optional.read(path).expect_partial()

        try:
            read_checkpoint(path, read)
        except DamagedCheckpoint as error:
            return str(error)
        return ""

    def save(self) -> str:
        """Writes a checkpoint of the current step and drops the oldest; returns its path."""
        step = int(self._step.numpy())
        if step != self._saved and self._is_chief:
            self._last.write(step, self._checkpoint.write, self._keep)
        self._saved = step
        return self._last.at(step)

    def save_if_best(self, value: float, metric: str = "AP") -> bool:
        """Writes the current step beside the others if its metric is the highest of the run."""
        best = self.best()
        if not self._is_chief or (best is not None and value <= best[metric]):
            return False
        step = int(self._step.numpy())
        self._best.write(step, self._checkpoint.write, keep=1)
        write_json(self._best_file, {"step": step, metric: value})
        return True

    def best(self) -> dict | None:
        """Returns {"step", metric} of the best checkpoint, or None before the first."""
        if not tf.io.gfile.exists(self._best_file):
            return None
        return read_json(self._best_file, "best result")
