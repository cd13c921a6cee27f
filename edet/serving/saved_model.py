"""The SavedModel: the Detector as a folder that TensorFlow loads without edet or Keras."""

from __future__ import annotations

import json
import os
import uuid

import keras
import tensorflow as tf

from edet.config.sizes import as_dict
from edet.data.decode import decode_image
from edet.errors import UserError
from edet.files import reason
from edet.serving.detector import Detector


def export_saved_model(detector: Detector, folder: str, version: int | None = None) -> str:
    """Writes `<folder>/<version>/`, the layout that TensorFlow Serving polls.

    Signatures, all with the outputs of `Detector.__call__`, each for any batch size:
      serving_default: "image_bytes" string [B], encoded pictures of any sizes.
      images: "images" uint8 [B, H, W, 3], pictures of one size.
      raw: "images" float32 [B, h, w, 3], normalised -> "class_logits" and "box_deltas".
    `assets.extra/edet.json` holds the labels and the whole configuration.

    Args:
      detector: what to export.
      folder: name of the model; gs:// works.
      version: number of the version; by default one more than the highest there.

    Returns:
      The folder written. It appears whole or not at all.

    Raises:
      UserError: the version exists, or the folder cannot be written.
    """
    try:
        tf.io.gfile.makedirs(folder)
        if version is None:
            version = 1 + max((int(v) for v in _entries(folder) if v.isdigit()), default=0)
        target = os.path.join(folder, str(version))
        if tf.io.gfile.exists(target):
            raise UserError(f"{target} exists already; give another version or remove it.")
        aside = os.path.join(folder, f".{version}.{uuid.uuid4().hex[:8]}.part")
        try:
            _archive(detector).write_out(aside, verbose=False)
            _write_card(detector, aside)
            tf.io.gfile.rename(aside, target)
        finally:
            if tf.io.gfile.exists(aside):
                tf.io.gfile.rmtree(aside)
    except (OSError, tf.errors.OpError) as error:
        raise UserError(f"cannot write the SavedModel in {folder}: {reason(error)}") from error
    return target


def _entries(folder: str) -> list[str]:
    return [name.rstrip("/") for name in tf.io.gfile.listdir(folder)]


def _archive(detector: Detector) -> keras.export.ExportArchive:
    height, width = detector.config.model.image_size
    pixels_and_scale = (
        tf.TensorSpec([height, width, 3], tf.float32),
        tf.TensorSpec([], tf.float32),
    )

    def serve_bytes(image_bytes: tf.Tensor) -> dict[str, tf.Tensor]:
        pixels, scales = tf.map_fn(
            lambda encoded: detector.prepare(decode_image(encoded)),
            image_bytes,
            fn_output_signature=pixels_and_scale,
        )
        return detector.detect(pixels, scales)

    def serve_images(images: tf.Tensor) -> dict[str, tf.Tensor]:
        pixels, scales = tf.map_fn(detector.prepare, images, fn_output_signature=pixels_and_scale)
        return detector.detect(pixels, scales)

    def serve_raw(images: tf.Tensor) -> dict[str, tf.Tensor]:
        return detector.network(images, training=False)

    archive = keras.export.ExportArchive()
    archive.track(detector.network)
    for name, function, spec in (
        ("serving_default", serve_bytes, tf.TensorSpec([None], tf.string, "image_bytes")),
        ("images", serve_images, tf.TensorSpec([None, None, None, 3], tf.uint8, "images")),
        ("raw", serve_raw, tf.TensorSpec([None, height, width, 3], tf.float32, "images")),
    ):
        archive.add_endpoint(name, function, input_signature=[spec])
    return archive


def _write_card(detector: Detector, folder: str) -> None:
    card = {"labels": detector.labels, "config": as_dict(detector.config)}
    extra = os.path.join(folder, "assets.extra")
    tf.io.gfile.makedirs(extra)
    with tf.io.gfile.GFile(os.path.join(extra, "edet.json"), "w") as file:
        file.write(json.dumps(card, indent=2, ensure_ascii=False) + "\n")
