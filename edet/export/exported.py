"""Exported files as networks of a Predictor, for evaluation and prediction as with any model.

Shapes: B images, h, w pixels of the network input.
"""

from __future__ import annotations

import dataclasses
import functools
import itertools
import math
import os
from collections.abc import Container, Iterator, Mapping, Sequence
from typing import Protocol

import numpy as np
import tensorflow as tf

from edet.config.labels import mask_labels_of
from edet.config.loading import differences, load_config
from edet.config.schema import Config, ConfigError, DetectConfig, ModelConfig
from edet.errors import UserError
from edet.export.litert import LiteRTFile
from edet.export.onnx import ONNXFile
from edet.export.saved_model import SavedModelFolder, find_saved_model
from edet.files import content_of, reason
from edet.geometry.anchors import feature_sizes
from edet.globs import glob_of
from edet.inference.predictor import Predictor, heads_of


class ExportedFile(Protocol):
    """A file that is open in its runtime."""

    settings: str  # `portable.settings` of its configuration
    inputs: Mapping[str, tf.TensorSpec]  # what it takes, "images" alone if nobody has changed it
    outputs: Mapping[str, tf.TensorSpec]  # what a call returns, of one image

    def __call__(self, images: np.ndarray) -> dict[str, np.ndarray]:
        """Runs one image, float32 [1, h, w, 3], fitted pixels in 0-255."""


# What is done around a file, not in it.
_OUTSIDE = ("model.white_level", "model.name", "detect.draw_threshold")
_TYPES = {".tflite": LiteRTFile, ".onnx": ONNXFile}


def is_exported(weights: str) -> bool:
    """Returns whether weights are a file or SavedModel for `load_exported`."""
    return os.path.splitext(weights)[1].lower() in _TYPES or bool(find_saved_model(weights))


def exported_config(path: str, overrides: Sequence[str] = ()) -> Config:
    """Returns the configuration that a file carries along, with overrides as of `load_config`.

    Raises:
      UserError: as `load_exported`.
    """
    return load_config(path=path, overrides=overrides, text=open_exported(path).settings)


def load_exported(path: str, config: Config | None = None) -> Predictor:
    """Returns a Predictor whose network is an exported file, on all cores of this machine's CPU.

    Args:
      path: a .tflite or .onnx file or a SavedModel that edet wrote; gs:// works.
      config: its `model` is replaced by the file's; its `detect` chooses detections unless the
        file does so. By default all is as at the export.

    Raises:
      UserError: the file cannot be read, was not written by edet, or its runtime is not installed.
    """
    file = open_exported(path)
    config = with_own_model(path, config) if config else exported_config(path)
    if config.model.detects and not config.detect.looks_once:
        raise UserError(
            f"{path} looks at a picture once, but detect.flip or detect.tile is set; add "
            "--set detect.flip=false --set detect.tile=[0,0]."
        )
    return Predictor(functools.partial(_run, file), heads_of(config), config.model)


def with_own_model(path: str, config: Config) -> Config:
    """Returns a configuration with a file's network; 16 bits are read outside of it, as asked."""
    model = exported_config(path).model
    return dataclasses.replace(
        config, model=dataclasses.replace(model, white_level=config.model.white_level)
    )


def ignored_settings(path: str, config: Config) -> str:
    """Says which settings of a configuration a file does otherwise; "" if none.

    Args:
      path: as of `load_exported`.
      config: what was asked for.
    """
    file, own = open_exported(path), exported_config(path)
    sections = ["model"] + ["detect"] * ("num_detections" in file.outputs)
    return ", ".join(
        f"{key} {value!r} (not {other!r})"
        for key, value, other in differences(own, config)
        if key.partition(".")[0] in sections and key not in _OUTSIDE
    )


def detect_of(path: str, config: Config) -> DetectConfig:
    """Returns how detections are chosen: as the file does, where it does, or as it is asked.

    Args:
      path: as of `load_exported`.
      config: what was asked for.
    """
    if "num_detections" not in open_exported(path).outputs:
        return config.detect
    own = exported_config(path).detect
    return dataclasses.replace(own, draw_threshold=config.detect.draw_threshold)


def exported_contents(path: str) -> Iterator[bytes]:
    """Yields what tells one file or SavedModel from another: the content of its files."""
    yield from map(content_of, _files_of(path))


def _files_of(path: str) -> list[str]:
    if not (folder := find_saved_model(path)):
        return [path]
    others = (os.path.join("variables", "*"), os.path.join("assets.extra", "edet.json"))
    found = (tf.io.gfile.glob(os.path.join(glob_of(folder), other)) for other in others)
    return [os.path.join(folder, "saved_model.pb"), *sorted(itertools.chain(*found))]


def open_exported(path: str) -> ExportedFile:
    """Opens a file in its runtime; the one that was opened last is kept open for the next call.

    Raises:
      UserError: as `load_exported`.
    """
    try:
        stats = map(tf.io.gfile.stat, _files_of(path))
        return _open(path, *((stat.length, stat.mtime_nsec) for stat in stats))
    except (OSError, tf.errors.OpError) as error:
        raise UserError(f"cannot read the model file {path}: {reason(error)}") from error


@functools.lru_cache(maxsize=1)
def _open(path: str, *versions: tuple[int, int]) -> ExportedFile:
    """`versions` tell a file, or those of a SavedModel, from others written in its place later."""
    if is_saved_model := find_saved_model(path):
        file = SavedModelFolder(is_saved_model)
    else:
        kind = _TYPES[os.path.splitext(path)[1].lower()]
        file = kind(content_of(path), path, os.cpu_count() or 1)
    try:
        model = load_config(path=path, text=file.settings).model
    except ConfigError as error:
        raise UserError(
            f"the settings in {path} are damaged, or of another version of edet: {error}"
        ) from error
    _check_ends(file, path, model)
    return file


def _check_ends(file: ExportedFile, path: str, model: ModelConfig) -> None:
    """Refuses a file whose inputs or outputs are not those of the configuration in it.

    Tools that quantise, cut or convert a file may rename or drop some.
    """
    takes = {"images": [1, *model.image_size, 3]}
    for what, found, wanted in (
        ("take", file.inputs, takes), ("give", file.outputs, _outputs_of(model, file.outputs)),
    ):  # fmt: skip
        for name, shape in wanted.items():
            if name not in found or not found[name].shape.is_compatible_with(shape):
                there = ", ".join(f"{one} {spec.shape}" for one, spec in found.items())
                raise UserError(
                    f"{path} must {what} {name} {tf.TensorShape(shape)}, and what it has is "
                    f"{there}; a tool has changed it since --mode=export, or it has the settings "
                    "of another network: export it again."
                )


def _outputs_of(model: ModelConfig, there: Container[str]) -> dict[str, list[int | None]]:
    """Returns what the heads read, of one image, as far as the file has got: {name: shape}."""
    sizes, wanted = feature_sizes(model.image_size, model.max_level), {}
    anchors = sum(math.prod(sizes[level]) for level in model.levels) * model.anchors.per_location
    if model.detects and "num_detections" in there:
        wanted = {"boxes": [1, None, 4], "scores": [1, None], "classes": [1, None]}
    elif model.detects and "scores" in there:
        wanted = {"boxes": [1, anchors, 4], "scores": [1, anchors, model.num_classes]}
    elif model.detects:
        logits = [1, anchors, model.num_classes]
        wanted = {"class_logits": logits, "box_deltas": [1, anchors, 4]}
    if model.segments and "class_map" in there:
        wanted["class_map"] = [1, *model.image_size]
    elif model.segments:
        wanted["segmentation_logits"] = [1, None, None, len(mask_labels_of(model))]
    return wanted


def _run(file: ExportedFile, pixels: tf.Tensor) -> dict[str, tf.Tensor]:
    """Runs a file on fitted raw pixels, float32 [B, h, w, 3], one image after another."""

    def run(pixels: np.ndarray) -> list[np.ndarray]:
        found = [file(image[None]) for image in pixels]
        return [np.concatenate([one[name] for one in found]) for name in file.outputs]

    values = tf.numpy_function(run, [pixels], [spec.dtype for spec in file.outputs.values()])
    return {
        name: tf.ensure_shape(value, [None, *spec.shape[1:]])
        for (name, spec), value in zip(file.outputs.items(), values, strict=True)
    }
