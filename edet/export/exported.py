"""Exported files as networks of a Predictor, for evaluation and prediction as with any model.

Shapes: B images, h, w pixels of the network input.
"""

from __future__ import annotations

import dataclasses
import functools
import os
from collections.abc import Iterator, Mapping, Sequence
from typing import Protocol

import numpy as np
import tensorflow as tf

from edet.config.loading import differences, load_config
from edet.config.schema import Config, DetectConfig
from edet.errors import UserError
from edet.export.litert import LiteRTFile
from edet.export.onnx import ONNXFile
from edet.export.saved_model import SavedModelFolder, find_saved_model
from edet.files import content_of, glob_of, reason
from edet.inference.predictor import Predictor, heads_of


class ExportedFile(Protocol):
    """A file that is open in its runtime."""

    settings: str  # `portable.settings` of its configuration
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
    file, own = open_exported(path), exported_config(path)
    if config:  # how the values of 16 bits are read is decided outside of the file
        model = dataclasses.replace(own.model, white_level=config.model.white_level)
        config = dataclasses.replace(config, model=model)
    config = config or own
    if own.model.detects and not config.detect.looks_once:
        raise UserError(
            f"{path} looks at a picture once, but detect.flip or detect.tile is set; add "
            "--set detect.flip=false --set detect.tile=[0,0]."
        )
    return Predictor(functools.partial(_run, file), heads_of(config), config.model)


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
    if folder := find_saved_model(path):
        names = [os.path.join(folder, "saved_model.pb")]
        names += sorted(tf.io.gfile.glob(os.path.join(glob_of(folder), "variables", "*")))
    yield from map(content_of, names if folder else [path])


def open_exported(path: str) -> ExportedFile:
    """Opens a file in its runtime; the one that was opened last is kept open for the next call.

    Raises:
      UserError: as `load_exported`.
    """
    try:
        stat = tf.io.gfile.stat(path)
        return _open(path, stat.length, stat.mtime_nsec)
    except (OSError, tf.errors.OpError) as error:
        raise UserError(f"cannot read the model file {path}: {reason(error)}") from error


@functools.lru_cache(maxsize=1)
def _open(path: str, *version: int) -> ExportedFile:
    """`version` tells a file from another that is written in its place later."""
    if is_saved_model := find_saved_model(path):
        return SavedModelFolder(is_saved_model)
    return _TYPES[os.path.splitext(path)[1].lower()](content_of(path), path, os.cpu_count() or 1)


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
