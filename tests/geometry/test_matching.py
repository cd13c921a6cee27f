"""Matching on a line of anchors where every overlap can be counted."""

import math
import re

import hypothesis
import numpy as np
import pytest
import tensorflow as tf
from hypothesis import strategies as st

from edet.config.schema import AnchorConfig
from edet.geometry.anchors import anchor_strides, make_anchors
from edet.geometry.matching import match_anchors

# Four anchors of 10 x 10 pixels side by side: x = 0-10, 10-20, 20-30, 30-40.
ANCHORS = np.array([[0, x, 10, x + 10] for x in (0, 10, 20, 30)], "f4")


def match(gt_boxes, valid=None, positive_iou=0.5, anchors=ANCHORS):
    gt_boxes = np.array(gt_boxes, "f4").reshape(-1, 4)
    valid = np.ones(len(gt_boxes), bool) if valid is None else np.array(valid)
    return match_anchors(anchors, gt_boxes, valid, positive_iou).numpy().tolist()


def slow_iou(anchors, gt_boxes):
    """The float32 matrix of all overlaps, [A, N]."""
    a, b = anchors[:, None], gt_boxes[None]
    sides = np.minimum(a[..., 2:], b[..., 2:]) - np.maximum(a[..., :2], b[..., :2])
    intersection = np.clip(sides, 0, None).prod(-1)
    area_a, area_b = ((x[..., 2:] - x[..., :2]).prod(-1) for x in (a, b))
    union = area_a + area_b - intersection
    return np.divide(intersection, union, out=np.zeros_like(union), where=union > 0)


def slow_match(anchors, gt_boxes, valid, positive_iou):
    """The rules of the docstring, one after the other."""
    iou = slow_iou(anchors, gt_boxes) * valid
    matched = np.where(iou.max(1) >= positive_iou, iou.argmax(1), -1)
    for row in reversed(range(len(gt_boxes))):
        if iou[:, row].max() > 0:
            matched[iou[:, row].argmax()] = row
    return matched


def test_an_overlap_at_the_threshold_is_positive():
    # 10 x 5 of anchor 1 (IoU 0.5) and nothing else.
    assert match([[0, 10, 10, 15]]) == [-1, 0, -1, -1]
    # Two anchors: 10 x 20 covers anchors 1 and 2 by half each.
    assert match([[0, 10, 10, 30]]) == [-1, 0, 0, -1]
    # At 0.51 only the forced match stays, the first of the two.
    assert match([[0, 10, 10, 30]], positive_iou=0.51) == [-1, 0, -1, -1]


def test_an_anchor_takes_the_box_that_it_overlaps_most():
    # Box 0 covers anchor 0 by 0.4 and anchor 1 wholly (IoU 10 / 14); box 1 anchor 0 by 0.8.
    assert match([[0, 6, 10, 20], [0, 0, 10, 8]]) == [1, 0, -1, -1]
    # At a threshold of 0.25 anchor 0 is good enough for box 0 (4 / 20), but better for box 1.
    assert match([[0, 6, 10, 20], [0, 0, 10, 8]], positive_iou=0.2) == [1, 0, -1, -1]


def test_a_box_that_fits_no_anchor_still_gets_its_best_one():
    # 1 x 1 pixel in anchor 2: IoU 0.01.
    assert match([[4, 24, 5, 25]]) == [-1, -1, 0, -1]


def test_a_forced_match_beats_a_better_overlap_of_another_box():
    # Box 0 is anchor 3 itself. The speck, box 1, has no other anchor, but box 0 is first.
    assert match([[0, 30, 10, 40], [4, 34, 5, 35]]) == [-1, -1, -1, 0]
    # The other way round the speck is first and takes the anchor, whatever the overlap.
    assert match([[4, 34, 5, 35], [0, 30, 10, 40]]) == [-1, -1, -1, 0]


def test_the_first_of_two_equal_boxes_wins():
    assert match([[0, 0, 10, 10], [0, 0, 10, 10]]) == [0, -1, -1, -1]


def test_a_box_without_overlap_is_not_matched():
    # The reference takes argmax of a column of zeros, so anchor 0 at the corner of the image would
    # learn an object 100 pixels away; no released weight depends on it.
    assert match([[100, 100, 110, 110]]) == [-1, -1, -1, -1]
    assert match([[5, 5, 5, 5]]) == [-1, -1, -1, -1]  # no area


def test_padding_never_matches_wherever_it_stands():
    gt = [[0, 0, 10, 10], [0, 20, 10, 30], [0, 30, 10, 40]]
    assert match(gt, valid=[False, True, False]) == [-1, -1, 1, -1]
    assert match(gt, valid=[False, False, False]) == [-1, -1, -1, -1]


# Whole pixels throughout: every area is exact in float32, so two ways of computing an overlap agree
# to the last bit and ties are real ties.
def random_scene(seed, num_boxes=12):
    rng = np.random.default_rng(seed)
    corner, side = rng.integers(0, 120, (num_boxes, 2)), np.exp(rng.uniform(0, 5, (num_boxes, 2)))
    return np.concatenate([corner, corner + side], -1).clip(0, 127).round().astype("f4")


SCENE_ANCHORS = make_anchors(
    (128, 128), range(3, 8), AnchorConfig(num_scales=1, aspect_pairs=((1, 1), (1.5, 0.5)))
)
match_scene = tf.function(
    lambda boxes, valid: match_anchors(SCENE_ANCHORS, boxes, valid, 0.5), reduce_retracing=True
)


@hypothesis.settings(max_examples=15, deadline=None)
@hypothesis.given(st.integers(0, 2**32 - 1))
def test_matching_equals_the_rules_on_the_whole_matrix(seed):
    boxes = random_scene(seed)
    valid = np.random.default_rng(seed).uniform(size=len(boxes)) < 0.7
    matched = match_scene(boxes, valid).numpy()
    np.testing.assert_array_equal(matched, slow_match(SCENE_ANCHORS, boxes, valid, 0.5))


@hypothesis.settings(max_examples=15, deadline=None)
@hypothesis.given(st.integers(0, 2**32 - 1))
def test_the_order_of_the_boxes_does_not_matter_but_for_shared_anchors(seed):
    boxes = random_scene(seed)
    order = np.random.default_rng(seed).permutation(len(boxes))
    valid = np.ones(len(boxes), bool)
    one, other = match_scene(boxes, valid).numpy(), match_scene(boxes[order], valid).numpy()
    np.testing.assert_array_equal(one >= 0, other >= 0)
    # Where two boxes have the same best anchor the first row decides, and so it does between boxes
    # of equal overlap: leave out the former, and compare overlaps instead of rows.
    iou = slow_iou(SCENE_ANCHORS, boxes)
    best, times = np.unique(iou.argmax(0), return_counts=True)
    keep = np.setdiff1d(np.flatnonzero(one >= 0), best[times > 1])
    np.testing.assert_array_equal(iou[keep, one[keep]], iou[keep, order[other[keep]]])


@pytest.mark.parametrize("jit", [False, True], ids=["graph", "xla"])
def test_a_batch_is_matched_image_by_image(jit):
    boxes = np.stack([random_scene(seed) for seed in range(3)])
    valid = np.random.default_rng(0).uniform(size=boxes.shape[:2]) < 0.6
    batch = tf.function(match_anchors, jit_compile=jit)(SCENE_ANCHORS, boxes, valid, 0.5)
    for i in range(3):
        np.testing.assert_array_equal(batch[i], slow_match(SCENE_ANCHORS, boxes[i], valid[i], 0.5))


def test_an_unknown_batch_size_is_fine():
    specs = [tf.TensorSpec([None, 12, 4]), tf.TensorSpec([None, 12], tf.bool)]
    matching = tf.function(
        lambda boxes, valid: match_anchors(SCENE_ANCHORS, boxes, valid, 0.5), input_signature=specs
    )
    boxes = random_scene(0)[None]
    assert matching(boxes, np.ones((1, 12), bool)).shape == (1, len(SCENE_ANCHORS))


def test_no_tensor_holds_the_overlaps_of_all_anchors_with_all_boxes():
    """Of 500 anchors and 40 boxes in 2 images, 40,000; the anchors' coordinates are 2,000."""
    anchors = np.tile(ANCHORS, (125, 1))
    match = tf.function(
        lambda boxes, valid: match_anchors(anchors, boxes, valid, 0.5), jit_compile=True
    )
    lower = match.experimental_get_compiler_ir(tf.zeros((2, 40, 4)), tf.zeros((2, 40), tf.bool))
    shapes = re.findall(r"\b(?:f32|s32|pred)\[([\d,]+)\]", lower(stage="hlo"))
    sizes = {math.prod(map(int, shape.split(","))) for shape in shapes}
    assert 1000 in sizes  # two images' anchors
    assert max(sizes) <= 2000


# ---- ATSS ----

STRIDES = np.full((4, 2), 10, "f4")


def slow_atss(anchors, strides, gt_boxes):
    """The rules of the docstring for one box after the other, float64."""
    iou = slow_iou(anchors, gt_boxes).astype("f8")
    centers = (anchors[:, :2] + anchors[:, 2:]) / 2
    strength = np.zeros_like(iou)
    for row, box in enumerate(gt_boxes):
        distance = np.abs(centers - (box[:2] + box[2:]) / 2)
        near = (distance < 1.5 * strides).all(1)
        inside = (distance < (box[2:] - box[:2]) / 2).all(1)
        found = iou[near, row]
        if len(found):
            chosen = near & inside & (iou[:, row] >= found.mean() + found.std() - 1e-6)
            strength[chosen, row] = iou[chosen, row]
    matched = np.where(strength.max(1) > 0, strength.argmax(1), -1)
    for row in reversed(range(len(gt_boxes))):
        if iou[:, row].max() > 0:
            matched[iou[:, row].argmax()] = row
    return matched


def test_atss_takes_the_anchors_above_mean_and_deviation_of_those_around_the_centre():
    """Centre 16: anchors 0, 1, 2 are candidates, with 1/12, 5/8 and 2/11: threshold 0.53."""
    box = np.array([[0, 8, 10, 24]], "f4")
    assert match_anchors(ANCHORS, box, [True], 0.5, STRIDES).numpy().tolist() == [-1, 0, -1, -1]
    # A box of half an anchor: the two beside it overlap nothing, 0.5 > mean 1/6 + deviation 0.24.
    box = np.array([[0, 12, 10, 17]], "f4")
    assert match_anchors(ANCHORS, box, [True], 0.9, STRIDES).numpy().tolist() == [-1, 0, -1, -1]


def test_atss_leaves_no_box_and_takes_no_padding():
    """A box between all centres is its best anchor's; a row of padding nobody's."""
    boxes = np.array([[0, 8, 2, 10], [0, 10, 10, 20]], "f4")
    found = match_anchors(ANCHORS, boxes, [True, False], 0.5, STRIDES).numpy().tolist()
    assert found == [0, -1, -1, -1]


@pytest.mark.parametrize("seed", range(4))
def test_atss_of_many_boxes_equals_the_rules_one_after_the_other(seed):
    """On five levels, compiled; no seed here draws a threshold that rounding alone decides."""
    rng = np.random.default_rng(seed)
    size, levels, config = (64, 96), range(3, 8), AnchorConfig()
    anchors = make_anchors(size, levels, config)
    strides = anchor_strides(size, levels, config)
    first = rng.uniform(0, 40, (12, 2))
    boxes = np.concatenate([first, first + rng.uniform(4, 40, (12, 2))], 1).astype("f4")
    match = tf.function(
        lambda boxes: match_anchors(anchors, boxes, tf.fill([12], True), 0.5, strides),
        jit_compile=True,
    )
    np.testing.assert_array_equal(match(boxes), slow_atss(anchors, strides, boxes))
    assert len(set(match(boxes).numpy())) == 13  # every box, and background
