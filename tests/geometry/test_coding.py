"""Deltas worked out by hand, the round trip, and the ends of the number range."""

import hypothesis
import numpy as np
import pytest
import tensorflow as tf
from hypothesis import strategies as st

from edet.geometry.coding import LARGEST_LOG_RATIO, decode_boxes, encode_boxes

ANCHOR = np.array([[0, 0, 10, 20]], "f4")  # centre (5, 10), 10 high, 20 wide


def test_deltas_worked_out_by_hand():
    # A box 20 high and 20 wide with its centre at (8, 14): 3 / 10 down, 4 / 20 right, height x 2.
    box = np.array([[-2, 4, 18, 24]], "f4")
    deltas = encode_boxes(box, ANCHOR)
    np.testing.assert_allclose(deltas, [[0.3, 0.2, np.log(2), 0]], atol=1e-7)
    np.testing.assert_allclose(decode_boxes(deltas, ANCHOR), box, atol=1e-5)


def test_zero_deltas_mean_the_anchor():
    np.testing.assert_array_equal(decode_boxes(np.zeros((1, 4), "f4"), ANCHOR), ANCHOR)


@hypothesis.settings(max_examples=25, deadline=None)
@hypothesis.given(st.integers(0, 2**32 - 1))
def test_decode_undoes_encode(seed):
    rng = np.random.default_rng(seed)
    corners, sides = rng.uniform(-50, 1500, (2, 9, 2)), np.exp(rng.uniform(0, 7, (2, 9, 2)))
    boxes, anchors = np.concatenate([corners, corners + sides], axis=-1).astype("f4")
    decoded = decode_boxes(encode_boxes(boxes, anchors), anchors).numpy()
    # float32 keeps 7 digits of coordinates up to 2600 and of shifts in sides of a small anchor.
    assert np.abs(decoded - boxes).max() < 4e-3


def test_encoding_a_box_without_area_stays_finite():
    deltas = encode_boxes(np.array([[5, 10, 5, 10]], "f4"), ANCHOR).numpy()
    np.testing.assert_allclose(deltas, [[0, 0, np.log(1e-9), np.log(5e-10)]], rtol=1e-5)


@pytest.mark.parametrize("jit", [False, True], ids=["graph", "xla"])
def test_wild_deltas_decode_to_finite_boxes_and_areas(jit):
    # Without the clamp exp(200) is inf, the corners are -inf and inf, and their overlap is NaN.
    wild = np.array([[0, 0, 200, 200], [0, 0, -200, -200], [0, 0, 1e30, -1e30]], "f4")
    boxes = tf.function(decode_boxes, jit_compile=jit)(wild, ANCHOR).numpy()
    with np.errstate(over="raise"):
        areas = (boxes[:, 2] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 1])
    assert np.isfinite(boxes).all()
    assert np.isfinite(areas).all()


def test_the_clamp_is_out_of_reach_of_any_object():
    # From the smallest anchor (24 pixels, lite) to the longest side of the largest input, and on.
    assert np.log(1536 / 24) < LARGEST_LOG_RATIO / 5
    ratio = LARGEST_LOG_RATIO - 1
    box = decode_boxes(np.array([[0, 0, ratio, 0]], "f4"), ANCHOR).numpy()[0]
    np.testing.assert_allclose(box[2] - box[0], 10 * np.exp(ratio), rtol=1e-5)


def test_bfloat16_deltas_are_decoded_in_float32():
    deltas = tf.constant([[0.3, 0.2, 0.5, 0.1]], tf.bfloat16)
    boxes = decode_boxes(deltas, ANCHOR)
    assert boxes.dtype == tf.float32
    np.testing.assert_array_equal(boxes, decode_boxes(tf.cast(deltas, tf.float32), ANCHOR))
