"""Masks of a batch: moved with the pixels of their image, and turned into indices of logits.

Shapes: H, W pixels of a mask · h, w pixels of the network input.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import tensorflow as tf

from edet.input.augment import Geometry
from edet.records.masks import IGNORED

_UNKNOWN = 254  # among indices: a value that no logit stands for


def place_mask(
    mask: tf.Tensor, image_size: tf.Tensor, geometry: Geometry, output_size: tuple[int, int]
) -> tf.Tensor:
    """Moves a mask with the pixels of its image: nearest value, the padding ignored.

    Args:
      mask: uint8 [H, W]. Its size may be another one than the image's, which may have been decoded
        at a fraction of its own.
      image_size: int32 [2], of the image that `geometry` counts pixels of.
      geometry: of `augment.make_geometry`.
      output_size: (h, w).

    Returns:
      uint8 [h, w].
    """
    for axis in range(2):
        first, last = geometry.window[axis], geometry.window[2 + axis]
        count, sides = geometry.size[axis], tf.shape(mask)[axis]
        place = tf.range(count)
        place = tf.where(geometry.is_flipped[axis], count - 1 - place, place)
        # Centres of the input's pixels, in pixels of the image, in those of the mask.
        center = (tf.cast(place, tf.float32) + 0.5) / tf.cast(count, tf.float32)
        center = tf.cast(first, tf.float32) + center * tf.cast(last - first, tf.float32)
        center *= tf.cast(sides, tf.float32) / tf.cast(image_size[axis], tf.float32)
        index = tf.clip_by_value(tf.cast(center, tf.int32), 0, sides - 1)
        mask = tf.gather(mask, index, axis=axis)
    room = tf.constant(output_size) - geometry.size
    padded = tf.pad(mask, [[0, room[0]], [0, room[1]]], constant_values=IGNORED)
    return tf.ensure_shape(padded, output_size)


def index_mask(
    mask: tf.Tensor, values: Sequence[int], name_image: Callable[[], tf.Tensor]
) -> tf.Tensor:
    """Turns the values of a mask into indices of logits.

    Args:
      mask: uint8 [h, w].
      values: that of each logit, rising.
      name_image: gives a string scalar that names the image in the error.

    Returns:
      uint8 [h, w]; IGNORED stays.

    Raises:
      tf.errors.InvalidArgumentError: in the graph, for a value that no logit stands for.
    """
    table = index_table(values)
    indices = tf.gather(tf.constant(table), tf.cast(mask, tf.int32))
    is_known = tf.reduce_all(indices != _UNKNOWN)

    def name_unknown() -> tf.Tensor:
        """Returns the sentence for the unknown values, a scalar string."""
        unknown = tf.unique(tf.boolean_mask(mask, indices == _UNKNOWN)).y
        listed = tf.strings.reduce_join(
            tf.strings.as_string(tf.cast(unknown, tf.int32)), separator=", "
        )
        sentence = tf.strings.join(
            [
                "the mask of ", name_image(), " has values that model.segmentation.labels lacks (",
                listed, "); set them to those of the data set",
            ]
        )  # fmt: skip
        with tf.control_dependencies([tf.debugging.Assert(is_known, [sentence])]):
            return tf.identity(indices)

    return tf.cond(is_known, lambda: indices, name_unknown)


def index_table(values: Sequence[int]) -> np.ndarray:
    """Returns uint8 [256], the index of each value; 254 where there is none, IGNORED for itself."""
    table = np.full(256, _UNKNOWN, np.uint8)
    table[list(values)] = np.arange(len(values))
    table[IGNORED] = IGNORED
    return table
