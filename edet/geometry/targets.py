"""What the losses compare the network with: a class and a box for every anchor.

Shapes: B images · A anchors, all levels · N ground-truth boxes, padded
Boxes are [ymin, xmin, ymax, xmax] in pixels of the network input.
"""

from __future__ import annotations

from typing import NamedTuple

import tensorflow as tf

from edet.geometry.boxes import Tensor
from edet.geometry.coding import encode_boxes
from edet.geometry.matching import UNMATCHED, match_anchors

BACKGROUND = -1


class Targets(NamedTuple):
    """The targets of a batch; an anchor is positive where `class_targets` >= 0."""

    class_targets: Tensor  # [B, A] int32, class index or BACKGROUND
    box_targets: Tensor  # [B, A, 4] float32 deltas (ty, tx, th, tw), 0 where not positive
    num_positives: Tensor  # [B] float32, positive anchors of each image


def assign_targets(
    anchors: Tensor, gt_boxes: Tensor, gt_classes: Tensor, positive_iou: float,
    strides: Tensor | None = None,
) -> Targets:  # fmt: skip
    """Returns the targets of a batch of padded ground truth; static shapes, runs on the device.

    Args:
        anchors: [A, 4], float32.
        gt_boxes: [B, N, 4], float32; padding rows are 0.
        gt_classes: [B, N], int32 class index; -1 in padding rows.
        positive_iou: from which overlap on an anchor is positive.
        strides: of the anchors' locations, [A, 2], to assign by ATSS instead (`match_anchors`).
    """
    anchors = tf.convert_to_tensor(anchors)
    gt_classes = tf.cast(gt_classes, tf.int32)
    matched = match_anchors(anchors, gt_boxes, gt_classes >= 0, positive_iou, strides)
    positive = matched != UNMATCHED
    row = tf.maximum(matched, 0)
    class_targets = tf.where(positive, tf.gather(gt_classes, row, axis=1, batch_dims=1), BACKGROUND)
    deltas = encode_boxes(tf.gather(gt_boxes, row, axis=1, batch_dims=1), anchors)
    box_targets = tf.where(positive[..., None], deltas, 0.0)
    num_positives = tf.reduce_sum(tf.cast(positive, tf.float32), axis=-1)
    return Targets(class_targets, box_targets, num_positives)
