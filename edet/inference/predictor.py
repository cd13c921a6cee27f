"""The Predictor: pictures of any sizes -> the network once -> what every head finds in them.

    bytes ── decode ──► pixels ── letterbox ──► input ── network ──► outputs ── heads ──► results

Evaluation, prediction and the exported files that come back all take this pipeline, so that
exported AP is evaluated AP.

Shapes: B images · H, W pixels of a picture · h, w pixels of the network input · A anchors ·
K classes · C classes of pixels · D detections kept per image (100).
"""

from __future__ import annotations

import io
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, Protocol

import keras
import numpy as np
import tensorflow as tf
from PIL import Image

from edet.config.labels import labels_of, mask_labels_of
from edet.config.schema import Config, DetectConfig, Fit, ModelConfig
from edet.errors import UserError
from edet.image.files import decode_picture, pillow_pixels
from edet.image.letterbox import (
    boxes_to_picture,
    letterbox,
    mask_to_picture,
    normalize_images,
)
from edet.inference.postprocess import Postprocess

Images = np.ndarray | tf.Tensor | Sequence[np.ndarray] | Sequence[bytes]
Outputs = Mapping[str, tf.Tensor]
# Maps fitted raw pixels, float32 [B, h, w, 3] in 0-255, to outputs by name, each [B, ...].
Network = Callable[[tf.Tensor], Outputs]


class Head(Protocol):
    """Turns what the network, or a file, puts out into results."""

    labels: dict[int, str]  # ids or values of masks, and their names

    def __call__(self, outputs: Outputs, scales: tf.Tensor) -> dict[str, tf.Tensor]:
        """Returns results by name, each [B, ...], in static shapes; in a graph, on any device.

        Args:
          outputs: of the network.
          scales: float32 [B, 2], network pixels / picture pixels of y and x.
        """


class DetectionHead:
    """Boxes in pixels of the picture, scores and class ids; see `Postprocess`."""

    def __init__(self, model: ModelConfig, detect: DetectConfig):
        self.labels = labels_of(model)
        self.postprocess = Postprocess.of(model, detect)

    def __call__(self, outputs: Outputs, scales: tf.Tensor) -> dict[str, tf.Tensor]:
        """As `Head`; an exported file may have done some or all of it."""
        if "num_detections" in outputs:
            found = {n: outputs[n] for n in ("boxes", "scores", "classes", "num_detections")}
            return found | {"boxes": boxes_to_picture(found["boxes"], scales)}
        if "scores" in outputs:
            return self.postprocess.of_boxes(outputs["boxes"], outputs["scores"], scales)
        return self.postprocess(outputs["class_logits"], outputs["box_deltas"], scales)


class SegmentationHead:
    """The class of every pixel: "class_maps" int32 [B, h, w], keys of `labels`.

    What padding shows means nothing. (int32: several workers gather no uint8.)
    """

    def __init__(self, model: ModelConfig):
        self.labels, self._model = mask_labels_of(model), model

    def __call__(self, outputs: Outputs, scales: tf.Tensor) -> dict[str, tf.Tensor]:
        """As `Head`; an exported file may have chosen the classes."""
        if "class_map" in outputs:
            return {"class_maps": tf.cast(outputs["class_map"], tf.int32)}
        return {"class_maps": class_maps(outputs["segmentation_logits"], self._model)}


def class_maps(logits: tf.Tensor, model: ModelConfig) -> tf.Tensor:
    """Returns the likeliest class of every pixel of logits [B, h / 4, w / 4, C].

    Logits are upsampled bilinearly before the choice, so that borders are not stairs.

    Returns:
      int32 [B, h, w], values of the data set's masks.
    """
    upsampled = tf.image.resize(logits, model.image_size, method="bilinear")
    values = np.array(list(mask_labels_of(model)), np.int32)
    return tf.gather(values, tf.argmax(upsampled, axis=-1, output_type=tf.int32))


def heads_of(config: Config) -> dict[str, Head]:
    """Returns the heads that `model.heads` names, by name."""
    model, heads = config.model, {}
    if model.detects:
        heads["detection"] = DetectionHead(model, config.detect)
    if model.segments:
        heads["segmentation"] = SegmentationHead(model)
    return heads


def of_pixels(network: keras.Model, model: ModelConfig) -> Network:
    """Returns a network of `build_network` as a function of raw pixels."""
    return lambda pixels: network(normalize_images(pixels, model), training=False)


class Predictor:
    """Looks at pictures with all heads of a network.

    Args:
      network: see `Network`: `of_pixels`, or an exported file that is open.
      heads: by name, see `heads_of`.
      model: its `image_size`, `fit` and `pad_color` say how a picture gets into the input.

    Attributes:
      windows: which parts of a picture it looks at, for `make_window_dataset`; None for the whole.
      conditions: returns what the results depend on beside the pictures, by name, in short; nothing
        where nobody has said it.
    """

    windows = None
    conditions: Callable[[], dict[str, str]] = dict

    def __init__(self, network: Network, heads: Mapping[str, Head], model: ModelConfig):
        self.network, self.heads, self.model = network, dict(heads), model
        pixels = tf.TensorSpec([None, *model.image_size, 3], tf.float32)
        scales = tf.TensorSpec([None, 2], tf.float32)
        self._predict = tf.function(self.predict, [pixels, scales], autograph=False)
        image = tf.TensorSpec([None, None, 3], tf.uint8)
        self._prepare = tf.function(self.prepare, [image], autograph=False)

    def __call__(self, images: Images) -> dict[str, np.ndarray | list[np.ndarray]]:
        """Looks at a batch of pictures.

        Args:
          images: uint8 [B, H, W, 3], a list of uint8 arrays [H, W, 3] of any sizes, or a list of
            encoded files (JPEG, PNG, GIF, BMP or WebP as bytes).

        Returns:
          Of a network that detects: "boxes" float32 [B, D, 4], ymin, xmin, ymax, xmax in pixels of
          the given picture; "scores" float32 [B, D] in [0, 1], best first; "classes" int32 [B, D],
          the data set's own ids; "num_detections" int32 [B]. Rows from num_detections on are zeros.
          Of one that segments: "masks", a list of uint8 [H, W], values of the data set's masks.

        Raises:
          UserError: a picture cannot be decoded or is not uint8 [H, W, 3]; it names its place.
        """
        pictures = picture_pixels(images, self.model.white_level)
        pixels, scales = map(tf.stack, zip(*map(self._prepare, pictures), strict=True))
        found = {name: value.numpy() for name, value in self._predict(pixels, scales).items()}
        return with_masks(found, pictures, self.model.fit)

    def prepare(self, image: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        """Fits raw pixels [H, W, 3]: float32 [h, w, 3] in 0-255, and the image scales [2]."""
        model = self.model
        return letterbox(image, model.image_size, model.pad_color, model.fit)[:2]

    def predict(self, pixels: tf.Tensor, scales: tf.Tensor) -> dict[str, tf.Tensor]:
        """Runs the network once and all heads; in a graph, on any device.

        Args:
          pixels: float32 [B, h, w, 3], fitted raw pixels in 0-255.
          scales: float32 [B, 2], network pixels / picture pixels of y and x.
        """
        outputs = self.network(pixels)
        found = [head(outputs, scales) for head in self.heads.values()]
        return {name: value for part in found for name, value in part.items()}

    def step(self, batch: Mapping[str, tf.Tensor]) -> dict[str, tf.Tensor]:
        """Looks at one batch of `make_window_dataset`; in a graph, on each replica."""
        return self.predict(batch["images"], batch["image_scales"])

    def collect(self, steps: Iterable[Outputs]) -> Iterator[dict[str, np.ndarray]]:
        """Yields what steps have found in pictures, without what only fills up.

        Args:
          steps: what `step` returns, with the batch's "image_index", "image_scales", "num_views".
        """
        for found in steps:
            real = found["image_index"].numpy() >= 0
            names = found.keys() - {"image_scales", "num_views"}
            yield {name: found[name].numpy()[real] for name in names}


def picture_pixels(images: Images, white_level: int) -> list[tf.Tensor]:
    """Returns uint8 [H, W, 3] of each of the pictures that a Predictor is called with.

    Raises:
      UserError: there are none, or one cannot be decoded or is of another kind; it names its place.
    """
    if len(images) == 0:
        raise UserError("there are no images to look at; give at least one.")
    return [picture_of(image, place, white_level) for place, image in enumerate(images)]


def picture_of(image: Any, place: int, white_level: int) -> tf.Tensor:
    """Returns uint8 [H, W, 3] of one of them; `place` is its number, for the error.

    Beside arrays and bytes: a picture of Pillow, and what bytes may lie in: a bytearray, a scalar
    of TensorFlow, a file that is open.
    """
    try:
        if isinstance(image, Image.Image):
            image = pillow_pixels(image)
        elif (encoded := _encoded(image)) is not None:
            return decode_picture(encoded, white_level)
    except UserError as error:
        raise UserError(f"image {place} {error}") from error
    try:
        image = tf.convert_to_tensor(image)
    except (TypeError, ValueError) as error:
        raise UserError(
            f"image {place} is of the type {type(image).__name__}; it must be uint8 "
            "[height, width, 3] in 0-255, or encoded bytes."
        ) from error
    if image.dtype != tf.uint8 or image.shape.rank != 3 or image.shape[-1] != 3:
        raise UserError(
            f"image {place} is {image.dtype.name} {image.shape}; it must be uint8 "
            "[height, width, 3] in 0-255, or encoded bytes."
        )
    if not all(image.shape):
        raise UserError(f"image {place} is {image.shape} and has no pixel.")
    return image


def _encoded(image: Any) -> bytes | None:
    """Returns the bytes of a picture file, whatever holds them; None for pixels and the like."""
    if isinstance(image, bytes | bytearray | memoryview):
        return bytes(image)
    if hasattr(image, "read") and not isinstance(image, io.TextIOBase):
        return image.read()
    is_scalar = isinstance(image, tf.Tensor) and image.shape.rank == 0
    return image.numpy() if is_scalar and image.dtype == tf.string else None


def with_masks(
    found: dict[str, np.ndarray], pictures: Sequence[tf.Tensor], how: Fit
) -> dict[str, np.ndarray | list[np.ndarray]]:
    """Puts masks in the pictures' own pixels, "masks", in the place of "class_maps"."""
    if "class_maps" in found:
        maps = found.pop("class_maps").astype(np.uint8)
        found["masks"] = [
            mask_to_picture(m, p.shape[:2], how) for m, p in zip(maps, pictures, strict=True)
        ]
    return found
