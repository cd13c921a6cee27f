"""Suppression against a plain loop and three boxes by hand."""

import hypothesis
import numpy as np
import pytest
import tensorflow as tf
from hypothesis import strategies as st

from edet.config.schema import DetectConfig
from edet.geometry.nms import NO_CLASS, Detections, suppress, suppress_with_offsets, vote


def slow_iou(box: np.ndarray, others: np.ndarray) -> np.ndarray:
    sides = np.minimum(box[2:], others[:, 2:]) - np.maximum(box[:2], others[:, :2])
    intersection = np.clip(sides, 0, None).prod(-1)
    union = (box[2:] - box[:2]).prod() + (others[:, 2:] - others[:, :2]).prod(-1) - intersection
    return np.divide(intersection, union, out=np.zeros_like(union), where=union > 0)


def slow_nms(boxes, scores, config: DetectConfig) -> list[tuple[int, float]]:
    """NMS of one class as its papers tell it, float64: (row, score), best and earliest first."""
    boxes, scores, kept = boxes.astype("f8"), scores.astype("f8"), []
    while len(kept) < min(len(boxes), config.max_detections):
        best = int(scores.argmax())
        if scores[best] <= config.score_threshold:
            break
        kept.append((best, scores[best]))
        overlap = slow_iou(boxes[best], boxes)
        if config.nms == "gaussian":
            scores = scores * np.exp(-(overlap**2) / config.sigma)
        else:
            scores = np.where(overlap > config.iou_threshold, 0, scores)
        scores[best] = 0
    return kept


def slow_detections(boxes, scores, classes, config: DetectConfig):
    """One class after the other, then the best of all, and of equal ones the earliest: the
    reference's way for each class."""
    groups = [classes >= 0] if config.class_agnostic else [classes == c for c in set(classes)]
    merged = []
    for group in groups:
        rows = np.flatnonzero(group)
        kept = slow_nms(boxes[rows], scores[rows], config)
        merged += [(rows[row], score) for row, score in kept]
    return sorted(merged, key=lambda pair: (-pair[1], pair[0]))[: config.max_detections]


def random_candidates(seed, count=40, num_classes=3):
    rng = np.random.default_rng(seed)
    corner = rng.uniform(0, 60, (1, count, 2))
    boxes = np.concatenate([corner, corner + rng.uniform(5, 60, (1, count, 2))], -1)
    scores = rng.uniform(0, 1, (1, count))
    return boxes.astype("f4"), scores.astype("f4"), rng.integers(0, num_classes, (1, count), "i4")


THREE = (
    # Rows 0 and 1 overlap by 8 / 12, row 2 lies elsewhere.
    np.array([[[0, 0, 10, 10], [2, 0, 12, 10], [50, 50, 60, 60]]], "f4"),
    np.array([[0.9, 0.8, 0.5]], "f4"),
)


def test_soft_nms_of_three_boxes_by_hand():
    config = DetectConfig(max_detections=5)
    detections = suppress(*THREE, np.array([[4, 4, 4]], "i4"), config)
    decayed = 0.8 * np.exp(-((8 / 12) ** 2) / 0.5)  # 0.329, so row 2 comes before row 1
    np.testing.assert_allclose(detections.scores, [[0.9, 0.5, decayed, 0, 0]], rtol=1e-6)
    np.testing.assert_array_equal(detections.boxes[0, :3], THREE[0][0][[0, 2, 1]])
    assert detections.classes.numpy().tolist() == [[4, 4, 4, NO_CLASS, NO_CLASS]]
    assert not detections.boxes[0, 3:].numpy().any()
    assert detections.num_detections.numpy().tolist() == [3]


def test_hard_nms_drops_what_overlaps_by_more_than_the_threshold():
    classes = np.array([[4, 4, 4]], "i4")
    for threshold, count in ((0.5, 2), (0.66, 2), (0.67, 3)):  # the overlap is 0.667
        config = DetectConfig(nms="hard", iou_threshold=threshold)
        assert suppress(*THREE, classes, config).num_detections.numpy().tolist() == [count]


def test_an_overlap_of_exactly_the_threshold_is_kept():
    boxes = np.array([[[0, 0, 10, 10], [0, 0, 10, 5]]], "f4")  # 50 of 100 pixels
    config = DetectConfig(nms="hard", iou_threshold=0.5)
    detections = suppress(boxes, np.array([[0.9, 0.8]], "f4"), np.array([[1, 1]], "i4"), config)
    assert detections.num_detections.numpy().tolist() == [2]


def test_other_classes_are_left_alone_unless_class_agnostic():
    classes = np.array([[4, 5, 4]], "i4")
    config = DetectConfig(nms="hard", max_detections=3)
    assert suppress(*THREE, classes, config).classes.numpy().tolist() == [[4, 5, 4]]
    config = DetectConfig(nms="hard", max_detections=3, class_agnostic=True)
    assert suppress(*THREE, classes, config).classes.numpy().tolist() == [[4, 4, NO_CLASS]]


def test_a_score_at_the_threshold_is_padding():
    config = DetectConfig(nms="hard", iou_threshold=1.0, score_threshold=0.5)
    assert suppress(*THREE, np.array([[4, 4, 4]], "i4"), config).num_detections.numpy() == [2]


def test_fewer_candidates_than_detections_are_never_repeated():
    detections = suppress(*THREE, np.array([[0, 1, 2]], "i4"), DetectConfig(max_detections=100))
    assert detections.scores.shape == (1, 100)
    assert detections.num_detections.numpy().tolist() == [3]


@pytest.mark.parametrize("jit", [False, True], ids=["graph", "xla"])
@pytest.mark.parametrize("nms", ["gaussian", "hard"])
@pytest.mark.parametrize("class_agnostic", [False, True], ids=["per_class", "agnostic"])
def test_the_one_loop_equals_nms_per_class_and_a_merge(nms, class_agnostic, jit):
    config = DetectConfig(
        nms=nms, class_agnostic=class_agnostic, max_detections=25, score_threshold=0.05
    )
    images = [random_candidates(seed) for seed in range(4)]
    batch = [np.concatenate(tensors) for tensors in zip(*images, strict=True)]
    run = tf.function(lambda *candidates: suppress(*candidates, config), jit_compile=jit)
    detections = run(*batch)
    for i in range(4):
        boxes, scores, classes = (tensor[i] for tensor in batch)
        rows, kept = zip(*slow_detections(boxes, scores, classes, config), strict=True)
        count, rows = len(rows), list(rows)
        assert detections.num_detections[i] == count
        # 25 products in float32 against float64.
        np.testing.assert_allclose(detections.scores[i, :count], kept, atol=1e-6)
        np.testing.assert_array_equal(detections.boxes[i, :count], boxes[rows])
        np.testing.assert_array_equal(detections.classes[i, :count], classes[rows])


suppress_default = tf.function(lambda *candidates: suppress(*candidates, DetectConfig()))


@hypothesis.settings(max_examples=25, deadline=None)
@hypothesis.given(st.integers(0, 2**32 - 1))
def test_detections_are_sorted_and_a_subset_of_the_candidates(seed):
    boxes, scores, classes = random_candidates(seed)
    detections = suppress_default(boxes, scores, classes)
    count = int(detections.num_detections[0])
    kept = detections.scores[0].numpy()
    assert (np.diff(kept) <= 0).all()
    assert kept[0] == scores.max()
    given_rows = {(*box, c): s for box, c, s in zip(boxes[0], classes[0], scores[0], strict=True)}
    found = [
        (*box, c)
        for box, c in zip(detections.boxes[0].numpy(), detections.classes[0].numpy(), strict=True)
    ][:count]
    assert len(set(found)) == count  # nothing twice
    assert all(kept[i] <= given_rows[row] for i, row in enumerate(found))


@hypothesis.settings(max_examples=25, deadline=None)
@hypothesis.given(st.integers(0, 2**32 - 1))
def test_the_order_of_the_candidates_does_not_matter(seed):
    candidates = random_candidates(seed)
    order = np.random.default_rng(seed).permutation(candidates[1].size)
    one = suppress_default(*candidates)
    other = suppress_default(*(tensor[:, order] for tensor in candidates))
    for a, b in zip(one, other, strict=True):
        np.testing.assert_allclose(a, b, atol=1e-6)


def test_suppression_at_once_takes_boxes_from_far_outside():
    boxes = tf.constant([[0, 0, 10, 10], [-1e30, 0, 1e30, 9], [0, 1, 10, 10.0]])
    scores, classes = tf.constant([0.9, 0.8, 0.7]), tf.constant([0, 1, 0])
    found = suppress_with_offsets(boxes, scores, classes, DetectConfig(nms="hard"), num_classes=2)
    np.testing.assert_array_equal(found.classes[:3], [0, 1, NO_CLASS])
    np.testing.assert_array_equal(found.boxes[1], boxes[1])


def test_a_voted_box_is_the_mean_of_its_classs_candidates_weighted_by_score_and_overlap():
    """Of boxes of 20 x 20, two that are moved by 2 overlap by 360 / 440.

    A vote then counts exp(-(2/11)^2 / 0.025) = 0.2665, and moved by 4 exp(-(1/3)^2 / 0.025) =
    0.0117. The mean is moved by
    (0.25 * 0.2665 * 2 + 0.2 * 0.0117 * 4) / (0.75 + 0.25 * 0.2665 + 0.2 * 0.0117) = 0.1742.
    Half of a box, which overlaps it by 0.5, and another class have no vote; what has no area
    stays where it is, and padding stays padding.
    """
    boxes = tf.constant(
        [
            [0, 0, 20, 20], [0, 2, 20, 22], [0, 4, 20, 24], [0, 0, 20, 10], [0, 1, 20, 21],
            [5, 5, 5, 9],
        ],
        tf.float32,
    )  # fmt: skip
    scores = tf.constant([0.75, 0.25, 0.2, 0.7, 0.7, 0.6])
    classes = tf.constant([0, 0, 0, 0, 1, 0])
    found = Detections(
        boxes=tf.constant([[0, 0, 20, 20], [0, 1, 20, 21], [5, 5, 5, 9], [0, 0, 0, 0]], tf.float32),
        scores=tf.constant([0.75, 0.7, 0.6, 0.0]),
        classes=tf.constant([0, 1, 0, NO_CLASS]),
        num_detections=tf.constant(3),
    )
    voted = vote(found, boxes, scores, classes)
    expected = [[0, 0.1742, 20, 20.1742], [0, 1, 20, 21], [5, 5, 5, 9], [0, 0, 0, 0]]
    np.testing.assert_allclose(voted.boxes, expected, atol=1e-4)
    assert voted[1:] == found[1:]
    batch = vote(
        *(tf.nest.map_structure(lambda x: x[None], x) for x in (found, boxes, scores, classes))
    )
    np.testing.assert_array_equal(batch.boxes[0], voted.boxes)
