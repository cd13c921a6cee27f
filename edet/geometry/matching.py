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
    anchors: Tensor, gt_boxes: Tensor, gt_valid: Tensor, positive_iou: float,
    strides: Tensor | None = None,
) -> tf.Tensor:  # fmt: skip
    """Returns for each anchor the row of its ground-truth box, or UNMATCHED: int32 [..., A].

    An anchor is matched with the box that it overlaps most if their IoU is at least `positive_iou`;
    the first row wins a tie. Besides, each box is matched with the anchor that overlaps it most,
    however little (the first anchor on ties; the first row if boxes share that anchor), so that an
    object that fits no anchor is learnt too. A box that overlaps no anchor is not matched: the
    reference makes the very first anchor answer for it, a corner far from the object.

    With `strides` the first rule is that of ATSS (arXiv 1912.02424): a box's candidates are the
    anchors of the 3 x 3 locations of each level around its centre, the threshold is the mean and
    the deviation of their overlaps, added, and only anchors whose centre lies in the box count.

    Args:
        anchors: [A, 4], float32.
        gt_boxes: [..., N, 4], float32.
        gt_valid: [..., N], bool; False marks padding, which is never matched.
        positive_iou: from which overlap on an anchor is positive; of no use with `strides`.
        strides: [A, 2], the distance of an anchor's location to the next below and beside it.
    """
    gt_boxes, gt_valid = tf.convert_to_tensor(gt_boxes), tf.convert_to_tensor(gt_valid)
    # A box without area overlaps nothing, so padding needs no more care than this.
    gt_boxes = tf.where(gt_valid[..., None], gt_boxes, 0.0)
    rows = tf.range(1, gt_boxes.shape[-2] + 1)
    num_rows = tf.reduce_max(tf.where(gt_valid, rows, 0))  # rows after the last box cost nothing
    anchor_coordinates = coordinates(anchors)
    num_anchors = anchors.shape[0]
    if strides is not None:
        strides = tf.convert_to_tensor(strides)
        centers = [(anchor_coordinates[k] + anchor_coordinates[k + 2]) / 2 for k in range(2)]
        reach = [1.5 * strides[:, k] for k in range(2)]
    shape = tf.concat([tf.shape(gt_valid)[:-1], [num_anchors]], axis=0)

    # One box at a time: the IoU of all pairs would be 177 MB an image for D7 (442k anchors), while
    # this keeps two numbers per anchor.
    def match_row(row, strongest, matched):
        """Gives the anchors that want this box most to it; both are [..., A]."""
        box = tf.split(tf.gather(gt_boxes, row, axis=-2), 4, axis=-1)  # each [..., 1]
        overlap = iou_of_coordinates(box, anchor_coordinates)  # [..., A]
        wanted = overlap if strides is None else _overlap_around(box, overlap, centers, reach)
        best = tf.argmax(overlap, axis=-1, output_type=tf.int32)
        best = tf.where(tf.reduce_max(overlap, axis=-1) > 0, best, num_anchors)  # none: no one-hot
        strength = tf.maximum(wanted, tf.one_hot(best, num_anchors, FORCED, 0.0))
        matched = tf.where(_is_positive(strength - strongest), row, matched)
        return row + 1, tf.maximum(strongest, strength), matched

    _, strongest, matched = tf.while_loop(
        lambda row, *_: row < num_rows,
        match_row,
        (tf.constant(0), tf.zeros(shape), tf.fill(shape, UNMATCHED)),
    )
    if strides is not None:
        return matched  # whatever has a strength above 0
    return tf.where(strongest >= positive_iou, matched, UNMATCHED)


def _overlap_around(
    box: list[Tensor], overlap: Tensor, centers: list[Tensor], reach: list[Tensor]
) -> tf.Tensor:
    """Returns the overlaps [..., A] of a box's positive anchors by ATSS, and 0 for all others.

    The published rule takes the nine nearest anchors of a level, one a location. Here there are
    several a location, and those of the nine nearest locations are found without sorting.

    Args:
        box: its coordinates, each [..., 1].
        overlap: IoU with the anchors, [..., A].
        centers: of the anchors, y and x, each [A].
        reach: how far from it, in y and x, the box's centre is in the 3 x 3 locations, each [A].
    """
    ymin, xmin, ymax, xmax = box
    dy, dx = tf.abs(centers[0] - (ymin + ymax) / 2), tf.abs(centers[1] - (xmin + xmax) / 2)
    near = _is_positive(tf.minimum(reach[0] - dy, reach[1] - dx))
    inside = _is_positive(tf.minimum((ymax - ymin) / 2 - dy, (xmax - xmin) / 2 - dx))
    count = tf.maximum(tf.reduce_sum(tf.cast(near, tf.float32), -1, keepdims=True), 1.0)
    mean = tf.reduce_sum(tf.where(near, overlap, 0.0), -1, keepdims=True) / count
    variance = tf.reduce_sum(tf.where(near, tf.square(overlap - mean), 0.0), -1, keepdims=True)
    threshold = mean + tf.sqrt(variance / count)
    return tf.where(near & inside & (overlap >= threshold), overlap, 0.0)


def _is_positive(x: Tensor) -> tf.Tensor:
    """Returns x > 0, and True for NaN."""
    # A comparison takes TensorFlow on a CPU more than twice as long.
    return tf.cast(tf.nn.relu(x), tf.bool)
