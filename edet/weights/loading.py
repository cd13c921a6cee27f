"""`load_weights`: a network's weights from the zoo, a released checkpoint or a run of ours."""

from __future__ import annotations

import contextlib
import difflib
import os
import tempfile
import zipfile
from collections.abc import Iterator, Mapping, Sequence

import keras
import numpy as np
import tensorflow as tf

from edet.checkpoint_files import is_own, read_weights, stored_names
from edet.config.labels import NAMED_LABELS, labels_of
from edet.config.loading import load_config
from edet.config.schema import ModelConfig
from edet.errors import UserError
from edet.files import reason
from edet.globs import glob_of
from edet.weights.archives import extract
from edet.weights.download import fetch
from edet.weights.imagenet import (
    from_keras_resnet,
    is_keras_resnet,
    keras_resnet_names,
    pytorch_names,
    to_keras_layout,
)
from edet.weights.reference_names import reference_names
from edet.weights.released import (
    KERAS_3,
    find_released,
    on_disk,
    read_released,
    without_model_scope,
)
from edet.weights.report import LoadReport, assign_weights
from edet.weights.zoo import ZOO, Release
from edet.workdir import Workdir

# Settings without any weights, without which the weights mean something else.
_READ_ALIKE = ("anchors", "mean_rgb", "stddev_rgb", "padding")
_ARCHIVES = (".tar.gz", ".tgz")
_FILES = (".h5", ".npz")


def load_weights(
    network: keras.Model, source: str | os.PathLike, average: bool = True
) -> LoadReport:
    """Puts weights into a network.

    Everything that has a variable's name and shape is loaded. Classes are matched by name: those
    that the source knows too keep their logits, the others start anew.

    Args:
      network: from `build_network`; it may differ from the source in classes or in whole parts.
      source: one of
        - a name of `edet.weights.zoo.ZOO` ("efficientdet-d0"), downloaded if need be;
        - a workdir of ours (its best checkpoint, otherwise its last), or one of our checkpoints
          (".../ckpt-100");
        - what google/automl writes: a name-based (TF1) or object-based (TF2) checkpoint, a Keras
          .h5 file, a folder or .tar.gz that holds one of them; also ImageNet EfficientNets;
        - an .npz of ImageNet weights for a lite backbone under their PyTorch names;
        - an .h5 of keras.applications' ResNet50 or ResNet101 for such a backbone.
        gs:// works.
      average: takes the moving averages where the source holds the raw weights too.

    Returns:
      What was loaded, what kept its initial value and what in the source stayed unused, by name.

    Raises:
      UserError: the source cannot be read, or (nearly) nothing in it fits the network.
    """
    source = os.path.expanduser(source)
    notes = _expectations(network, ZOO[source]) if source in ZOO else ()
    with _located(source) as path:
        if path.endswith(".npz"):
            values = {n: to_keras_layout(n, v) for n, v in _read_npz(path).items()}
            names = {ours: [name] for ours, name in pytorch_names(network).items()}
            return assign_weights(network, values, names, source)
        if not path.endswith(".h5") and is_own(path):
            values = read_weights(path, "average" if average else "raw")
            names = {name: [name] for name in values}
            notes = Workdir(source).skipped_checkpoints() if path != source else ()
            labels = None
            if run := Workdir.of(path):
                trained, wanted = run.config().model, f"those of {run.config_file}"
                labels = labels_of(trained)
                notes = (*notes, *_differing(network, trained, _READ_ALIKE, wanted))
            return assign_weights(network, values, names, path, labels, notes)
        values, style = read_released(path, average)
        if is_keras_resnet(network, values):
            names = {ours: [k] for ours, k in keras_resnet_names(network, values, source).items()}
            notes = _pixel_expectations(network)
            return assign_weights(network, from_keras_resnet(values), names, source, notes=notes)
        names = reference_names(network, network.model_config, style)
        values = without_model_scope(values)
        labels = _released_labels(values, network)
        return assign_weights(network, values, names, source, labels, notes)


def holds_detector(source: str | os.PathLike) -> bool:
    """Returns whether a source of `load_weights` has heads of ours or the reference's.

    Raises:
      UserError: it cannot be read.
    """
    with _located(os.fspath(source)) as path:
        if path.endswith(".npz"):
            names = list(_read_npz(path))
        elif path.endswith(".h5"):
            names = list(read_released(path)[0])
        else:
            names = stored_names(path)
    heads = ("box_head", "box_net", "segmentation_head")
    return any(head in name for head in heads for name in names)


def check_source(source: str) -> None:
    """Looks whether there are weights at a source of `load_weights`; the zoo is not asked.

    Raises:
      UserError: there are none.
    """
    if source not in ZOO:
        with _located(source):
            pass


@contextlib.contextmanager
def _located(source: str) -> Iterator[str]:
    """Yields the file, or the checkpoint without ".index", that a source stands for.

    "~" is the home folder.
    """
    source = os.path.expanduser(source)
    if source in ZOO:
        yield _find(fetch(ZOO[source]), source)
    elif source.endswith(_ARCHIVES):
        with tempfile.TemporaryDirectory() as folder, on_disk(source) as archive:
            inside = os.path.join(folder, "extracted")
            extract(archive, inside)
            yield _find(inside, source)
    elif tf.io.gfile.isdir(source):
        yield _find(source, source)
    elif tf.io.gfile.exists(source if source.endswith(_FILES) else f"{source}.index"):
        yield source
    elif source.endswith(".keras") and tf.io.gfile.exists(source):
        raise UserError(f"{source} is {KERAS_3}.")
    else:
        known = difflib.get_close_matches(source, ZOO, 1, 0.6)
        known = known or ["efficientdet-d0 (of COCO) or efficientnet-b0 (a backbone of ImageNet)"]
        raise UserError(
            f"there are no weights at {source}; give a name of the zoo such as {known[0]}, a "
            "workdir, a checkpoint (without .index), or an .h5, .npz or .tar.gz file."
        )


def _released_labels(
    values: Mapping[str, np.ndarray], network: keras.Model
) -> Mapping[int, str] | None:
    """COCO's map, if the checkpoint has as many logits; a fine-tuned one does not say its names."""
    bias = values.get("class_net/class-predict/bias", values.get("class_net/classes/bias"))
    per_location = network.model_config.anchors.per_location
    coco = NAMED_LABELS["coco"]
    return coco if bias is not None and bias.size == per_location * len(coco) else None


def _find(folder: str, source: str) -> str:
    path = Workdir(folder).checkpoint() or find_released(folder)
    if path is not None:
        return path
    here = glob_of(folder)
    versions = (os.path.join(here, *version, "saved_model.pb") for version in ((), ("*",)))
    if any(tf.io.gfile.glob(file) for file in versions):
        raise UserError(
            f"{source} is a SavedModel, from which weights cannot be taken; give the workdir that "
            "it was exported from, or a .tflite or .onnx file."
        )
    if files := [f for end in (".tflite", ".onnx") for f in tf.io.gfile.glob(f"{here}/*{end}")]:
        name = os.path.basename(files[0])  # such as a web page's
        raise UserError(f"{source} holds no checkpoint; give the file in it, {name}, itself.")
    raise UserError(f"{source} holds no checkpoint; was anything trained there?")


def _expectations(network: keras.Model, release: Release) -> tuple[str, ...]:
    """A sentence if the weights were trained with settings that the network is not used with."""
    if release.is_backbone:
        return ()
    expected = load_config(release.model, overrides=release.settings).model
    wanted = ", ".join(release.settings) or f"the defaults of {release.model}"
    return _differing(network, expected, _READ_ALIKE, wanted)


def _pixel_expectations(network: keras.Model) -> tuple[str, ...]:
    """A sentence if a ResNet does not get the pixels of keras.applications."""
    expected = load_config(f"retinanet-{network.model_config.backbone}").model
    wanted = (f"model.{key}={list(getattr(expected, key))}" for key in ("mean_rgb", "stddev_rgb"))
    return _differing(network, expected, ("mean_rgb", "stddev_rgb"), " and ".join(wanted))


def _differing(
    network: keras.Model, expected: ModelConfig, keys: Sequence[str], wanted: str
) -> tuple[str, ...]:
    differing = [
        f"model.{key}"
        for key in keys
        if getattr(expected, key) != getattr(network.model_config, key)
    ]
    if not differing:
        return ()
    return (
        f"these weights were trained with another {' and '.join(differing)} than the "
        f"configuration has; they expect {wanted}",
    )


def _read_npz(path: str) -> dict[str, np.ndarray]:
    try:
        with tf.io.gfile.GFile(path, "rb") as file, np.load(file, allow_pickle=False) as arrays:
            return {name: arrays[name] for name in arrays.files}
    except (OSError, ValueError, EOFError, zipfile.BadZipFile, tf.errors.OpError) as error:
        raise UserError(f"cannot read weights {path}: {reason(error)}") from error
