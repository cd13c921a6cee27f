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


def iou_matrix(a: np.ndarray, b: np.ndarray) -> tf.Tensor:
    """All pairs of boxes [..., N, 4] and [..., M, 4]."""
    rows, columns = tf.expand_dims(a, -2), tf.expand_dims(b, -3)
    return B.iou_of_coordinates(B.coordinates(rows), B.coordinates(columns))


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
    iou = iou_matrix(np.array(a, "f4"), np.array(b, "f4"))
    np.testing.assert_allclose(iou, [[1, 2 / 6, 1 / 4, 0, 0, 0]], rtol=1e-6)


def test_iou_of_two_points_is_zero_not_nan():
    point = np.array([[3, 3, 3, 3]], "f4")
    assert iou_matrix(point, point).numpy().tolist() == [[0.0]]


@pytest.mark.parametrize("jit", [False, True], ids=["graph", "xla"])
def test_iou_equals_a_double_loop_with_leading_axes(jit):
    a, b = random_boxes(0, 2, 5), random_boxes(1, 2, 7)
    iou = tf.function(iou_matrix, jit_compile=jit)(a, b)
    expected = [[[slow_iou(x, y) for y in b[i]] for x in a[i]] for i in range(2)]
    np.testing.assert_allclose(iou, expected, rtol=2e-5, atol=1e-6)


@hypothesis.settings(max_examples=20, deadline=None)
@hypothesis.given(st.integers(0, 2**32 - 1))
def test_iou_is_symmetric_and_within_zero_and_one(seed):
    a, b = random_boxes(seed, 6), random_boxes(seed + 1, 9)
    iou = iou_matrix(a, b).numpy()
    np.testing.assert_array_equal(iou, iou_matrix(b, a).numpy().T)
    assert iou.min() >= 0
    assert iou.max() <= 1 + 1e-6  # one rounding above
    sized = a[np.prod(a[:, 2:] - a[:, :2], axis=1) > 1e-3]
    np.testing.assert_allclose(np.diag(iou_matrix(sized, sized)), 1, rtol=1e-6)


def test_xywh_is_the_order_of_coco_and_comes_back():
    boxes = np.array([[1, 2, 11, 32]], "f4")  # 10 high, 30 wide
    xywh = B.yxyx_to_xywh(boxes)
    assert xywh.tolist() == [[2, 1, 30, 10]]
    np.testing.assert_array_equal(B.xywh_to_yxyx(xywh), boxes)
