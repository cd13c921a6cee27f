"""A run's checkpoints: raw weights, averages, velocities and step, each under its own name.

The last `train.keep` of them are kept, with which a stopped run resumes, and the one with the
highest AP. Should the newest be damaged, the one before is taken.
"""

from __future__ import annotations

import contextlib
import math
from collections.abc import Callable
from typing import Any

import tensorflow as tf

from edet.checkpoint_files import DamagedCheckpoint, find_damage, read_checkpoint
from edet.errors import UserError
from edet.files import read_json_or, reason, write_json
from edet.training.variables import TrainingVariables
from edet.workdir import Workdir


class Checkpoints:
    """Writes and restores the checkpoints of one workdir."""

    def __init__(
        self, workdir: Workdir | str, variables: TrainingVariables, keep: int, is_chief: bool = True
    ):
        """Args: `keep`, how many of the last stay; `is_chief`, whether this process writes."""
        workdir = Workdir(str(workdir))
        self._variables, self._step = variables, variables.step
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
        named = self._variables.by_name()
        # Runs of another precision have none; whoever goes on from them starts with a fresh one.
        scale = {"loss_scale": named.pop("loss_scale")} if "loss_scale" in named else {}
        required, optional = tf.train.Checkpoint(**named), tf.train.Checkpoint(**scale)

        def read() -> None:
            """Assigns the variables; raises UserError if the checkpoint is of another model."""
            try:
                status = required.read(path)
                status.assert_existing_objects_matched()
            except (ValueError, AssertionError) as error:
                raise UserError(
                    f"cannot restore {path}: {reason(error)}; was it written by a run with "
                    "another model or optimizer?"
                ) from error
            status.expect_partial()  # a loss scale that this run has no use for
            optional.read(path).expect_partial()

        try:
            read_checkpoint(path, read)
        except DamagedCheckpoint as error:
            return str(error)
        self._variables.take_named()
        return ""

    def _write(self, path: str) -> None:
        tf.train.Checkpoint(**self._variables.by_name()).write(path)

    def save(self) -> str:
        """Writes a checkpoint of the current step and drops the oldest; returns its path."""
        step = int(self._step.numpy())
        if step != self._saved and self._is_chief:
            self._last.write(step, self._write, self._keep)
        self._saved = step
        return self._last.at(step)

    def save_if_best(
        self, value: float, metric: str = "AP", measured_on: dict[str, Any] | None = None
    ) -> bool:
        """Writes the current step beside the others if its metric is the highest of the run.

        Args:
          value: of the metric.
          metric: its name.
          measured_on: what it depends on besides the weights, as JSON; a score that was measured on
            something else does not count.
        """
        if not self._is_chief:
            return False
        best = self._read_best()
        if best and best.get("measured_on") == measured_on and value <= best.get(metric, -math.inf):
            return False
        step = int(self._step.numpy())
        self._best.write(step, self._write, keep=1)
        self.score_best(step, value, metric, measured_on)
        return True

    def score_best(
        self, step: int, value: float, metric: str, measured_on: dict[str, Any] | None
    ) -> None:
        """Notes the score of the best checkpoint; arguments as of `save_if_best`."""
        if self._is_chief:
            score = {"step": step, metric: value}
            write_json(
                self._best_file, score | ({"measured_on": measured_on} if measured_on else {})
            )

    def best(self) -> dict | None:
        """Returns {"step", metric} of the best checkpoint, or None before the first."""
        best = self._read_best()
        return best and {name: value for name, value in best.items() if name != "measured_on"}

    def best_to_measure_again(
        self, measured_on: dict[str, Any], goes_on: bool, log: Callable[[str], None] = print
    ) -> int | None:
        """Returns the step of the best checkpoint if its score is of something else; else None.

        A score behind which there is no checkpoint of this run is removed, so that the first
        evaluation gives another.

        Args:
          measured_on: as of `save_if_best`, from now on.
          goes_on: whether the run goes on from a checkpoint, or begins.
          log: gets a sentence where the score does not stay as it is.
        """
        best = self._read_best()
        if best is None:
            return None
        step = best["step"]
        path = self._best.at(step)
        if not goes_on:
            why = f"{path} is of a run whose checkpoints are gone"
        elif step not in self._best.steps() or find_damage(path):
            why = f"{path}, the best checkpoint, is gone or damaged"
        elif before := _differences(best.get("measured_on", {}), measured_on):
            log(f"{path}, the best so far, is measured again: its score is of {before}")
            return step
        else:
            return None
        log(f"{why}; the first evaluation decides anew which is the best")
        if self._is_chief:
            tf.io.gfile.remove(self._best_file)
        return None

    def best_path(self, step: int) -> str:
        """Returns the path of the best checkpoint, of this step."""
        return self._best.at(step)

    def _read_best(self) -> dict | None:
        """Returns what best.json says; one that is damaged says nothing."""
        with contextlib.suppress(UserError):
            best = dict(read_json_or(self._best_file, "best result", {}))
            measured_on = best.pop("measured_on", {})
            numbers = all(isinstance(value, int | float) for value in best.values())
            if numbers and isinstance(best.get("step"), int) and isinstance(measured_on, dict):
                return best | ({"measured_on": measured_on} if measured_on else {})
        return None


def _differences(before: dict[str, Any], now: dict[str, Any]) -> str:
    """Returns in words what was otherwise; "" if nothing was."""
    if not before:
        return "unknown records and settings"
    names = [name for name in before | now if before.get(name) != now.get(name)]
    return ", ".join(f"{name} {before.get(name)}, now {now.get(name)}" for name in names)
