"""SGD with momentum and the moving average of the weights, as functions of plain tensors.

Keras' optimisers clip before the gradients of the replicas are summed, and their average leaves
out batch-norm statistics and has no ramp; none of it matches the reference.
"""

from __future__ import annotations

from collections.abc import Sequence

import tensorflow as tf

Tensors = Sequence[tf.Tensor]


def clip(gradients: Tensors, norm: float) -> list[tf.Tensor]:
    """Clips every gradient to `norm`, then all of them together to the same (reference).

    To be called on the sum over replicas: clipping each replica's share would depend on how many
    there are. 0 turns it off.
    """
    if not norm:
        return list(gradients)
    each = [tf.clip_by_norm(gradient, norm) for gradient in gradients]
    return tf.clip_by_global_norm(each, norm)[0]


def sgd(
    variables: Tensors, velocities: Tensors, gradients: Tensors, rate: tf.Tensor, momentum: float
) -> tuple[list[tf.Tensor], list[tf.Tensor]]:
    """Returns (new variables, new velocities): v = m v - rate g, then w = w + v.

    The rate is inside the velocity, as in Keras; it matters while the rate changes.
    """
    velocities = [momentum * v - rate * g for v, g in zip(velocities, gradients, strict=True)]
    return [w + v for w, v in zip(variables, velocities, strict=True)], velocities


def moving_average(
    averages: Tensors, values: Tensors, step: tf.Tensor, decay: float
) -> list[tf.Tensor]:
    """Moves each average towards the new value, with min(decay, (1 + step) / (10 + step)).

    The ramp lets the average forget the initial weights quickly (paper 5.1, reference 4.3).

    Args:
      averages: one for each variable that inference uses, batch-norm statistics included.
      values: the variables after this step's update.
      step: updates done before this one, 0 first.
      decay: 0 makes the average equal to the values.
    """
    if not decay:
        return list(values)
    step = tf.cast(step, tf.float32)
    decay = tf.minimum(decay, (1.0 + step) / (10.0 + step))
    return [a - (1.0 - decay) * (a - v) for a, v in zip(averages, values, strict=True)]
