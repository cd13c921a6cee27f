"""Reading our own checkpoints by name, without building what wrote them."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any, TypeVar

import numpy as np
import tensorflow as tf

from edet.checkpoint_files import (
    DamagedCheckpoint,
    find_damage,
    list_checkpoints,
    read_checkpoint,
)
from edet.errors import UserError
from edet.files import reason

Result = TypeVar("Result")

_VALUE = "/.ATTRIBUTES/VARIABLE_VALUE"


def find_checkpoint(workdir: str, prefer: str = "best") -> str | None:
    """Returns the path of a workdir's checkpoint: the best one if asked and there, else the last.

    A damaged checkpoint is passed over while there is a whole one; `skipped_checkpoints` says so.

    Args:
      workdir: a folder written by training.
      prefer: "best" or "last".
    """
    found = _candidates(workdir, prefer)
    return next((path for path in found if not find_damage(path)), found[0] if found else None)


def skipped_checkpoints(workdir: str) -> list[str]:
    """Returns a sentence for each damaged checkpoint that `find_checkpoint` passes over."""
    sentences = []
    for path in _candidates(workdir, "best"):
        why = find_damage(path)
        if not why:
            break
        sentences.append(f"{path} is damaged ({why}) and was skipped")
    return sentences


def _candidates(workdir: str, prefer: str) -> list[str]:
    folders = ["best", "checkpoints"] if prefer == "best" else ["checkpoints"]
    return [path for name in folders for path in list_checkpoints(os.path.join(workdir, name))]


def is_own(checkpoint: str) -> bool:
    """Returns whether edet wrote a checkpoint."""
    return any(name.startswith("average/") for name in stored_names(checkpoint))


def stored_names(checkpoint: str) -> list[str]:
    """Returns the keys of a checkpoint, whoever wrote it.

    Raises:
      UserError: it cannot be read; StorageError: its disk or bucket does not answer now.
    """
    return _read(checkpoint, lambda reader: list(reader.get_variable_to_shape_map()))


def _read(checkpoint: str, read: Callable[[Any], Result]) -> Result:
    """Returns what a function reads of a checkpoint by TensorFlow's reader."""
    try:
        return read_checkpoint(checkpoint, lambda: read(tf.train.load_checkpoint(checkpoint)))
    except UserError:
        raise
    except (ValueError, DamagedCheckpoint) as error:
        raise UserError(f"cannot read the checkpoint {checkpoint}: {reason(error)}") from error


def run_config_file(checkpoint: str) -> str | None:
    """Returns the config.yaml of the run that a checkpoint lies in, or None outside a workdir."""
    saved = os.path.join(os.path.dirname(os.path.dirname(checkpoint)), "config.yaml")
    return saved if tf.io.gfile.exists(saved) else None


def read_weights(checkpoint: str, kind: str = "average") -> dict[str, np.ndarray]:
    """Returns {variable's path: value} of one of our checkpoints.

    Args:
      checkpoint: path without the ".index".
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

    weights = _read(checkpoint, read)
    if not weights:
        raise UserError(f"{checkpoint} holds no {kind} weights; it was not written by edet.")
    return {name.replace(".S", "/").replace("..", "."): value for name, value in weights.items()}
