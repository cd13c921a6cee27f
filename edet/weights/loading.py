"""`load_weights`: a network's weights from one of our workdirs or checkpoints, or from npz."""

from __future__ import annotations

import os
import zipfile

import keras
import numpy as np
import tensorflow as tf

from edet.errors import UserError
from edet.files import reason
from edet.weights.imagenet import pytorch_names, to_keras_layout
from edet.weights.own import find_checkpoint, read_weights
from edet.weights.report import LoadReport, assign_weights


def load_weights(network: keras.Model, source: str | os.PathLike) -> LoadReport:
    """Puts weights into a network.

    Args:
      network: from `build_network`; it may differ from the source in classes or in whole parts.
      source: a workdir of ours (its best checkpoint, otherwise its last), one of our checkpoints
        (".../ckpt-100"), or an npz of ImageNet weights for a lite backbone under their PyTorch
        names. gs:// works.

    Returns:
      What was loaded, what kept its initial value and what in the source stayed unused, by name.
      From our own checkpoints it is the moving average that is loaded.

    Raises:
      UserError: the source cannot be read, or nothing in it fits the network.
    """
    source = os.fspath(source)
    if source.endswith(".npz"):
        values = {n: to_keras_layout(n, v) for n, v in _read_npz(source).items()}
        return assign_weights(network, values, pytorch_names(network), source)
    checkpoint = find_checkpoint(source) if tf.io.gfile.isdir(source) else source
    if checkpoint is None:
        raise UserError(f"{source} holds no checkpoint; was anything trained there?")
    if not tf.io.gfile.exists(f"{checkpoint}.index"):
        raise UserError(
            f"there are no weights at {source}; give a workdir, a checkpoint (without .index) or "
            "an .npz file."
        )
    values = read_weights(checkpoint)
    return assign_weights(network, values, {path: path for path in values}, checkpoint)


def _read_npz(path: str) -> dict[str, np.ndarray]:
    try:
        with tf.io.gfile.GFile(path, "rb") as file, np.load(file, allow_pickle=False) as arrays:
            return {name: arrays[name] for name in arrays.files}
    except (OSError, ValueError, EOFError, zipfile.BadZipFile, tf.errors.OpError) as error:
        raise UserError(f"cannot read weights {path}: {reason(error)}") from error
