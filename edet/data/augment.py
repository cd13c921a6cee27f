"""What changes an image and its boxes in training: flips and scale jitter (REFERENCE 5.4).

Every function is pure: random numbers are drawn from a given seed and passed in.
Letters: H, W pixels of an image · h, w pixels of the network input · n boxes · N padded boxes.
Boxes are [ymin, xmin, ymax, xmax], in shares of the image before the crop and in pixels of the
network input after it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import tensorflow as tf

from edet.config.schema import AugmentConfig
from edet.data.resize import fit, resize


class Draws(NamedTuple):
    """The random numbers of one image."""

    horizontal_flip: tf.Tensor  # bool scalar
    vertical_flip: tf.Tensor  # bool scalar
    scale_factor: tf.Tensor  # float32 scalar in [jitter_min, jitter_max)
    offset_yx: tf.Tensor  # float32 [2] in [0, 1): where the crop lies in what sticks out


def draw(seed: tf.Tensor, augment: AugmentConfig) -> Draws:
    """Draws the random numbers of one image; the same seed gives the same numbers.

    Args:
      seed: int64 [2].
      augment: which flips are on, and the range of the scale.
    """
    flips, scale, offset_yx = tf.split(tf.random.stateless_uniform([5], seed), [2, 1, 2])
    low, high = augment.jitter_min, augment.jitter_max
    return Draws(
        horizontal_flip=(flips[0] < 0.5) & augment.horizontal_flip,
        vertical_flip=(flips[1] < 0.5) & augment.vertical_flip,
        scale_factor=low + (high - low) * scale[0],
        offset_yx=offset_yx,
    )


def flip(
    image: tf.Tensor, boxes: tf.Tensor, horizontal: tf.Tensor, vertical: tf.Tensor
) -> tuple[tf.Tensor, tf.Tensor]:
    """Mirrors an image [H, W, 3] left-right and top-bottom with its boxes [n, 4] in shares."""
    axes = tf.stack([vertical, horizontal, False])
    image = tf.cond(
        vertical | horizontal,
        lambda: tf.raw_ops.Reverse(tensor=image, dims=axes),
        lambda: tf.identity(image),
    )
    mirrored = 1 - tf.gather(boxes, [2, 3, 0, 1], axis=1)  # the far side becomes the near one
    is_mirrored = tf.stack([vertical, horizontal] * 2)
    return image, tf.where(is_mirrored, mirrored, boxes)


def jitter_and_crop(
    image: tf.Tensor,
    boxes: tf.Tensor,
    output_size: tuple[int, int],
    scale_factor: tf.Tensor | float,
    offset_yx: tf.Tensor | Sequence[float],
) -> tuple[tf.Tensor, tf.Tensor]:
    """Resizes an image to `scale_factor` times its fitted size and crops what sticks out.

    The whole image is resized before the crop. TensorFlow's bilinear kernel is so much faster
    than its ops for a window (CropAndResize, ScaleAndTranslate) that this is also the quick way.

    Args:
      image: [H, W, 3] raw pixels.
      boxes: [n, 4] in shares of the image.
      output_size: (h, w).
      scale_factor: scalar; 1 is the size that just fits.
      offset_yx: [2] in [0, 1): the place of the crop, 0 top and left.

    Returns:
      (float32 image, at most [h, w, 3] and not padded; boxes [n, 4] in its pixels, not clipped).
    """
    output = tf.constant(output_size, tf.float32)
    target = tf.cast(scale_factor * output, tf.int32)
    shape = tf.shape(image)
    _, size = fit(shape[0], shape[1], tf.maximum(target, 1))
    scaled = tf.cast(size, tf.float32)
    offset = tf.cast(tf.maximum(scaled - output, 0.0) * offset_yx, tf.int32)
    top, left = offset[0], offset[1]
    crop = resize(image, size)[top : top + output_size[0], left : left + output_size[1]]
    corner = tf.cast(offset, tf.float32)
    return crop, boxes * tf.tile(scaled, [2]) - tf.tile(corner, [2])


def clip_boxes(
    boxes: tf.Tensor, output_size: tuple[int, int], min_visible: float
) -> tuple[tf.Tensor, tf.Tensor]:
    """Clips boxes to the network input and says which of them stay ground truth.

    Args:
      boxes: [n, 4] in pixels of the network input; they may stick out.
      output_size: (h, w); coordinates are clipped to h - 1 and w - 1 (reference).
      min_visible: smallest share of its area that a box must keep, in [0, 1).

    Returns:
      (clipped boxes [n, 4], bool [n]: false for boxes without area and for those cut too much).
    """
    height, width = output_size
    limit = tf.constant([height - 1, width - 1] * 2, tf.float32)
    clipped = tf.clip_by_value(boxes, 0.0, limit)
    area = _areas(clipped)
    return clipped, (area > 0) & (area >= min_visible * _areas(boxes))


def _areas(boxes: tf.Tensor) -> tf.Tensor:
    return tf.reduce_prod(tf.maximum(boxes[:, 2:] - boxes[:, :2], 0.0), axis=1)


def class_indices(
    class_ids: tf.Tensor, known_ids: Sequence[int], image_name: tf.Tensor
) -> tf.Tensor:
    """Turns the data set's class ids into the indices of the network's logits.

    Args:
      class_ids: [n] int64.
      known_ids: the id of each logit, rising.
      image_name: string scalar, names the image in the error.

    Returns:
      int32 [n], 0-based.

    Raises:
      tf.errors.InvalidArgumentError: in the graph, for an id that no logit stands for.
    """
    known = tf.constant(known_ids, tf.int64)
    index = tf.minimum(tf.searchsorted(known, class_ids), len(known_ids) - 1)
    is_known = tf.gather(known, index) == class_ids
    strange = tf.strings.reduce_join(
        tf.strings.as_string(tf.unique(tf.boolean_mask(class_ids, ~is_known)).y), separator=", "
    )
    sentence = (
        tf.strings.join([image_name, " has class ids that model.labels lacks (", strange, ")"])
        + "; set model.labels to those of the data set"
    )
    with tf.control_dependencies([tf.debugging.Assert(tf.reduce_all(is_known), [sentence])]):
        return tf.identity(index)


def pad_ground_truth(
    boxes: tf.Tensor, classes: tf.Tensor, max_boxes: int
) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
    """Brings ground truth to a fixed length.

    Args:
      boxes: [n, 4] float32.
      classes: [n] int32, class indices.
      max_boxes: N. Boxes beyond it are left out.

    Returns:
      (boxes [N, 4] padded with 0, classes [N] padded with -1, number left out as int32).
    """
    count = tf.minimum(tf.size(classes), max_boxes)
    room = max_boxes - count
    boxes_padded = tf.pad(boxes[:count], [[0, room], [0, 0]])
    classes_padded = tf.pad(classes[:count], [[0, room]], constant_values=-1)
    return (
        tf.ensure_shape(boxes_padded, [max_boxes, 4]),
        tf.ensure_shape(classes_padded, [max_boxes]),
        tf.size(classes) - count,
    )
