"""Overlaps and orders of boxes.

Boxes are [..., 4] with [ymin, xmin, ymax, xmax] last, in pixels; y grows downwards. Every function
takes tensors or numpy arrays, works under XLA, and returns tensors of Keras' backend; the two for
the boxes of COCO's files alone are numpy's.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from keras import ops

Tensor = Any
Coordinates = tuple[Tensor, Tensor, Tensor, Tensor]  # ymin, xmin, ymax, xmax of boxes, each [...]


def coordinates(boxes: Tensor) -> Coordinates:
    """Returns ymin, xmin, ymax, xmax of boxes [..., 4], each [...]."""
    return tuple(ops.unstack(boxes, num=4, axis=-1))


def iou_of_coordinates(a: Coordinates, b: Coordinates) -> Tensor:
    """Returns intersection over union of two sets of boxes given as (ymin, xmin, ymax, xmax).

    The eight tensors broadcast against each other, which lets a loop keep the coordinates apart.
    Boxes that do not intersect, and boxes without area, give 0.
    """
    height = ops.relu(ops.minimum(a[2], b[2]) - ops.maximum(a[0], b[0]))
    width = ops.relu(ops.minimum(a[3], b[3]) - ops.maximum(a[1], b[1]))
    intersection = height * width
    total = (a[2] - a[0]) * (a[3] - a[1]) + (b[2] - b[0]) * (b[3] - b[1])
    return ops.divide_no_nan(intersection, total - intersection)


def yxyx_to_xywh(boxes: np.ndarray) -> np.ndarray:
    """Returns boxes [..., 4] as [xmin, ymin, width, height], the order of COCO's files."""
    ymin, xmin, ymax, xmax = np.moveaxis(np.asarray(boxes), -1, 0)
    return np.stack([xmin, ymin, xmax - xmin, ymax - ymin], axis=-1)


def xywh_to_yxyx(boxes_xywh: np.ndarray) -> np.ndarray:
    """Returns boxes [..., 4] given as [xmin, ymin, width, height] as [ymin, xmin, ymax, xmax]."""
    xmin, ymin, width, height = np.moveaxis(np.asarray(boxes_xywh), -1, 0)
    return np.stack([ymin, xmin, ymin + height, xmin + width], axis=-1)
