"""Fits an image into the network input, keeping its shape or filling the input; normalises it.

`model.fit` says which: a letterboxed image keeps its shape and is padded, a stretched one has a
scale of its own in y and in x and no padding. All that follows takes both scales.

The reference normalises, resizes, and pads with 0. Here the host resizes raw pixels (0-255), pads
with the mean colour, and the device normalises: normalisation is affine and bilinear weights add
up to 1, so both orders give the same numbers within float32 noise, and uint8 images cost a
quarter of the traffic.

Shapes: B images · H, W pixels of an image · h, w pixels of the network input.
Image scales = network pixels / original pixels, of y and x; a letterboxed image has one twice.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple, Protocol

import numpy as np
import tensorflow as tf

from edet.config.schema import Fit


class Normalization(Protocol):
    """What has mean and deviation of the pixels, 0-255, by channel: a ModelConfig, a Recipe."""

    mean_rgb: tuple[float, float, float]
    stddev_rgb: tuple[float, float, float]


def fit(
    height: tf.Tensor, width: tf.Tensor, target: tf.Tensor, how: Fit = "letterbox"
) -> tuple[tf.Tensor, tf.Tensor]:
    """Returns the image scales that fit an image into a target, and the size it then has.

    The letterbox's arithmetic is the reference's, in float32 and truncating: in 7% of shapes the
    long side is one pixel short of the target, and released weights are evaluated that way.

    Args:
      height, width: ints [...], pixels of one image or of many.
      target: [2] int32, height and width to fit into.
      how: `model.fit`.

    Returns:
      (image scales, float32 [..., 2]; height and width of the resized image, int32 [..., 2], at
      least 1).
    """
    size = tf.cast(tf.stack([height, width], axis=-1), tf.float32)
    scales = tf.cast(target, tf.float32) / size
    if how == "stretch":
        return scales, tf.broadcast_to(tf.cast(target, tf.int32), tf.shape(size))
    scales = tf.broadcast_to(tf.reduce_min(scales, axis=-1, keepdims=True), tf.shape(size))
    # A strip so thin that the reference's resize would get 0 pixels keeps one.
    return scales, tf.maximum(tf.cast(size * scales, tf.int32), 1)


def resize(image: tf.Tensor, size: tf.Tensor) -> tf.Tensor:
    """Resizes bilinearly, half-pixel centres, without antialias (reference).

    Args:
      image: [H, W, 3], any number type.
      size: [2] int32.

    Returns:
      float32 [size[0], size[1], 3].
    """
    # Of the same kernel with the same result, the one for float32 is nearly twice as fast. That
    # pays for the conversion unless most pixels are passed over.
    image = tf.convert_to_tensor(image)
    if image.dtype != tf.uint8:
        return _bilinear(image, size)
    is_dense = tf.reduce_prod(tf.shape(image)[:2]) < 3 * tf.reduce_prod(size)
    return tf.cond(
        is_dense,
        lambda: _bilinear(tf.cast(image, tf.float32), size),
        lambda: _bilinear(image, size),
    )


def _bilinear(image: tf.Tensor, size: tf.Tensor) -> tf.Tensor:
    return tf.image.resize(image, size, method="bilinear", antialias=False)


def pad_bottom_right(
    image: tf.Tensor, output_size: tuple[int, int], color: Sequence[float]
) -> tf.Tensor:
    """Fills an image [H, W, 3] up to [h, w, 3] with one colour, in the image's type."""
    height, width = tf.shape(image)[0], tf.shape(image)[1]
    color = tf.constant(color, tf.float32)
    if image.dtype.is_integer:
        color = tf.round(color)
    color = tf.cast(color, image.dtype)
    right = tf.broadcast_to(color, [height, output_size[1] - width, 3])
    bottom = tf.broadcast_to(color, [output_size[0] - height, output_size[1], 3])
    return tf.ensure_shape(tf.concat([tf.concat([image, right], 1), bottom], 0), [*output_size, 3])


class Letterbox(NamedTuple):
    """A picture in the network input, and where it is there."""

    image: tf.Tensor  # float32 [h, w, 3] raw pixels, 0-255
    scales: tf.Tensor  # float32 [2], network pixels / picture pixels of y and x
    size: tf.Tensor  # int32 [2], rows and columns that show the picture; the rest is padding


def letterbox(
    image: tf.Tensor,
    output_size: tuple[int, int],
    pad_color: Sequence[float],
    how: Fit = "letterbox",
) -> Letterbox:
    """Resizes an image to fit and pads it at the bottom and at the right, where it has to.

    The values are not rounded, so that evaluation and serving equal the reference. The way back is
    `boxes_to_picture` and `mask_to_picture`.

    Args:
      image: [H, W, 3] raw pixels, 0-255, any number type.
      output_size: (h, w) of the network input.
      pad_color: red, green, blue of the padding, 0-255: the model's `pad_color`. The mean becomes
        exactly 0 under `normalize_images`, which is the reference's padding.
      how: `model.fit`.
    """
    shape = tf.shape(image)
    scales, size = fit(shape[0], shape[1], tf.constant(output_size), how)
    padded = pad_bottom_right(resize(image, size), output_size, pad_color)
    return Letterbox(padded, scales, size)


def boxes_to_picture(boxes: tf.Tensor, scales: tf.Tensor) -> tf.Tensor:
    """Brings boxes [B, N, 4] of the network input to pixels of their pictures.

    Args:
      scales: float32 [B, 2], `Letterbox.scales` of each picture.
    """
    return boxes / tf.tile(scales, [1, 2])[:, None]


def mask_to_picture(mask: np.ndarray, size: tuple[int, int], how: Fit = "letterbox") -> np.ndarray:
    """Brings a class map [h, w] of the network input to the pixels [H, W] of a picture."""
    shown = fit(*(tf.constant(side) for side in size), tf.constant(mask.shape), how)[1].numpy()
    rows, columns = (
        ((np.arange(side) + 0.5) * count / side).astype(int)
        for side, count in zip(size, shown, strict=True)
    )
    return mask[np.ix_(rows, columns)]


def normalize_images(images: tf.Tensor, model: Normalization) -> tf.Tensor:
    """Turns raw pixels into what the network takes: (pixels - mean) / deviation, by channel.

    It belongs on the device: the training step, evaluation and the Detector call it on a batch.

    Args:
      images: [..., w, 3] raw pixels, 0-255, uint8 or float.
      model: has the numbers.

    Returns:
      float32, same shape.
    """
    return center_images(images, model) / _constant(model.stddev_rgb, images)


def center_images(images: tf.Tensor, model: Normalization) -> tf.Tensor:
    """Returns pixels - mean, float32; what `normalize_images` divides by the deviation."""
    return tf.cast(images, tf.float32) - _constant(model.mean_rgb, images)


def _constant(values: tuple[float, float, float], images: tf.Tensor) -> tf.Tensor:
    """Returns the numbers of the channels, to be repeated over images [..., w, 3].

    Of a whole row: repeating three numbers over a picture takes TensorFlow on a CPU three times as
    long, and an int8 lite0 in LiteRT 7 % more. One number for all is cheap anywhere: an NPU would
    read a row of it from flash for each row of the picture.
    """
    if len(set(values)) == 1:
        return tf.constant(values[0], tf.float32)
    return tf.constant([values] * (images.shape[-2] or 1), tf.float32)
