"""What changes an image and its boxes in training: flips and scale jitter (paper 5.1).

Every function is pure: random numbers are drawn from a given seed and passed in.
Shapes: H, W pixels of an image · h, w pixels of the network input · n boxes · N padded boxes.
Boxes are [ymin, xmin, ymax, xmax], in shares of the image before the crop and in pixels of the
network input after it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

import tensorflow as tf

from edet.config.schema import AugmentConfig, Fit
from edet.image.letterbox import fit


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


def target_size(draws: Draws, output_size: tuple[int, int]) -> tf.Tensor:
    """Returns int32 [2], height and width that the drawn scale lets the whole image fit into."""
    scaled = draws.scale_factor * tf.constant(output_size, tf.float32)
    return tf.maximum(tf.cast(scaled, tf.int32), 1)


class Geometry(NamedTuple):
    """Which pixels of an image are kept, and how they lie in the network input."""

    window: tf.Tensor  # int32 [4], the box that is kept, in whole pixels of the image as it is
    is_flipped: tf.Tensor  # bool [2], top-bottom and left-right
    size: tf.Tensor  # int32 [2], of the window in the network input; the rest is padding


def make_geometry(
    draws: Draws, image_size: tf.Tensor, output_size: tuple[int, int], how: Fit = "letterbox"
) -> Geometry:
    """Places an image in the network input: flipped, scaled, and what sticks out cropped.

    The reference resizes the whole image and crops then. Here the crop comes first, so that no
    pixel is resized in vain: twice to four times less work where the image is magnified. A window
    of whole pixels lies at most half a pixel of the image beside the reference's crop, and boxes
    move with the window. Where nothing is cropped, both are the same.

    Args:
      draws: of this image.
      image_size: int32 [2], H and W.
      output_size: (h, w).
      how: `model.fit`; the drawn scale is one of the size that the image has in the input.
    """
    _, scaled = fit(image_size[0], image_size[1], target_size(draws, output_size), how)
    size = tf.minimum(scaled, output_size)
    offset = tf.cast(tf.cast(scaled - size, tf.float32) * draws.offset_yx, tf.int32)
    stride = tf.cast(image_size, tf.float32) / tf.cast(scaled, tf.float32)

    def in_image(pixels: tf.Tensor) -> tf.Tensor:
        return tf.cast(tf.round(tf.cast(pixels, tf.float32) * stride), tf.int32)

    kept = tf.clip_by_value(in_image(size), 1, image_size)
    first = tf.minimum(in_image(offset), image_size - kept)
    is_flipped = tf.stack([draws.vertical_flip, draws.horizontal_flip])
    # The offset counts from the far side of what will be flipped.
    first = tf.where(is_flipped, image_size - kept - first, first)
    return Geometry(tf.concat([first, first + kept], 0), is_flipped, size)


def cut(image: tf.Tensor, geometry: Geometry) -> tf.Tensor:
    """Returns the window of an image or mask [H, W, C], flipped, in its own type and pixels."""
    top, left, bottom, right = tf.unstack(geometry.window)
    window = image[top:bottom, left:right]
    return tf.cond(
        tf.reduce_any(geometry.is_flipped),
        lambda: tf.raw_ops.Reverse(
            tensor=window, dims=tf.concat([geometry.is_flipped, [False]], 0)
        ),
        lambda: window,
    )


def move_boxes(boxes: tf.Tensor, image_size: tf.Tensor, geometry: Geometry) -> tf.Tensor:
    """Moves boxes with the pixels.

    Args:
      boxes: float32 [n, 4] in shares of the image.
      image_size: int32 [2], H and W.
      geometry: of this image.

    Returns:
      float32 [n, 4] in pixels of the network input, not clipped.
    """
    first, last = tf.split(tf.cast(geometry.window, tf.float32), 2)
    size = tf.cast(geometry.size, tf.float32)
    corners = tf.reshape(boxes, [-1, 2, 2]) * tf.cast(image_size, tf.float32)
    corners = (corners - first) * size / (last - first)
    # Of a flipped box the far side becomes the near one.
    corners = tf.where(geometry.is_flipped, size - corners[:, ::-1], corners)
    return tf.reshape(corners, [-1, 4])


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
    return clip_between(boxes, 0.0, limit, min_visible)


def clip_between(
    boxes: tf.Tensor, low: tf.Tensor | float, high: tf.Tensor, min_visible: float
) -> tuple[tf.Tensor, tf.Tensor]:
    """Clips boxes [..., 4] to limits of their coordinates, of that shape too; see `clip_boxes`."""
    clipped = tf.clip_by_value(boxes, low, high)
    area = _areas(clipped)
    return clipped, (area > 0) & (area >= min_visible * _areas(boxes))


def _areas(boxes: tf.Tensor) -> tf.Tensor:
    return tf.reduce_prod(tf.maximum(boxes[..., 2:] - boxes[..., :2], 0.0), axis=-1)


def class_indices(
    class_ids: tf.Tensor, known_ids: Sequence[int], name_image: Callable[[], tf.Tensor]
) -> tf.Tensor:
    """Turns the data set's class ids into the indices of the network's logits.

    Args:
      class_ids: [n] int64.
      known_ids: the id of each logit, rising.
      name_image: gives a string scalar that names the image in the error.

    Returns:
      int32 [n], 0-based.

    Raises:
      tf.errors.InvalidArgumentError: in the graph, for an id that no logit stands for.
    """
    known = tf.constant(known_ids, tf.int64)
    index = tf.minimum(tf.searchsorted(known, class_ids), len(known_ids) - 1)
    is_known = tf.gather(known, index) == class_ids

    def name_unknown() -> tf.Tensor:
        """Returns the sentence for the unknown ids, a scalar string."""
        unknown = tf.strings.reduce_join(
            tf.strings.as_string(tf.unique(tf.boolean_mask(class_ids, ~is_known)).y), separator=", "
        )
        sentence = (
            tf.strings.join(
                [name_image(), " has class ids that model.labels lacks (", unknown, ")"]
            )
            + "; set model.labels to those of the data set"
        )
        with tf.control_dependencies([tf.debugging.Assert(tf.reduce_all(is_known), [sentence])]):
            return tf.identity(index)

    # Most images need no sentence, and texts take time.
    return tf.cond(tf.reduce_all(is_known), lambda: index, name_unknown)


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
