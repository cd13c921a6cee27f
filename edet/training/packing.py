"""Vectors as one vector, so that an update takes few operations.

Most variables of a network are vectors: biases, scales, offsets, statistics. On a CPU an operation
on one of them costs its start rather than its arithmetic, and every operation is built and
optimised before the first step. What an optimiser and an average keep of them stays packed between
two steps, too, in one variable.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeVar

import keras
import numpy as np
import tensorflow as tf

_Item = TypeVar("_Item")
_Tensor = tf.Tensor | tf.Variable | keras.Variable | np.ndarray


class Packing:
    """Packs the vectors among tensors into one, and leaves tensors of other ranks as they are.

    `sizes` are the lengths of the vectors.

    Args:
      like: tensors of the shapes and in the order of those to be packed.
    """

    def __init__(self, like: Sequence[_Tensor]):
        self._is_vector = [len(tensor.shape) == 1 for tensor in like]
        self.sizes = [tensor.shape[0] for tensor in like if len(tensor.shape) == 1]

    def __len__(self) -> int:
        """The number of packed tensors."""
        return len(self._is_vector) - max(0, len(self.sizes) - 1)

    def pack(self, tensors: Sequence[_Tensor]) -> list[_Tensor]:
        """Returns the vectors as one, if there are any, and then the others."""
        vectors, others = self._divide(tensors)
        return [*([tf.concat(vectors, 0)] if vectors else []), *others]

    def unpack(self, packed: Sequence[_Tensor]) -> list[_Tensor]:
        """Returns the tensors of `pack` in their order."""
        vectors = tf.split(packed[0], self.sizes) if self.sizes else []
        return self.with_vectors(vectors, packed)

    def with_vectors(self, vectors: Sequence[_Item], packed: Sequence[_Item]) -> list[_Item]:
        """Returns given vectors and the others of a packed list in the order of the tensors."""
        vectors, others = iter(vectors), iter(packed[1 if self.sizes else 0 :])
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
