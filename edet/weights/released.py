"""Weights in the formats that the reference writes, read into arrays by name.

TF1 checkpoints store a variable twice: as trained, and as its moving average under
"<name>/ExponentialMovingAverage" (batch-norm statistics too). Published AP is the averages'.
TF2 checkpoints and h5 files hold one value of each.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import tempfile
from collections.abc import Iterator, Mapping

import h5py
import numpy as np
import tensorflow as tf

from edet.errors import UserError
from edet.files import reason, write_text
from edet.globs import glob_of
from edet.weights.reference_names import Style

AVERAGE = "/ExponentialMovingAverage"
_OBJECT_GRAPH = "_CHECKPOINTABLE_OBJECT_GRAPH"
_VALUE = "/.ATTRIBUTES/VARIABLE_VALUE"
KERAS_3 = (
    "a file of Keras 3; read it by keras.models.load_model after import edet.models, or by "
    "load_weights of the network that wrote it, and give the network to edet.Detector"
)


def read_released(path: str, average: bool = True) -> tuple[dict[str, np.ndarray], Style]:
    """Returns ({name: array}, how the names are made) of a checkpoint or h5 file.

    Args:
      path: a checkpoint without its ".index", or a file that ends in ".h5"; gs:// works.
      average: prefers the moving average of each variable where the file holds both.

    Raises:
      UserError: the file cannot be read.
    """
    try:
        if path.endswith(".h5"):
            return _read_h5(path), "graph"
        reader = tf.train.load_checkpoint(path)
        keys = reader.get_variable_to_shape_map()
        if _OBJECT_GRAPH in keys:
            # Slots of the optimizer lie below the variable that they belong to.
            wanted = [k for k in keys if k.endswith(_VALUE) and "/.OPTIMIZER_SLOT/" not in k]
            return {k.removesuffix(_VALUE): reader.get_tensor(k) for k in wanted}, "object"
        names = {k.removesuffix(AVERAGE) for k in keys}
        return {n: reader.get_tensor(_stored_as(n, keys, average)) for n in names}, "graph"
    except UserError:  # which is a ValueError, and says already what is wrong
        raise
    except (OSError, ValueError, KeyError, tf.errors.OpError) as error:
        raise UserError(f"cannot read weights {path}: {reason(error)}") from error


def _stored_as(name: str, keys: dict[str, list[int]], average: bool) -> str:
    """Returns the key of a variable's average or raw value, whichever is wanted and there."""
    both = [key for key in (name + AVERAGE, name) if key in keys]
    return both[0] if average else both[-1]


def write_released(
    folder: str, raw: Mapping[str, np.ndarray], averages: Mapping[str, np.ndarray]
) -> None:
    """Writes a TF1 checkpoint "model" that the reference reads, and its "checkpoint" file.

    Args:
      folder: made if need be.
      raw, averages: {graph name: array}, the same names in both.

    Raises:
      UserError: the folder cannot be written.
    """
    path = os.path.join(folder, "model")
    arrays = {**raw, **{name + AVERAGE: value for name, value in averages.items()}}
    arrays["global_step"] = np.int64(0)
    try:
        tf.io.gfile.makedirs(folder)
        tf.raw_ops.SaveV2(
            prefix=path, tensor_names=list(arrays), shape_and_slices=[""] * len(arrays),
            tensors=list(arrays.values()),
        )  # fmt: skip
        write_text(os.path.join(folder, "checkpoint"), 'model_checkpoint_path: "model"\n')
    except (OSError, tf.errors.OpError) as error:
        raise UserError(f"cannot write {path}: {reason(error)}") from error


def without_model_scope(values: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Drops the scope "model" that some ImageNet checkpoints have below the backbone's name."""
    return {name.replace("/model/", "/", 1): value for name, value in values.items()}


def _read_h5(path: str) -> dict[str, np.ndarray]:
    """Reads the file of Keras 2's `save_weights`: a group a layer, each listing its weights.

    A whole model in such a file has these groups below "model_weights".
    """
    with on_disk(path) as local, h5py.File(local, "r") as file:
        if {"layers", "vars"} <= file.keys():
            raise UserError(f"{path} is {KERAS_3}.")
        return {
            name.removesuffix(":0"): group[name][()]
            for group in file.get("model_weights", file).values()
            for name in map(_text, group.attrs["weight_names"])
        }


def _text(name: str | bytes) -> str:
    """h5py gives text of a fixed length as bytes."""
    return name.decode() if isinstance(name, bytes) else name


@contextlib.contextmanager
def on_disk(path: str) -> Iterator[str]:
    """Yields a local path of a file that may lie in a bucket."""
    if "://" not in path:
        yield path
        return
    folder = tempfile.mkdtemp()
    try:
        local = os.path.join(folder, os.path.basename(path))
        tf.io.gfile.copy(path, local)
        yield local
    finally:
        shutil.rmtree(folder)


def find_released(folder: str) -> str | None:
    """Returns the checkpoint or h5 file in a folder or in its only subfolder, or None.

    The "checkpoint" file says which is the last; where it is missing, or names one that is not in
    the folder (an archive may name any), the single checkpoint that lies there is meant.

    Raises:
      UserError: several lie there and nothing says which is meant.
    """
    last = tf.train.latest_checkpoint(folder)
    if last is not None and last.startswith(os.path.join(folder, "")):
        return last
    here = glob_of(folder)
    found = [p.removesuffix(".index") for p in tf.io.gfile.glob(os.path.join(here, "*.index"))]
    found = found or tf.io.gfile.glob(os.path.join(here, "*.h5"))
    if len(found) > 1:
        raise UserError(
            f"{folder} holds {len(found)} sets of weights, such as {sorted(found)[0]}; name one."
        )
    if found:
        return found[0]
    inside = [os.path.join(folder, name.rstrip("/")) for name in tf.io.gfile.listdir(folder)]
    folders = [path for path in inside if tf.io.gfile.isdir(path)]
    return find_released(folders[0]) if len(folders) == 1 else None
