"""SGD with momentum, AdamW and the moving average of the weights, as functions of plain tensors.

Keras' optimisers clip before the gradients of the replicas are summed, and their average leaves
out batch-norm statistics and has no ramp; none of it matches the reference.
"""

from __future__ import annotations

from collections.abc import Sequence

import tensorflow as tf

Tensors = Sequence[tf.Tensor]

_BETA_1, _BETA_2, _EPSILON = 0.9, 0.999, 1e-7  # of AdamW, Keras' defaults


def clip_factors(
    gradients: Tensors, norm: float, by_row: Sequence[bool] | None = None
) -> tuple[tf.Tensor, tf.Tensor]:
    """Returns what clipping multiplies each gradient by [R], and the global norm before it.

    Every gradient is clipped to `norm`, then all of them together to the same (reference). Both
    are one factor a gradient, which `scale` applies.

    Args:
      gradients: summed over replicas: clipping each replica's share would depend on how many there
        are.
      norm: 0 turns clipping off.
      by_row: of each gradient [n, ...], whether its n rows are clipped one by one, as variables of
        their own. It then has n of the R factors, otherwise one.
    """
    by_row = by_row or [False] * len(gradients)
    parts = [tf.unstack(g) if rows else [g] for g, rows in zip(gradients, by_row, strict=True)]
    norms = tf.sqrt(2.0 * tf.stack([tf.nn.l2_loss(part) for group in parts for part in group]))
    factors = tf.ones_like(norms)
    if norm:
        factors = norm / tf.maximum(norms, norm)
        factors *= norm / tf.maximum(tf.norm(norms * factors), norm)
    return factors, tf.norm(norms)


def scale(
    gradients: Tensors, factors: tf.Tensor, by_row: Sequence[bool] | None = None
) -> list[tf.Tensor]:
    """Returns the gradients times their factors [R], as `clip_factors` counts these.

    A factor of 0 makes a gradient 0 even where it is not finite.
    """
    by_row = by_row or [False] * len(gradients)
    sizes = [g.shape[0] if rows else 1 for g, rows in zip(gradients, by_row, strict=True)]
    own = [
        tf.reshape(factor, [-1] + [1] * (g.shape.rank - 1)) if rows and g.shape.rank > 1 else factor
        for g, factor, rows in zip(gradients, tf.split(factors, sizes), by_row, strict=True)
    ]
    return [tf.math.multiply_no_nan(g, factor) for g, factor in zip(gradients, own, strict=True)]


def sgd(
    variables: Tensors, velocities: Tensors, gradients: Tensors, momentum: float,
    moves: tf.Tensor | bool = True,
) -> tuple[list[tf.Tensor], list[tf.Tensor]]:  # fmt: skip
    """Returns (new variables, new velocities): v = m v - g, then w = w + v.

    The rate is inside the velocity, as in Keras; it matters while the rate changes.

    Args:
      gradients: times the learning rate; 0 where `moves` is False.
      moves: False leaves everything as it is.
    """
    # One of each for all variables, or every product would make its own.
    kept, way = tf.where(moves, momentum, 1.0), tf.cast(moves, tf.float32)
    velocities = [kept * v - g for v, g in zip(velocities, gradients, strict=True)]
    return [w + way * v for w, v in zip(variables, velocities, strict=True)], velocities


def adamw(
    variables: Tensors, moments: Tensors, squares: Tensors, gradients: Tensors, *,
    rate: tf.Tensor, step: tf.Tensor, decay: Sequence[float], moves: tf.Tensor | bool = True,
) -> tuple[list[tf.Tensor], list[tf.Tensor], list[tf.Tensor]]:  # fmt: skip
    """Returns (new variables, moments, squares) as Keras' AdamW (arXiv 1711.05101) makes them.

    Args:
      moments, squares: moving averages of gradients and of their squares, 0 at first.
      gradients: 0 where `moves` is False.
      rate: the learning rate; `decay` times it is taken off a variable's own value.
      step: updates done before this one, 0 first.
      decay: of each variable, 0 for none.
      moves: False leaves everything as it is.
    """
    count = tf.cast(step, tf.float32) + 1.0
    # One of each for all variables, or every product would make its own.
    new_1, new_2, rate = (
        tf.where(moves, share, 0.0) for share in (1.0 - _BETA_1, 1.0 - _BETA_2, rate)
    )
    epsilon, one = tf.constant(_EPSILON), tf.constant(1.0)
    corrected = rate * tf.sqrt(1.0 - tf.pow(_BETA_2, count)) / (1.0 - tf.pow(_BETA_1, count))
    moments = [m + new_1 * (g - m) for m, g in zip(moments, gradients, strict=True)]
    squares = [s + new_2 * (g * g - s) for s, g in zip(squares, gradients, strict=True)]
    kept = {share: one - rate * share for share in set(decay)}
    new = [
        w * kept[share] - corrected * m / (tf.sqrt(s) + epsilon)
        for w, m, s, share in zip(variables, moments, squares, decay, strict=True)
    ]
    return new, moments, squares


def moving_average(
    averages: Tensors, values: Tensors, step: tf.Tensor, decay: float,
    moves: tf.Tensor | bool = True,
) -> list[tf.Tensor]:  # fmt: skip
    """Moves each average towards the new value, with min(decay, (1 + step) / (10 + step)).

    The ramp lets the average forget the initial weights quickly (paper 5.1, reference 4.3).

    Args:
      averages: one for each variable that inference uses, batch-norm statistics included.
      values: the variables after this step's update.
      step: updates done before this one, 0 first.
      decay: 0 makes the average equal to the values.
      moves: False leaves the averages as they are.
    """
    if not decay:
        return list(values)
    step = tf.cast(step, tf.float32)
    way = tf.where(moves, 1.0 - tf.minimum(decay, (1.0 + step) / (10.0 + step)), 0.0)
    return [a + way * (v - a) for a, v in zip(averages, values, strict=True)]
