"""Micro-batches: a batch too large for the memory is worked through in parts of one step."""

from __future__ import annotations

from collections.abc import Callable

import tensorflow as tf

Tensors = list[tf.Tensor]

# Their replicas meet in Python threads ("merge_call") to sum over each other, as batch norm does,
# which TensorFlow refuses inside a loop of the graph.
_MEET_IN_PYTHON = (tf.distribute.MirroredStrategy, tf.distribute.MultiWorkerMirroredStrategy)


def sum_over_parts(
    function: Callable[[tf.Tensor | int], Tensors], count: int, like: Tensors
) -> Tensors:
    """Returns function(0) + ... + function(count - 1), one after the other.

    A loop of the graph: its size and the time to compile it do not grow with `count`. Only replicas
    of a mirrored strategy get a copy of the graph for each part.

    Args:
      function: the float tensors of one part.
      count: 1 calls the function and nothing else.
      like: tensors of the shapes and types that the function returns.
    """
    if count == 1:
        return function(0)
    context = tf.distribute.get_replica_context()
    if (
        context is not None
        and context.num_replicas_in_sync > 1
        and isinstance(context.strategy, _MEET_IN_PYTHON)
    ):
        return _unrolled(function, count)
    _, *sums = tf.while_loop(
        lambda k, *_: k < count,
        lambda k, *sums: (k + 1, *(a + b for a, b in zip(sums, function(k), strict=True))),
        (tf.constant(0), *map(tf.zeros_like, like)),
        parallel_iterations=1,
        maximum_iterations=count,
    )
    return sums


def _unrolled(function: Callable[[int], Tensors], count: int) -> Tensors:
    sums = function(0)
    for k in range(1, count):
        # A runtime would start every part at once, and hold the activations of all.
        with tf.control_dependencies([tf.group(*sums)]):
            sums = [a + b for a, b in zip(sums, function(k), strict=True)]
    return sums
