"""A predictor without a network: one box a picture, and a mask, that tell how bright it is."""

import io
import pathlib

import numpy as np
import tensorflow as tf
from PIL import Image

from edet.evaluation.overlays import draw_overlay
from edet.evaluation.plots import draw_boxes
from edet.inference.files import predict_files
from edet.inference.predictor import Predictor
from tests.small import small_model


class Boxes:
    """The brightness, 0-1, is the score of a box of 2 x 4 pixels; a dark picture has none."""

    labels = {3: "a", 7: "b"}  # noqa: RUF012

    def __call__(self, outputs, scales):
        score = outputs["brightness"][:, None]
        found = {"boxes": tf.zeros_like(score)[..., None] + [1.0, 2.0, 3.0, 6.0], "scores": score}
        is_there = tf.cast(score[:, 0] > 0, tf.int32)
        return {**found, "classes": 3 + 0 * is_there[:, None], "num_detections": is_there}


class Masks:
    """Every pixel is of class 1 where the picture is bright, else of class 0."""

    labels = {0: "background", 1: "bright"}  # noqa: RUF012

    def __call__(self, outputs, scales):
        is_bright = tf.cast(outputs["brightness"] > 0.5, tf.int32)
        return {"class_maps": tf.tile(is_bright[:, None, None], [1, 64, 96])}


def stub(heads=None, **conditions: str) -> Predictor:
    """Returns the predictor; `conditions` tell it from others."""
    predictor = Predictor(
        lambda pixels: {"brightness": tf.reduce_max(pixels, [1, 2, 3]) / 255},
        heads or {"detection": Boxes()}, small_model(mean_rgb=(0.0, 0.0, 0.0)),
    )  # fmt: skip
    predictor.conditions = lambda: conditions or {"weights": "w", "settings": "s"}
    return predictor


def predict(inputs: list, output: pathlib.Path, predictor=None, draw=draw_boxes) -> dict:
    """As `predict_files`, four pictures at once."""
    inputs = [str(path) for path in inputs]
    return predict_files(predictor or stub(), inputs, str(output), 4, 0.0, draw, draw_overlay)


def png(brightness: int) -> bytes:
    """Returns a picture of one grey."""
    file = io.BytesIO()
    Image.fromarray(np.full((40, 60, 3), brightness, "uint8")).save(file, "png")
    return file.getvalue()
