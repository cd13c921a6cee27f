"""The files of numbered checkpoints, without the network: which there are, and which are whole."""

from __future__ import annotations

import math
import os
import re

import tensorflow as tf

from edet.files import failure, reason

_GRAPH = "_CHECKPOINTABLE_OBJECT_GRAPH"  # the one entry that is text
_INDEX = re.compile(r"ckpt-(\d+)\.index")
# What TensorFlow raises on a damaged checkpoint; IndexError is its word for a file cut short.
UNREADABLE = (OSError, IndexError, tf.errors.OpError)
# What the bucket or disk raises, whatever its files hold.
_STORAGE = (
    PermissionError, tf.errors.PermissionDeniedError, tf.errors.UnauthenticatedError,
    tf.errors.UnavailableError, tf.errors.AbortedError, tf.errors.DeadlineExceededError,
    tf.errors.ResourceExhaustedError, tf.errors.CancelledError, tf.errors.UnknownError,
)  # fmt: skip


def list_checkpoints(folder: str) -> list[str]:
    """Returns the paths of the checkpoints ckpt-<step> of a folder, whole or not, last step first.

    The files themselves count. TensorFlow's list of them, the file `checkpoint`, is written later
    and may name what is gone.

    Raises:
      UserError: the folder may not be read; StorageError: its disk or bucket does not answer now.
    """
    try:
        names = tf.io.gfile.listdir(folder)
    except tf.errors.NotFoundError:
        return []
    except tf.errors.OpError as error:
        raise failure(f"cannot list {folder}", error) from error
    steps = sorted(int(found[1]) for found in map(_INDEX.fullmatch, names) if found)
    return [os.path.join(folder, f"ckpt-{step}") for step in reversed(steps)]


def find_damage(checkpoint: str) -> str:
    """Returns in words what a checkpoint lacks, from its index and its length; "" if nothing.

    Raises:
      UserError: it may not be read; StorageError: its disk or bucket does not answer now.
    """
    try:
        reader = tf.train.load_checkpoint(checkpoint)
        types = reader.get_variable_to_dtype_map()
        shapes = reader.get_variable_to_shape_map()
        expected = sum(math.prod(shapes[name]) * types[name].size for name in types)
        folder, name = os.path.split(checkpoint)
        there = sum(
            tf.io.gfile.stat(os.path.join(folder, file)).length
            for file in tf.io.gfile.listdir(folder)
            if file.startswith(f"{name}.data-")
        )
        if there < expected:
            return f"only {there} of {expected} bytes are there"
        if _GRAPH in types:
            reader.get_tensor(_GRAPH)  # TensorFlow compares its checksum
    except UNREADABLE as error:
        return damage_behind(error, checkpoint)
    return ""


def damage_behind(error: Exception, checkpoint: str) -> str:
    """Returns in words what is wrong with the files, for an error that came up on reading them.

    Raises:
      UserError: they may not be read; StorageError: their disk or bucket does not answer now. A
        whole checkpoint must not be taken for a damaged one, which the next write removes.
    """
    try:
        # TensorFlow's reader forgets which kind of error it met, so the index is read once more.
        with tf.io.gfile.GFile(f"{checkpoint}.index", "rb") as index:
            index.read()
    except UNREADABLE as again:
        error = again if isinstance(again, _STORAGE) else error
    if isinstance(error, _STORAGE):
        raise failure(f"cannot read the checkpoint {checkpoint}", error) from error
    return reason(error)
