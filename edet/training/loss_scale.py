"""Dynamic loss scaling: float16 has no numbers below 6e-8, and gradients are made of them.

The loss is multiplied by a scale and the gradients are divided by it in float32 (Mixed Precision
Training, arXiv 1710.03740). A gradient that overflows skips its update and halves the scale; after
2000 good updates it is doubled. bfloat16 has the range of float32 and needs none of this.
"""

from __future__ import annotations

from typing import NamedTuple

import tensorflow as tf

_INITIAL, _LARGEST = 2.0**15, 2.0**24
_GROWTH_INTERVAL = 2000  # updates (Keras' LossScaleOptimizer)


class LossScale(NamedTuple):
    """The scale of a run; tensors."""

    scale: tf.Tensor  # float32, a power of two, so that scaling rounds nothing
    good_updates: tf.Tensor  # int32, since the scale changed last


def initial_loss_scale() -> LossScale:
    """Returns what a run starts with."""
    return LossScale(tf.constant(_INITIAL), tf.constant(0))


def next_loss_scale(loss_scale: LossScale, is_finite: tf.Tensor) -> LossScale:
    """Returns the scale after an update, or after one that was skipped; never below 1."""
    scale, good = loss_scale
    grows = good + 1 >= _GROWTH_INTERVAL
    raised = tf.where(grows, tf.minimum(2.0 * scale, _LARGEST), scale)
    return LossScale(
        tf.where(is_finite, raised, tf.maximum(0.5 * scale, 1.0)),
        tf.where(is_finite & ~grows, good + 1, 0),
    )
