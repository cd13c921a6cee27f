"""The Detector: from pictures of any size to boxes in their own pixels and class ids.

Evaluation and prediction go through it, and what follows the network, `inference.postprocess`, is
the same in every export, so that exported AP is evaluated AP.

Shapes: B images or views of one (mirrored, in tiles), H, W pixels of an image, h, w pixels of the
network input, M candidates, D detections kept per image (100).
"""

from __future__ import annotations

from collections.abc import Sequence

import keras
import numpy as np
import tensorflow as tf

from edet.config.labels import labels_of
from edet.config.schema import Config
from edet.errors import UserError
from edet.image.files import decode_picture
from edet.image.letterbox import letterbox, normalize_images
from edet.inference.postprocess import Postprocess
from edet.input.windows import cut_view, is_uncut, make_windows, place_boxes

Images = np.ndarray | tf.Tensor | Sequence[np.ndarray] | Sequence[bytes]


class Detector:
    """Finds objects with a network.

        detector = edet.Detector(network, config)
        found = detector([open("street.jpg", "rb").read()])
        for box, score, class_id in zip(found["boxes"][0], found["scores"][0], found["classes"][0]):
            ...

    Args:
      network: from `build_network(config.model)`.
      config: its `model` says how images are prepared and what the classes are called, its
        `detect` how detections are chosen.
    """

    def __init__(self, network: keras.Model, config: Config):
        self.network, self.config = network, config
        self.labels = labels_of(config.model)
        model = config.model
        self.postprocess = Postprocess.of(model, config.detect)
        pixels = tf.TensorSpec([None, *model.image_size, 3], tf.float32)
        scales = tf.TensorSpec([None], tf.float32)
        self._detect = tf.function(self.detect, input_signature=[pixels, scales])
        image = tf.TensorSpec([None, None, 3], tf.uint8)
        self._prepare = tf.function(self.prepare, input_signature=[image])
        window = tf.TensorSpec([5], tf.int32)
        self._cut = tf.function(
            lambda image, window: cut_view(image, window, model), input_signature=[image, window]
        )
        places = tf.TensorSpec([None, 4], tf.float32)
        self._look = tf.function(self.look, input_signature=[pixels, places, places])
        self._merge = tf.function(self.postprocess.merge_views)

    def __call__(self, images: Images) -> dict[str, np.ndarray]:
        """Detects objects in a batch of pictures.

        Args:
          images: uint8 [B, H, W, 3], a list of uint8 arrays [H, W, 3] of any sizes, or a list of
            encoded files (JPEG, PNG, GIF, BMP or WebP as bytes).

        Returns:
          "boxes" float32 [B, D, 4], ymin, xmin, ymax, xmax in pixels of the given picture;
          "scores" float32 [B, D] in [0, 1], best first; "classes" int32 [B, D], the data set's own
          ids; "num_detections" int32 [B]. Rows from num_detections on are zeros.

        Raises:
          UserError: a picture cannot be decoded or is not uint8 [H, W, 3]; it names its place.
        """
        if len(images) == 0:
            raise UserError("the Detector got no images; give at least one.")
        pictures = (picture_pixels(image, k) for k, image in enumerate(images))
        if not self.config.detect.looks_once:
            found = [self._detect_in_views(picture) for picture in pictures]
            return {name: np.concatenate([one[name] for one in found]) for name in found[0]}
        prepared = [self._prepare(picture) for picture in pictures]
        pixels, scales = (tf.stack(part) for part in zip(*prepared, strict=True))
        return {name: value.numpy() for name, value in self._detect(pixels, scales).items()}

    def _detect_in_views(self, image: tf.Tensor) -> dict[str, np.ndarray]:
        """Detects in one picture [H, W, 3] that is looked at several times, some views at once."""
        windows = make_windows(*image.shape[:2], self.config.detect)
        at_once = self.config.data.eval_batch_size
        parts = []
        for start in range(0, len(windows), at_once):
            views = [self._cut(image, window) for window in windows[start : start + at_once]]
            views = {name: tf.stack([view[name] for view in views]) for name in views[0]}
            scale = views.pop("image_scales")[0]
            parts.append(self._look(**views))
        merged = self._merge(*(tf.concat(part, 0) for part in zip(*parts, strict=True)), scale)
        return {name: value.numpy() for name, value in merged.items()}

    def prepare(self, image: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        """Fits raw pixels [H, W, 3] into the input: float32 [h, w, 3] in 0-255, image scale."""
        return letterbox(image, self.config.model.image_size, self.config.model.pad_color)

    def detect(self, pixels: tf.Tensor, scales: tf.Tensor) -> dict[str, tf.Tensor]:
        """Detects objects in prepared images; in a graph, on any device.

        Args:
          pixels: float32 [B, h, w, 3], fitted raw pixels in 0-255.
          scales: float32 [B], image scale: network pixels / original pixels.

        Returns:
          As `__call__`.
        """
        outputs = self.network(normalize_images(pixels, self.config.model), training=False)
        return self.postprocess(outputs["class_logits"], outputs["box_deltas"], scales)

    def look(
        self, images: tf.Tensor, placements: tf.Tensor, limits: tf.Tensor
    ) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
        """Finds the candidates of views (`input.windows.cut_view`) in the frames of their pictures.

        Args:
          images: float32 [B, h, w, 3], fitted raw pixels in 0-255, of B views.
          placements, limits: float32 [B, 4].

        Returns:
          Boxes [B, M, 4], scores [B, M] and class indices [B, M]; a box that the cut of a tile
          went through has the score 0.
        """
        outputs = self.network(normalize_images(images, self.config.model), training=False)
        boxes, scores, classes = self.postprocess.candidates(
            outputs["class_logits"], outputs["box_deltas"]
        )
        boxes = place_boxes(boxes, placements)
        return boxes, tf.where(is_uncut(boxes, limits), scores, 0.0), classes

    @staticmethod
    def decode(encoded: bytes) -> tf.Tensor:
        """Decodes a picture file to uint8 [H, W, 3], upright.

        Raises:
          UserError: it cannot be decoded.
        """
        return decode_picture(encoded)


def picture_pixels(image: np.ndarray | tf.Tensor | bytes, place: int) -> tf.Tensor:
    """Returns uint8 [H, W, 3] of one of the pictures that a Detector is called with.

    Raises:
      UserError: it cannot be decoded or is of another kind; `place` is its number.
    """
    if isinstance(image, bytes):
        try:
            return decode_picture(image)
        except UserError as error:
            raise UserError(f"image {place} {error}") from error
    image = tf.convert_to_tensor(image)
    if image.dtype != tf.uint8 or image.shape.rank != 3 or image.shape[-1] != 3:
        raise UserError(
            f"image {place} is {image.dtype.name} {image.shape}; it must be uint8 "
            "[height, width, 3] in 0-255, or encoded bytes."
        )
    return image
