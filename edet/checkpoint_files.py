"""The files of numbered checkpoints, without the network: which there are, and which are whole."""

from __future__ import annotations

import math
import os
import re

import tensorflow as tf

from edet.files import reason

_GRAPH = "_CHECKPOINTABLE_OBJECT_GRAPH"  # the one entry that is text
_INDEX = re.compile(r"ckpt-(\d+)\.index")
# What TensorFlow raises on a damaged checkpoint; IndexError is its word for a file cut short.
UNREADABLE = (OSError, IndexError, tf.errors.OpError)


def list_checkpoints(folder: str) -> list[str]:
    """Returns the paths of the checkpoints ckpt-<step> of a folder, whole or not, last step first.

    The files themselves count. TensorFlow's list of them, the file `checkpoint`, is written later
    and may name what is gone.
    """
    try:
        names = tf.io.gfile.listdir(folder)
    except tf.errors.NotFoundError:
        return []
    steps = sorted(int(found[1]) for found in map(_INDEX.fullmatch, names) if found)
    return [os.path.join(folder, f"ckpt-{step}") for step in reversed(steps)]


def find_damage(checkpoint: str) -> str:
    """Returns in words what a checkpoint lacks, from its index and its length; "" if nothing."""
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
        return reason(error)
    return ""
