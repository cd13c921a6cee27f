"""Mosaics: images of a training step put together of parts of four of its images.

The images are those that the network would see: flipped, scaled, of its input's size. Around a
random centre each of four gives a part as large as its room, of the same scale, from a random place
of what it shows. Image k of a step becomes a mosaic of the images k, k + 1, k + 2 and k + 3, which
the shuffled stream has put there. So every record is decoded once in an epoch, as without mosaics,
and a step of nothing but mosaics has each image in each of the four rooms once.

Shapes: S images of a step on this host · h, w pixels of the network input · N padded boxes.
Boxes and rooms are [ymin, xmin, ymax, xmax] in pixels of the network input. The rooms are, in this
order, at the top left, top right, bottom left and bottom right.
"""

from __future__ import annotations

from typing import NamedTuple

import tensorflow as tf

from edet.config.schema import Config
from edet.errors import UserError
from edet.input import augment
from edet.input.reading import Tensors, without_autograph

_PIECES = 4
# Added to `train.seed`, which is below 2^31: other numbers than those of any image.
_OWN_SEED = 2 << 32
_NEAREST = 0.25  # of the centre to an edge of the input, in shares of its sides (as YOLO)
_PIXELS = ("images", "gt_masks")


def check_enough(num_images: int, num_hosts: int) -> None:
    """Refuses steps in which a host has fewer than four images.

    Raises:
      UserError: it has; the sentence names the smallest batch size.
    """
    if num_images < _PIECES:
        of_host = f" on each of {num_hosts} hosts" if num_hosts > 1 else ""
        raise UserError(
            f"augment.mosaic takes four images of a step{of_host}, which has {num_images}; set "
            f"data.batch_size to {_PIECES * num_hosts} or more, or augment.mosaic=0."
        )


class Draws(NamedTuple):
    """The random numbers of the images of a step."""

    is_mosaic: tf.Tensor  # bool [S]
    center: tf.Tensor  # float32 [S, 2] in [0, 1): where it lies in the middle half of the input
    offset_yx: tf.Tensor  # float32 [S, 4, 2] in [0, 1): where a part lies in what sticks out


def draw(seed: tf.Tensor, count: int, probability: tf.Tensor | float) -> Draws:
    """Draws the random numbers of `count` images; the same seed, int64 [2], gives the same."""
    seed += tf.constant([_OWN_SEED, 0], tf.int64)
    numbers = tf.random.stateless_uniform([count, 3 + 2 * _PIECES], seed)
    offset_yx = tf.reshape(numbers[:, 3:], [count, _PIECES, 2])
    return Draws(numbers[:, 0] < probability, numbers[:, 1:3], offset_yx)


@without_autograph
def with_mosaics(
    steps: tf.data.Dataset, config: Config, first_step: int, total_steps: int | None,
    host: tuple[int, int],
) -> tf.data.Dataset:  # fmt: skip
    """Puts mosaics in the place of images, by (seed, step, host, place in the step).

    Args:
      steps: as `make_mosaics` takes them.
      config: `augment.mosaic` is the probability.
      first_step: number of the first batch in the run.
      total_steps: of the run; None: no end.
      host: its index, and the number of hosts.
    """
    share, (index, num_hosts) = config.augment.mosaic_off, host
    end = tf.int64.max if total_steps is None else total_steps - round(share * total_steps)

    def change(step: tf.Tensor, batch: Tensors) -> Tensors:
        seed = tf.stack([config.train.seed, step * num_hosts + index])
        probability = tf.where(step < end, config.augment.mosaic, 0.0)
        draws = draw(seed, batch["images"].shape[0], probability)
        return make_mosaics(batch, draws, config)

    return steps.enumerate(first_step).map(change, num_parallel_calls=tf.data.AUTOTUNE)


def make_mosaics(batch: Tensors, draws: Draws, config: Config) -> Tensors:
    """Makes mosaics of some images of a step.

    Args:
      batch: of `make_train_dataset`, S images, with "shown_size" int32 [S, 2], the rows and columns
        that are not padding, and, if it has boxes, "whole_boxes" float32 [S, N, 4]: "gt_boxes"
        before they were clipped.
      draws: of this step.
      config: its input size, `data.max_boxes` and `augment.min_visible` are used.

    Returns:
      The batch without "shown_size" and "whole_boxes".
    """
    count = batch["images"].shape[0]
    changing = (*_PIXELS, "gt_boxes", "gt_classes", "num_dropped_boxes")
    plain = {key: batch[key] for key in changing if key in batch}

    def mosaic(place: tf.Tensor) -> Tensors:
        """Returns the mosaic of four images, the first of which is at this place."""
        numbers = (place + tf.range(_PIECES)) % count
        rooms = make_rooms(draws.center[place], config.model.image_size)
        # An image that shows less than fills its room begins there, and padding follows.
        spare = tf.gather(batch["shown_size"], numbers) - (rooms[:, 2:] - rooms[:, :2])
        spare = tf.cast(tf.maximum(spare, 0), tf.float32)
        first = tf.cast(spare * draws.offset_yx[place], tf.int32)
        made = {
            key: _put_together(batch[key], numbers, rooms, first) for key in _PIXELS if key in batch
        }
        dropped = tf.reduce_sum(tf.gather(batch["num_dropped_boxes"], numbers))
        if "whole_boxes" in batch:
            boxes, classes = (tf.gather(batch[k], numbers) for k in ("whole_boxes", "gt_classes"))
            made["gt_boxes"], made["gt_classes"], beyond = _move_boxes(
                boxes, classes, rooms, first, config
            )
            dropped += beyond
        return made | {"num_dropped_boxes": dropped}

    def at_place(place: tf.Tensor) -> Tensors:
        return tf.cond(
            draws.is_mosaic[place],
            lambda: mosaic(place),
            lambda: {key: value[place] for key, value in plain.items()},
        )

    signature = {key: tf.TensorSpec(v.shape[1:], v.dtype) for key, v in plain.items()}
    made = tf.map_fn(at_place, tf.range(count), fn_output_signature=signature)
    kept = {k: v for k, v in batch.items() if k not in ("shown_size", "whole_boxes")}
    return kept | made


def make_rooms(center: tf.Tensor, size: tuple[int, int]) -> tf.Tensor:
    """Returns int32 [4, 4], the rooms around a centre, which tile the input.

    Args:
      center: float32 [2], see `Draws`.
      size: (h, w).
    """
    shares = _NEAREST + (1 - 2 * _NEAREST) * center
    y, x = tf.unstack(tf.cast(shares * tf.constant(size, tf.float32), tf.int32))
    height, width = size
    return tf.stack([[0, 0, y, x], [0, x, y, width], [y, 0, height, x], [y, x, height, width]])


def _put_together(
    pixels: tf.Tensor, numbers: tf.Tensor, rooms: tf.Tensor, first: tf.Tensor
) -> tf.Tensor:
    """Fills rooms with the parts of four images that begin at `first`, int32 [4, 2].

    Args:
      pixels: [S, h, w, ...].
      numbers: int32 [4], of the images.
      rooms: int32 [4, 4].

    Returns:
      [h, w, ...].
    """
    last = first + rooms[:, 2:] - rooms[:, :2]
    parts = [
        pixels[numbers[k], first[k, 0] : last[k, 0], first[k, 1] : last[k, 1]]
        for k in range(_PIECES)
    ]
    whole = tf.concat([tf.concat(parts[:2], 1), tf.concat(parts[2:], 1)], 0)
    return tf.ensure_shape(whole, pixels.shape[1:])


def _move_boxes(
    boxes: tf.Tensor, classes: tf.Tensor, rooms: tf.Tensor, first: tf.Tensor, config: Config
) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
    """Moves boxes [4, N, 4] of classes [4, N] with the pixels; as `augment.pad_ground_truth`."""
    height, width = config.model.image_size
    moved = boxes + tf.cast(tf.tile(rooms[:, :2] - first, [1, 2]), tf.float32)[:, None]
    # At the edges of the input as `augment.clip_boxes`.
    low, high = tf.split(tf.cast(tf.minimum(rooms, [height - 1, width - 1] * 2), tf.float32), 2, 1)
    low, high = (tf.tile(limit, [1, 2])[:, None] for limit in (low, high))
    clipped, is_kept = augment.clip_between(moved, low, high, config.augment.min_visible)
    is_kept &= classes >= 0
    return augment.pad_ground_truth(
        tf.boolean_mask(clipped, is_kept), tf.boolean_mask(classes, is_kept), config.data.max_boxes
    )
