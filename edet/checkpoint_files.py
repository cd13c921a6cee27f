"""Checkpoints as files, without the network: which there are, which are whole, what they hold.

A checkpoint of ours holds variables as "raw/<path>", "average/<path>" and "velocity/<path>"; the
path is the layer's name and the variable's, so other code can read a weight without building what
wrote it. A checkpoint is named by its path without the ".index".
"""

from __future__ import annotations

import contextlib
import math
import os
import re
from collections.abc import Callable
from typing import Any, TypeVar

import numpy as np
import tensorflow as tf

from edet.errors import StorageError, UserError
from edet.files import UNAVAILABLE, failure, flush, reason, write_text
from edet.globs import glob_of, list_folder

Result = TypeVar("Result")

_GRAPH = "_CHECKPOINTABLE_OBJECT_GRAPH"  # the one entry that is text
_VALUE = "/.ATTRIBUTES/VARIABLE_VALUE"
_INDEX = re.compile(r"ckpt-(\d+)\.index")
# What belongs to a checkpoint: the index, the data, and what a write that was broken off leaves.
_PART = re.compile(r"(ckpt-\d+)(?:\.index|\.data-\d+-of-\d+|_temp.*|\.index\.tempstate\d+)/?")
# What TensorFlow raises on a damaged checkpoint; IndexError is its word for a file cut short.
_UNREADABLE = (OSError, IndexError, tf.errors.OpError)
# What the bucket or disk raises, whatever its files hold.
_STORAGE = (
    PermissionError, tf.errors.PermissionDeniedError, tf.errors.UnauthenticatedError, *UNAVAILABLE,
    tf.errors.ResourceExhaustedError, tf.errors.CancelledError, tf.errors.UnknownError,
)  # fmt: skip


class DamagedCheckpoint(Exception):
    """The files of a checkpoint are damaged; says how."""


def find_damage(checkpoint: str) -> str:
    """Returns in words what a checkpoint lacks, from its index and its length; "" if nothing.

    Raises:
      UserError: it may not be read; StorageError: its disk or bucket does not answer now.
    """
    try:
        return read_checkpoint(checkpoint, lambda: _find_damage(checkpoint))
    except DamagedCheckpoint as error:
        return str(error)


def _find_damage(checkpoint: str) -> str:
    reader = tf.train.load_checkpoint(checkpoint)
    types = reader.get_variable_to_dtype_map()
    shapes = reader.get_variable_to_shape_map()
    expected = sum(math.prod(shapes[name]) * types[name].size for name in types)
    folder, name = os.path.split(checkpoint)
    there = sum(
        tf.io.gfile.stat(os.path.join(folder, file)).length
        for file in list_folder(folder)
        if file.startswith(f"{name}.data-")
    )
    if there < expected:
        return f"only {there} of {expected} bytes are there"
    if _GRAPH in types:
        reader.get_tensor(_GRAPH)  # TensorFlow compares its checksum
    return ""


def read_checkpoint(checkpoint: str, read: Callable[[], Result]) -> Result:
    """Returns what a function reads of a checkpoint.

    A whole checkpoint must not be taken for a damaged one, which the next write removes. But
    TensorFlow's reader forgets which kind of error it met. So its index is read after an error, and
    then all is tried once more.

    Raises:
      DamagedCheckpoint: its files are at fault.
      UserError: they may not be read; StorageError: their disk or bucket does not answer now.
    """
    try:
        return read()
    except _UNREADABLE as error:
        _check_storage(checkpoint, error)
    try:
        return read()
    except _UNREADABLE as error:
        _check_storage(checkpoint, error)
        raise DamagedCheckpoint(reason(error)) from error


def _check_storage(checkpoint: str, error: Exception) -> None:
    """Raises the error as a user's if it came from the disk or bucket, and not from the files."""
    try:
        with tf.io.gfile.GFile(f"{checkpoint}.index", "rb") as index:
            index.read()
    except _UNREADABLE as again:
        error = again if isinstance(again, _STORAGE) else error
    if isinstance(error, _STORAGE):
        raise failure(f"cannot read the checkpoint {checkpoint}", error) from error


def step_of(checkpoint: str | None) -> int | None:
    """Returns the step in a checkpoint's name; None where there is no checkpoint, or no step."""
    step = (checkpoint or "").rpartition("-")[2]  # released weights may have another name
    return int(step) if step.isdecimal() else None


def is_own(checkpoint: str) -> bool:
    """Returns whether edet wrote a checkpoint."""
    return any(name.startswith("average/") for name in stored_names(checkpoint))


def stored_names(checkpoint: str) -> list[str]:
    """Returns the keys of a checkpoint, whoever wrote it.

    Raises:
      UserError: it cannot be read; StorageError: its disk or bucket does not answer now.
    """
    return _read_tensors(checkpoint, lambda reader: list(reader.get_variable_to_shape_map()))


def read_weights(checkpoint: str, kind: str = "average") -> dict[str, np.ndarray]:
    """Returns {variable's path: value} of one of our checkpoints.

    Args:
      checkpoint: its path.
      kind: "average" for inference, "raw" to go on training.

    Raises:
      UserError: the file is unreadable, or not a checkpoint of ours; StorageError: its disk or
        bucket does not answer now.
    """

    def read(reader: Any) -> dict[str, np.ndarray]:
        """Returns {variable's path: value} of what TensorFlow's reader holds."""
        keys = [key for key in reader.get_variable_to_shape_map() if key.startswith(f"{kind}/")]
        # TensorFlow writes a "/" inside a name as ".S", and a "." as "..".
        return {
            key.removeprefix(f"{kind}/").removesuffix(_VALUE): reader.get_tensor(key)
            for key in keys
            if key.endswith(_VALUE)
        }

    weights = _read_tensors(checkpoint, read)
    if not weights:
        raise UserError(f"{checkpoint} holds no {kind} weights; it was not written by edet.")
    return {name.replace(".S", "/").replace("..", "."): value for name, value in weights.items()}


def _read_tensors(checkpoint: str, read: Callable[[Any], Result]) -> Result:
    """Returns what a function reads of a checkpoint by TensorFlow's reader."""
    try:
        return read_checkpoint(checkpoint, lambda: read(tf.train.load_checkpoint(checkpoint)))
    except UserError:
        raise
    except (ValueError, DamagedCheckpoint) as error:
        raise UserError(f"cannot read the checkpoint {checkpoint}: {reason(error)}") from error


class CheckpointFolder:
    """The checkpoints ckpt-<step> of one folder.

    TensorFlow writes the data aside, renames them and writes the index last; only then are older
    checkpoints removed. So a kill or a full disk at any moment leaves a whole one.
    """

    def __init__(self, path: str):
        self.path = path
        self._known: set[int] | None = None  # steps; None: whatever is there

    def take_stock(self) -> None:
        """Notes what is there; from now on `write` is refused as soon as another run writes, too.

        That run's checkpoints may be newer than ours, and would go as those of a past that is gone.
        """
        self._known = set(self.steps())

    def _refuse_others(self) -> None:
        others = set() if self._known is None else set(self.steps()) - self._known
        if others:
            raise UserError(
                f"another run writes to {self.path}, since this one began: of steps "
                f"{', '.join(map(str, sorted(others)))}. Nothing was saved or removed; stop one of "
                "them, or give it another --workdir."
            )

    def steps(self) -> list[int]:
        """Returns the steps of the checkpoints, whole or not, last step first.

        The files themselves count. TensorFlow's list of them, the file `checkpoint`, is written
        later and may name what is gone.

        Raises:
          UserError: the folder may not be read; StorageError: its disk or bucket does not answer.
        """
        found = map(_INDEX.fullmatch, list_folder(self.path))
        return sorted((int(name[1]) for name in found if name), reverse=True)

    def paths(self) -> list[str]:
        """Returns the paths of the checkpoints, as `steps`."""
        return [self.at(step) for step in self.steps()]

    def at(self, step: int) -> str:
        """Returns the path of the checkpoint of a step."""
        return os.path.join(self.path, self._name(step))

    @staticmethod
    def _name(step: int) -> str:
        return f"ckpt-{step}"

    def write(self, step: int, write: Callable[[str], object], keep: int) -> None:
        """Adds a checkpoint and drops the oldest.

        Args:
          step: its number.
          write: writes the files of a path.
          keep: how many stay.

        Raises:
          StorageError: it cannot be written; the earlier ones are untouched. UserError: another run
            writes here, too; see `take_stock`.
        """
        self._refuse_others()
        path = self.at(step)
        try:
            tf.io.gfile.makedirs(self.path)
            write(path)
            if damage := find_damage(path):
                raise OSError(damage)
            for part in tf.io.gfile.glob(f"{glob_of(path)}.*"):
                flush(part)  # before the earlier ones go
            # Those of later steps are damaged, or of a past that this run has not gone through.
            kept = [self._name(each) for each in self.steps() if each <= step][:keep]
            self._write_list(kept)
            self._remove_others(kept)
            if self._known is not None:
                self.take_stock()
        except (OSError, tf.errors.OpError, UserError) as error:
            # Frees what a full disk has taken; may fail like the write, which is the news.
            with contextlib.suppress(OSError, tf.errors.OpError, UserError):
                self._remove_others([self._name(each) for each in self.steps()])
            raise StorageError(
                f"cannot write a checkpoint in {self.path}: {reason(error)}; the earlier ones are "
                "untouched, and the run goes on from them when the command is given again."
            ) from error

    def _write_list(self, names: list[str]) -> None:
        """Writes the file `checkpoint`, by which TensorFlow's own tools know the newest one."""
        lines = [f'model_checkpoint_path: "{names[0]}"']
        lines += [f'all_model_checkpoint_paths: "{name}"' for name in reversed(names)]
        write_text(os.path.join(self.path, "checkpoint"), "\n".join(lines) + "\n")

    def _remove_others(self, kept: list[str]) -> None:
        """Removes every file of a checkpoint that is not kept, its index first; broken writes."""
        names = tf.io.gfile.listdir(self.path)
        for name in sorted(names, key=lambda name: not name.endswith(".index")):
            part = _PART.fullmatch(name)
            if part and (part[1] not in kept or "temp" in name):
                path = os.path.join(self.path, name)
                (tf.io.gfile.rmtree if tf.io.gfile.isdir(path) else tf.io.gfile.remove)(path)
