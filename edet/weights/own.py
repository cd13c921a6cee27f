"""Reading our own checkpoints by name, without building what wrote them."""

from __future__ import annotations

import os

import numpy as np
import tensorflow as tf

from edet.config.labels import labels_of
from edet.config.loading import load_config
from edet.errors import UserError
from edet.files import reason

_VALUE = "/.ATTRIBUTES/VARIABLE_VALUE"


def find_checkpoint(workdir: str, prefer: str = "best") -> str | None:
    """Returns the path of a workdir's checkpoint: the best one if asked and there, else the last.

    Args:
      workdir: a folder written by training.
      prefer: "best" or "last".
    """
    folders = ["best", "checkpoints"] if prefer == "best" else ["checkpoints"]
    for folder in folders:
        path = tf.train.latest_checkpoint(os.path.join(workdir, folder))
        if path is not None:
            return path
    return None


def is_own(checkpoint: str) -> bool:
    """Returns whether edet wrote a checkpoint."""
    return any(name.startswith("average/") for name in stored_names(checkpoint))


def stored_names(checkpoint: str) -> list[str]:
    """Returns the keys of a checkpoint, whoever wrote it.

    Raises:
      UserError: it cannot be read.
    """
    try:
        return list(tf.train.load_checkpoint(checkpoint).get_variable_to_shape_map())
    except (OSError, ValueError, tf.errors.OpError) as error:
        raise UserError(f"cannot read the checkpoint {checkpoint}: {reason(error)}") from error


def run_labels(checkpoint: str) -> dict[int, str] | None:
    """Returns {id: name} of the run that a checkpoint lies in, or None outside a workdir."""
    saved = os.path.join(os.path.dirname(os.path.dirname(checkpoint)), "config.yaml")
    return labels_of(load_config(path=saved).model) if tf.io.gfile.exists(saved) else None


def read_weights(checkpoint: str, kind: str = "average") -> dict[str, np.ndarray]:
    """Returns {variable's path: value} of one of our checkpoints.

    Args:
      checkpoint: path without the ".index".
      kind: "average" for inference, "raw" to go on training.

    Raises:
      UserError: the file is unreadable, or not a checkpoint of ours.
    """
    try:
        reader = tf.train.load_checkpoint(checkpoint)
        keys = [key for key in reader.get_variable_to_shape_map() if key.startswith(f"{kind}/")]
        # TensorFlow writes a "/" inside a name as ".S", and a "." as "..".
        weights = {
            key.removeprefix(f"{kind}/").removesuffix(_VALUE): reader.get_tensor(key)
            for key in keys
            if key.endswith(_VALUE)
        }
    except (OSError, ValueError, tf.errors.OpError) as error:
        raise UserError(f"cannot read the checkpoint {checkpoint}: {reason(error)}") from error
    if not weights:
        raise UserError(f"{checkpoint} holds no {kind} weights; it was not written by edet.")
    return {name.replace(".S", "/").replace("..", "."): value for name, value in weights.items()}
