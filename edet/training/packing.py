"""Vectors as one vector, so that an update takes few operations.

Most variables of a network are vectors: biases, scales, offsets, statistics, and what an optimiser
keeps of each. On a CPU an operation on one of them costs its start rather than its arithmetic, and
every operation is built and optimised before the first step.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeVar

import tensorflow as tf

_Item = TypeVar("_Item")


class Packing:
    """Packs the vectors among tensors into one, and leaves tensors of other ranks as they are.

    Args:
      like: tensors of the shapes and in the order of those to be packed.
    """

    def __init__(self, like: Sequence[tf.Tensor]):
        self._is_vector = [tensor.shape.rank == 1 for tensor in like]
        self._sizes = [tensor.shape[0] for tensor in like if tensor.shape.rank == 1]

    def pack(self, tensors: Sequence[tf.Tensor]) -> list[tf.Tensor]:
        """Returns the vectors as one, if there are any, and then the others."""
        vectors, others = self._divide(tensors)
        return [*([tf.concat(vectors, 0)] if vectors else []), *others]

    def unpack(self, packed: Sequence[tf.Tensor]) -> list[tf.Tensor]:
        """Returns the tensors of `pack` in their order."""
        others = iter(packed)
        vectors = iter(tf.split(next(others), self._sizes) if self._sizes else [])
        return [next(vectors if is_vector else others) for is_vector in self._is_vector]

    def pick(self, numbers: Sequence[float]) -> list[float]:
        """Returns the number of each packed tensor; all vectors have the same.

        Raises:
          ValueError: they have different ones.
        """
        vectors, others = self._divide(numbers)
        if len(set(vectors)) > 1:
            raise ValueError(f"vectors that are packed into one have different numbers: {vectors}")
        return [*vectors[:1], *others]

    def _divide(self, items: Sequence[_Item]) -> tuple[list[_Item], list[_Item]]:
        """Returns the items of vectors and those of others."""
        pairs = list(zip(items, self._is_vector, strict=True))
        return [x for x, is_one in pairs if is_one], [x for x, is_one in pairs if not is_one]
