"""Targets against the labels that the reference printed, and one image by hand."""

import numpy as np
import pytest
import tensorflow as tf

from edet.config.schema import AnchorConfig
from edet.geometry.anchors import make_anchors
from edet.geometry.targets import BACKGROUND, assign_targets


def padded(gt_boxes, gt_classes, rows=50):
    """One image as a batch: boxes [1, rows, 4], classes [1, rows]."""
    boxes, classes = np.zeros((1, rows, 4), "f4"), np.full((1, rows), -1, "i4")
    boxes[0, : len(gt_boxes)] = np.reshape(gt_boxes, (-1, 4))
    classes[0, : len(gt_classes)] = gt_classes
    return boxes, classes


def test_targets_of_two_anchors_by_hand():
    anchors = np.array([[0, 0, 10, 10], [50, 50, 60, 60]], "f4")
    # 2 pixels lower than anchor 0 and as large: IoU 8 / 12, ty = 0.2.
    targets = assign_targets(anchors, *padded([[2, 0, 12, 10]], [7]), 0.5)
    assert targets.class_targets.numpy().tolist() == [[7, BACKGROUND]]
    np.testing.assert_allclose(targets.box_targets, [[[0.2, 0, 0, 0], [0, 0, 0, 0]]], atol=1e-7)
    assert targets.num_positives.numpy().tolist() == [1.0]


@pytest.mark.parametrize("jit", [False, True], ids=["graph", "xla"])
@pytest.mark.parametrize("size", [(128, 192), (512, 512)])
def test_targets_equal_the_labels_of_the_reference(golden, size, jit):
    # Five scenes, one without boxes, one with ties and forced matches. Each of their boxes overlaps
    # an anchor, so the reference's fault with boxes that do not (see test_matching) is not in them.
    figures = np.load(golden / "labels.npz")
    anchors = make_anchors(size, range(3, 8), AnchorConfig())
    assign = tf.function(
        lambda boxes, classes: assign_targets(anchors, boxes, classes, 0.5), jit_compile=jit
    )
    scenes = [f"{size[0]}x{size[1]}/{scene}/" for scene in range(5)]
    # The reference's ids start at 1, class indices at 0.
    batch = [padded(figures[s + "gt_boxes"], figures[s + "gt_classes"] - 1) for s in scenes]
    targets = assign(*map(np.concatenate, zip(*batch, strict=True)))
    for i, scene in enumerate(scenes):
        positive = figures[scene + "positive"]
        classes = np.full(len(anchors), BACKGROUND)
        classes[positive] = figures[scene + "class_targets"]
        deltas = np.zeros((len(anchors), 4), "f4")
        deltas[positive] = figures[scene + "box_targets"]
        np.testing.assert_array_equal(targets.class_targets[i], classes)
        # Two roundings of a logarithm of float32: 2.4e-7 measured.
        np.testing.assert_allclose(targets.box_targets[i], deltas, atol=5e-7)
        assert targets.num_positives[i] == figures[scene + "num_positives"]


def test_an_image_without_boxes_is_all_background():
    anchors = make_anchors((128, 128), range(3, 8), AnchorConfig())
    targets = assign_targets(anchors, *padded([], []), 0.5)
    assert set(targets.class_targets.numpy().ravel()) == {BACKGROUND}
    assert not targets.box_targets.numpy().any()
    assert targets.num_positives.numpy().tolist() == [0.0]


def test_types_and_shapes_of_a_batch():
    anchors = make_anchors((64, 64), range(3, 8), AnchorConfig())
    boxes, classes = padded([[0, 0, 30, 30]], [2])
    targets = assign_targets(anchors, np.repeat(boxes, 3, 0), np.repeat(classes, 3, 0), 0.5)
    count = len(anchors)
    assert [(t.shape, t.dtype) for t in targets] == [
        ((3, count), tf.int32), ((3, count, 4), tf.float32), ((3,), tf.float32),
    ]  # fmt: skip
