"""Overlaps against a count of pixels by hand and against a plain double loop."""

import hypothesis
import numpy as np
import pytest
import tensorflow as tf
from hypothesis import strategies as st

from edet.geometry import boxes as B


def random_boxes(seed: int, *shape: int) -> np.ndarray:
    rng = np.random.default_rng(seed)
    corner = rng.uniform(0, 100, (*shape, 2))
    return np.concatenate([corner, corner + rng.uniform(0, 60, (*shape, 2))], -1).astype("f4")


def slow_iou(a: np.ndarray, b: np.ndarray) -> float:
    """Two boxes, plain Python, float64."""
    ay, ax, ay2, ax2 = map(float, a)
    by, bx, by2, bx2 = map(float, b)
    intersection = max(min(ay2, by2) - max(ay, by), 0) * max(min(ax2, bx2) - max(ax, bx), 0)
    union = (ay2 - ay) * (ax2 - ax) + (by2 - by) * (bx2 - bx) - intersection
    return intersection / union if union else 0.0


def test_iou_of_boxes_that_a_person_can_count():
    a = [[0, 0, 2, 2]]
    b = [
        [0, 0, 2, 2],  # itself: 4 / 4
        [0, 1, 2, 3],  # half of it: 2 / (4 + 4 - 2)
        [1, 1, 2, 2],  # one of its four pixels: 1 / 4
        [0, 2, 2, 4],  # touches it: no common area
        [5, 5, 6, 6],  # elsewhere
        [1, 1, 1, 1],  # a point inside it
    ]
    iou = B.iou_matrix(np.array(a, "f4"), np.array(b, "f4"))
    np.testing.assert_allclose(iou, [[1, 2 / 6, 1 / 4, 0, 0, 0]], rtol=1e-6)


def test_iou_of_two_points_is_zero_not_nan():
    point = np.array([[3, 3, 3, 3]], "f4")
    assert B.iou_matrix(point, point).numpy().tolist() == [[0.0]]


@pytest.mark.parametrize("jit", [False, True], ids=["graph", "xla"])
def test_iou_matrix_equals_a_double_loop_with_leading_axes(jit):
    a, b = random_boxes(0, 2, 5), random_boxes(1, 2, 7)
    iou = tf.function(B.iou_matrix, jit_compile=jit)(a, b)
    expected = [[[slow_iou(x, y) for y in b[i]] for x in a[i]] for i in range(2)]
    np.testing.assert_allclose(iou, expected, rtol=2e-5, atol=1e-6)


@hypothesis.settings(max_examples=20, deadline=None)
@hypothesis.given(st.integers(0, 2**32 - 1))
def test_iou_is_symmetric_and_within_zero_and_one(seed):
    a, b = random_boxes(seed, 6), random_boxes(seed + 1, 9)
    iou = B.iou_matrix(a, b).numpy()
    np.testing.assert_array_equal(iou, B.iou_matrix(b, a).numpy().T)
    assert iou.min() >= 0
    assert iou.max() <= 1 + 1e-6  # one rounding above
    sized = a[B.areas(a).numpy() > 1e-3]
    np.testing.assert_allclose(np.diag(B.iou_matrix(sized, sized)), 1, rtol=1e-6)


def test_areas_multiply_height_by_width():
    assert B.areas(np.array([[1, 2, 4, 7], [3, 3, 3, 9]], "f4")).numpy().tolist() == [15.0, 0.0]


def test_clip_boxes_cuts_each_side_to_its_own_limit():
    boxes = np.array([[-5, -6, 50, 60], [1, 2, 3, 4], [90, 90, 95, 95]], "f4")
    clipped = B.clip_boxes(boxes, height=10, width=20).numpy()
    assert clipped.tolist() == [[0, 0, 10, 20], [1, 2, 3, 4], [10, 20, 10, 20]]


def test_clip_boxes_takes_tensors_as_limits():
    boxes = tf.constant([[0.0, 0.0, 99.0, 99.0]])
    clipped = B.clip_boxes(boxes, tf.constant(10.0), tf.constant(20.0))
    assert clipped.numpy().tolist() == [[0, 0, 10, 20]]


def test_xywh_is_the_order_of_coco_and_comes_back():
    boxes = np.array([[1, 2, 11, 32]], "f4")  # 10 high, 30 wide
    xywh = B.yxyx_to_xywh(boxes)
    assert xywh.tolist() == [[2, 1, 30, 10]]
    np.testing.assert_array_equal(B.xywh_to_yxyx(xywh), boxes)
