"""Vectors packed into one, and back."""

import numpy as np
import pytest
import tensorflow as tf

from edet.training.packing import Packing

TENSORS = [
    tf.constant([[1.0, 2.0]]),
    tf.constant([3.0, 4.0]),
    tf.constant(5.0),
    tf.constant([6.0]),
]


def test_vectors_become_the_first_and_the_others_follow():
    vector, matrix, scalar = Packing(TENSORS).pack(TENSORS)
    np.testing.assert_array_equal(vector, [3, 4, 6])
    np.testing.assert_array_equal(matrix, [[1, 2]])
    assert float(scalar) == 5


@pytest.mark.parametrize("tensors", [TENSORS, TENSORS[::2], TENSORS[1::2], []])
def test_what_was_packed_comes_back_in_its_order(tensors):
    packing = Packing(tensors)
    packed = packing.pack(tensors)
    assert len(packing) == len(packed)
    found = packing.unpack(packed)
    assert len(found) == len(tensors)
    for one, expected in zip(found, tensors, strict=True):
        np.testing.assert_array_equal(one, expected)


def test_numbers_are_those_of_the_packed_tensors():
    assert Packing(TENSORS).pick([0.5, 0.0, 0.25, 0.0]) == [0.0, 0.5, 0.25]
    assert Packing(TENSORS[::2]).pick([0.5, 0.25]) == [0.5, 0.25]


def test_vectors_with_different_numbers_are_refused():
    with pytest.raises(ValueError, match="different numbers: \\[0.0, 0.1\\]"):
        Packing(TENSORS).pick([0.5, 0.0, 0.25, 0.1])


def test_another_list_is_refused():
    with pytest.raises(ValueError, match="zip"):
        Packing(TENSORS).pack(TENSORS[1:])
