"""A run's checkpoints: raw weights, averages, velocities and step, each under its own name.

    <workdir>/checkpoints/ckpt-<step>      the last `train.keep` of them; a stopped run goes on here
    <workdir>/best/ckpt-<step>             the one with the highest AP, and best.json beside it

Variables are stored as "raw/<path>", "average/<path>", "velocity/<path>"; the path is the layer's
name and the variable's, so other code can read a weight without building the network.

TensorFlow writes the data aside, renames them and writes the index last; only then are older
checkpoints removed. So a kill or a full disk at any moment leaves a whole one. Should the newest be
damaged nevertheless, the one before is taken.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
from collections.abc import Callable

import tensorflow as tf

from edet.checkpoint_files import (
    DamagedCheckpoint,
    find_damage,
    list_checkpoints,
    read_checkpoint,
)
from edet.errors import StorageError, UserError
from edet.files import read_text, reason, write_json, write_text
from edet.training.variables import TrainingVariables

# What belongs to a checkpoint: the index, the data, and what a write that was broken off leaves.
_PART = re.compile(r"(ckpt-\d+)(?:\.index|\.data-\d+-of-\d+|_temp.*|\.index\.tempstate\d+)/?")


class Checkpoints:
    """Writes and restores the checkpoints of one workdir."""

    def __init__(
        self, workdir: str, variables: TrainingVariables, keep: int, is_chief: bool = True
    ):
        """Args: `keep`, how many of the last stay; `is_chief`, whether this process writes."""
        named = variables.by_name()
        self._checkpoint = tf.train.Checkpoint(**named)
        # Runs of another precision have none; whoever goes on from them starts with a fresh one.
        scale = {"loss_scale": named.pop("loss_scale")} if "loss_scale" in named else {}
        self._required, self._optional = tf.train.Checkpoint(**named), tf.train.Checkpoint(**scale)
        self._step = variables.step
        self._keep, self._is_chief = keep, is_chief
        self._last, self._best = (os.path.join(workdir, name) for name in ("checkpoints", "best"))
        self._best_file = os.path.join(self._best, "best.json")
        self._saved = -1  # step of the newest whole one, as far as this process knows

    def restore_last(self, tell: Callable[[str], None] = print) -> bool:
        """Puts the newest whole checkpoint into the variables; False if there are none at all.

        Args:
          tell: gets a sentence for every damaged checkpoint that is skipped.

        Raises:
          UserError: all are damaged, or they are of another model; StorageError: their disk or
            bucket does not answer now.
        """
        found = list_checkpoints(self._last)
        for path in found:
            why = find_damage(path) or self._restore(path)
            if not why:
                self._saved = int(self._step.numpy())
                return True
            tell(f"{path} is damaged ({why}) and was skipped")
        if found:
            raise UserError(
                f"no checkpoint in {self._last} is whole; remove that folder to start the run "
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
        if step != self._saved:
            self._write(self._last, step, self._keep)
            self._saved = step
        return _path(self._last, step)

    def save_if_best(self, value: float, metric: str = "AP") -> bool:
        """Writes the current step beside the others if its metric is the highest of the run."""
        best = self.best()
        if not self._is_chief or (best is not None and value <= best[metric]):
            return False
        step = int(self._step.numpy())
        self._write(self._best, step, keep=1)
        write_json(self._best_file, {"step": step, metric: value})
        return True

    def best(self) -> dict | None:
        """Returns {"step", metric} of the best checkpoint, or None before the first."""
        if not tf.io.gfile.exists(self._best_file):
            return None
        return json.loads(read_text(self._best_file, "best result"))

    def _write(self, folder: str, step: int, keep: int) -> None:
        if not self._is_chief:
            return
        path = _path(folder, step)
        try:
            tf.io.gfile.makedirs(folder)
            self._checkpoint.write(path)
            damage = find_damage(path)
            if damage:
                raise OSError(damage)
            # Those of later steps are damaged, or of a past that this run has not gone through.
            found = [p for p in list_checkpoints(folder) if _step_of(p) <= step][:keep]
            kept = [os.path.basename(p) for p in found]
            _write_list(folder, kept)
            _remove_others(folder, kept)
        except (OSError, tf.errors.OpError, UserError) as error:
            # Frees what a full disk has taken; may fail like the write, which is the news.
            with contextlib.suppress(OSError, tf.errors.OpError, UserError):
                _remove_others(folder, [os.path.basename(p) for p in list_checkpoints(folder)])
            raise StorageError(
                f"cannot write a checkpoint in {folder}: {reason(error)}; the earlier ones are "
                "untouched, and the run goes on from them when the command is given again."
            ) from error


def _path(folder: str, step: int) -> str:
    return os.path.join(folder, f"ckpt-{step}")


def _step_of(path: str) -> int:
    return int(path.rpartition("-")[2])


def _write_list(folder: str, names: list[str]) -> None:
    """Writes the file `checkpoint`, by which TensorFlow's own tools know the newest one."""
    lines = [f'model_checkpoint_path: "{names[0]}"']
    lines += [f'all_model_checkpoint_paths: "{name}"' for name in reversed(names)]
    write_text(os.path.join(folder, "checkpoint"), "\n".join(lines) + "\n")


def _remove_others(folder: str, kept: list[str]) -> None:
    """Removes every file of a checkpoint that is not kept, its index first, and broken writes."""
    names = tf.io.gfile.listdir(folder)
    for name in sorted(names, key=lambda name: not name.endswith(".index")):
        part = _PART.fullmatch(name)
        if part and (part[1] not in kept or "temp" in name):
            path = os.path.join(folder, name)
            (tf.io.gfile.rmtree if tf.io.gfile.isdir(path) else tf.io.gfile.remove)(path)
