"""Which anchor answers for which ground-truth box.

Shapes: A anchors · N ground-truth boxes, padded
Boxes are [ymin, xmin, ymax, xmax] in pixels of the network input.
"""

from __future__ import annotations

import tensorflow as tf

from edet.geometry.boxes import Tensor, coordinates, iou_of_coordinates

UNMATCHED = -1
# Stronger than any IoU: neither a better overlap nor a later row takes a forced anchor away.
FORCED = 2.0


def match_anchors(
    anchors: Tensor, gt_boxes: Tensor, gt_valid: Tensor, positive_iou: float
) -> tf.Tensor:
    """Returns for each anchor the row of its ground-truth box, or UNMATCHED: int32 [..., A].

    An anchor is matched with the box that it overlaps most if their IoU is at least `positive_iou`;
    the first row wins a tie. Besides, each box is matched with the anchor that overlaps it most,
    however little (the first anchor on ties; the first row if boxes share that anchor), so that an
    object that fits no anchor is learnt too. A box that overlaps no anchor is not matched: the
    reference makes the very first anchor answer for it, a corner far from the object.

    Args:
        anchors: [A, 4], float32.
        gt_boxes: [..., N, 4], float32.
        gt_valid: [..., N], bool; False marks padding, which is never matched.
        positive_iou: from which overlap on an anchor is positive.
    """
    gt_boxes, gt_valid = tf.convert_to_tensor(gt_boxes), tf.convert_to_tensor(gt_valid)
    # A box without area overlaps nothing, so padding needs no more care than this.
    gt_boxes = tf.where(gt_valid[..., None], gt_boxes, 0.0)
    rows = tf.range(1, gt_boxes.shape[-2] + 1)
    num_rows = tf.reduce_max(tf.where(gt_valid, rows, 0))  # rows after the last box cost nothing
    anchor_coordinates = coordinates(anchors)
    num_anchors = anchors.shape[0]
    shape = tf.concat([tf.shape(gt_valid)[:-1], [num_anchors]], axis=0)

    # One box at a time: the IoU of all pairs would be 177 MB an image for D7 (442k anchors), while
    # this keeps two numbers per anchor.
    def match_row(row, strongest, matched):
        box = tf.split(tf.gather(gt_boxes, row, axis=-2), 4, axis=-1)  # each [..., 1]
        overlap = iou_of_coordinates(box, anchor_coordinates)  # [..., A]
        best = tf.argmax(overlap, axis=-1, output_type=tf.int32)
        best = tf.where(tf.reduce_max(overlap, axis=-1) > 0, best, num_anchors)  # none: no one-hot
        strength = tf.maximum(overlap, tf.one_hot(best, num_anchors, FORCED, 0.0))
        matched = tf.where(strength > strongest, row, matched)
        return row + 1, tf.maximum(strongest, strength), matched

    _, strongest, matched = tf.while_loop(
        lambda row, *_: row < num_rows,
        match_row,
        (tf.constant(0), tf.zeros(shape), tf.fill(shape, UNMATCHED)),
    )
    return tf.where(strongest >= positive_iou, matched, UNMATCHED)
