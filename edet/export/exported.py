"""Exported files as Detectors and Segmenters, for evaluation and prediction as with any model.

Shapes: B images, h, w pixels of the network input.
"""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Mapping, Sequence
from typing import Protocol

import numpy as np
import tensorflow as tf

from edet.config.loading import load_config
from edet.config.schema import Config
from edet.errors import UserError
from edet.export.litert import LiteRTFile
from edet.export.onnx import ONNXFile
from edet.files import content_of, reason
from edet.inference.detector import Detector
from edet.inference.segmenter import Segmenter


class ExportedFile(Protocol):
    """A file that is open in its runtime."""

    settings: str  # `portable.settings` of its configuration
    outputs: Mapping[str, tf.TensorSpec]  # what a call returns, of one image

    def __call__(self, images: np.ndarray) -> dict[str, np.ndarray]:
        """Runs one image, float32 [1, h, w, 3], fitted pixels in 0-255."""


_TYPES = {".tflite": LiteRTFile, ".onnx": ONNXFile}


def is_exported(weights: str) -> bool:
    """Returns whether weights are a file for `ExportedDetector`."""
    return os.path.splitext(weights)[1] in _TYPES


def exported_config(path: str, overrides: Sequence[str] = ()) -> Config:
    """Returns the configuration that a file carries along, with overrides as of `load_config`.

    Raises:
      UserError: as `ExportedDetector`.
    """
    return load_config(path=path, overrides=overrides, text=_open(path, 1).settings)


class ExportedDetector(Detector):
    """A Detector whose network is an exported file, with as much of the rest as the file holds.

    Args:
      path: a .tflite or .onnx file that edet wrote; gs:// works.
      config: its `model` is replaced by the file's; its `detect` chooses detections unless the
        file does so. By default all is as at the export.
      threads: CPU threads of the runtime; by default one for each core.

    Raises:
      UserError: the file cannot be read, was not written by edet, or its runtime is not installed.
    """

    def __init__(self, path: str, config: Config | None = None, threads: int | None = None):
        file = _open(path, threads or os.cpu_count() or 1)
        own = load_config(path=path, text=file.settings)
        config = dataclasses.replace(config, model=own.model) if config else own
        if not config.detect.looks_once:
            raise UserError(
                f"{path} looks at a picture once, but detect.flip or detect.tile is set; add "
                "--set detect.flip=false --set detect.tile=[0,0]."
            )
        super().__init__(file, config)

    def detect(self, pixels: tf.Tensor, scales: tf.Tensor) -> dict[str, tf.Tensor]:
        """As `Detector.detect`; the file runs on this machine's CPU, one image after another."""
        return self.finish(_run(self.network, pixels), scales)

    def finish(self, outputs: Mapping[str, tf.Tensor], scales: tf.Tensor) -> dict[str, tf.Tensor]:
        """Makes detections as of `detect` of what the file has put out for the images."""
        if "num_detections" in outputs:
            found = {name: value for name, value in outputs.items() if name != "class_map"}
            return found | {"boxes": found["boxes"] / scales[:, None, None]}
        if "scores" in outputs:
            return self.postprocess.of_boxes(outputs["boxes"], outputs["scores"], scales)
        return self.postprocess(outputs["class_logits"], outputs["box_deltas"], scales)


class ExportedSegmenter(Segmenter):
    """A Segmenter whose network is an exported file; arguments and errors as `ExportedDetector`."""

    def __init__(self, path: str, config: Config | None = None, threads: int | None = None):
        file = _open(path, threads or os.cpu_count() or 1)
        own = load_config(path=path, text=file.settings)
        super().__init__(file, dataclasses.replace(config, model=own.model) if config else own)

    def segment(self, pixels: tf.Tensor) -> tf.Tensor:
        """As `Segmenter.segment`; the file runs on this machine's CPU."""
        found = _run(self.network, pixels)
        if "class_map" in found:
            return tf.cast(found["class_map"], tf.uint8)
        return self.classify(found["segmentation_logits"])


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


def _open(path: str, threads: int) -> ExportedFile:
    try:
        content = content_of(path)
    except (OSError, tf.errors.OpError) as error:
        raise UserError(f"cannot read the model file {path}: {reason(error)}") from error
    return _TYPES[os.path.splitext(path)[1]](content, path, threads)
