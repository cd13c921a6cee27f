"""Boxes <-> box deltas, the box head's way of saying where an object is relative to its anchor.

Deltas are [..., 4] with (ty, tx, th, tw): the shift of the centre in anchor sides, and the
logarithm of the ratio of the sides. There is no variance scaling (the 10, 10, 5, 5 of other
detectors).
"""

from __future__ import annotations

from keras import ops

from edet.geometry.boxes import Coordinates, Tensor, coordinates

SMALLEST_SIDE = 1e-8  # pixels; keeps log and division finite (reference)
# exp() of more than 88 is inf in float32, and inf - inf in an overlap is NaN. exp(30) = 1e13 anchor
# sides still leaves the product of two such sides finite. The reference has no clamp; no released
# weight can notice this one, for a box within the image needs no more than about 7.
LARGEST_LOG_RATIO = 30.0


def _centers_and_sides(boxes: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Returns the centres' y and x and the heights and widths of boxes [..., 4], each [...]."""
    ymin, xmin, ymax, xmax = coordinates(boxes)
    return (ymin + ymax) / 2, (xmin + xmax) / 2, ymax - ymin, xmax - xmin


def encode_boxes(boxes: Tensor, anchors: Tensor) -> Tensor:
    """Returns the deltas (ty, tx, th, tw) that lead from anchors to boxes; [..., 4] all three."""
    y, x, height, width = _centers_and_sides(boxes)
    anchor_y, anchor_x, *anchor_sides = _centers_and_sides(anchors)
    anchor_height, anchor_width = (ops.maximum(side, SMALLEST_SIDE) for side in anchor_sides)
    ty = (y - anchor_y) / anchor_height
    tx = (x - anchor_x) / anchor_width
    th = ops.log(ops.maximum(height, SMALLEST_SIDE) / anchor_height)
    tw = ops.log(ops.maximum(width, SMALLEST_SIDE) / anchor_width)
    return ops.stack([ty, tx, th, tw], axis=-1)


def decode_boxes(deltas: Tensor, anchors: Tensor) -> Tensor:
    """Returns the boxes [..., 4] that deltas (ty, tx, th, tw) [..., 4] mean at anchors [..., 4].

    They are float32 whatever the type of the deltas, and not clipped to the image.
    """
    return ops.stack(decode_coordinates(deltas, anchors), axis=-1)


def decode_coordinates(deltas: Tensor, anchors: Tensor) -> Coordinates:
    """Returns ymin, xmin, ymax, xmax of the boxes of `decode_boxes`, each [...], float32."""
    ty, tx, th, tw = ops.unstack(ops.cast(deltas, "float32"), num=4, axis=-1)
    anchor_y, anchor_x, anchor_height, anchor_width = _centers_and_sides(anchors)
    y = ty * anchor_height + anchor_y
    x = tx * anchor_width + anchor_x
    height = ops.exp(ops.minimum(th, LARGEST_LOG_RATIO)) * anchor_height
    width = ops.exp(ops.minimum(tw, LARGEST_LOG_RATIO)) * anchor_width
    return y - height / 2, x - width / 2, y + height / 2, x + width / 2
