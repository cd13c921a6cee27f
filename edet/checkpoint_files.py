"""The files of numbered checkpoints, without the network: which there are, and which are whole."""

from __future__ import annotations

import math
import os
import re
from collections.abc import Callable
from typing import TypeVar

import tensorflow as tf

from edet.files import UNAVAILABLE, failure, list_folder, reason

Result = TypeVar("Result")

_GRAPH = "_CHECKPOINTABLE_OBJECT_GRAPH"  # the one entry that is text
_INDEX = re.compile(r"ckpt-(\d+)\.index")
# What TensorFlow raises on a damaged checkpoint; IndexError is its word for a file cut short.
_UNREADABLE = (OSError, IndexError, tf.errors.OpError)
# What the bucket or disk raises, whatever its files hold.
_STORAGE = (
    PermissionError, tf.errors.PermissionDeniedError, tf.errors.UnauthenticatedError, *UNAVAILABLE,
    tf.errors.ResourceExhaustedError, tf.errors.CancelledError, tf.errors.UnknownError,
)  # fmt: skip


class DamagedCheckpoint(Exception):
    """The files of a checkpoint are damaged; says how."""


def list_checkpoints(folder: str) -> list[str]:
    """Returns the paths of the checkpoints ckpt-<step> of a folder, whole or not, last step first.

    The files themselves count. TensorFlow's list of them, the file `checkpoint`, is written later
    and may name what is gone.

    Raises:
      UserError: the folder may not be read; StorageError: its disk or bucket does not answer now.
    """
    names = list_folder(folder)
    steps = sorted(int(found[1]) for found in map(_INDEX.fullmatch, names) if found)
    return [os.path.join(folder, f"ckpt-{step}") for step in reversed(steps)]


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
