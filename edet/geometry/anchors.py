"""The anchors: reference boxes tiled over every level of the pyramid (paper 5.1).

Shapes: A anchors of all levels · h, w rows and columns of one level
Anchors are [ymin, xmin, ymax, xmax] in pixels of the network input. Their order is
level -> y -> x -> octave -> aspect, the order in which the heads' outputs are flattened.
"""

from __future__ import annotations

import math

import numpy as np

from edet.config.schema import AnchorConfig


def feature_sizes(image_size: tuple[int, int], max_level: int) -> dict[int, tuple[int, int]]:
    """Returns {level: (height, width)} of the features from level 0, the image, to `max_level`.

    A level halves the one below it and rounds up, as convolutions with 'same' padding do.
    """
    sizes = {0: tuple(image_size)}
    for level in range(1, max_level + 1):
        sizes[level] = tuple((side + 1) // 2 for side in sizes[level - 1])
    return sizes


def make_anchors(image_size: tuple[int, int], levels: range, config: AnchorConfig) -> np.ndarray:
    """Returns the anchors [A, 4], float32, of an image of `image_size` (height, width).

    They may reach over the border of the image. The arithmetic is float64 as in the reference.
    """
    sizes = feature_sizes(image_size, levels[-1])
    per_level = [_level_anchors(image_size, sizes[level], config) for level in levels]
    return np.concatenate(per_level).astype(np.float32)


def anchor_strides(image_size: tuple[int, int], levels: range, config: AnchorConfig) -> np.ndarray:
    """Returns [A, 2], float32: how far the next location lies below and beside each anchor's."""
    sizes = feature_sizes(image_size, levels[-1])
    per_level = [
        np.broadcast_to(
            np.divide(image_size, sizes[level]), (math.prod(sizes[level]) * config.per_location, 2)
        )
        for level in levels
    ]
    return np.concatenate(per_level).astype(np.float32)


def _level_anchors(
    image_size: tuple[int, int], feature_size: tuple[int, int], config: AnchorConfig
) -> np.ndarray:
    """Returns the anchors [h * w * octaves * aspects, 4] of one level, float64."""
    # The stride is image / feature size, not 2^level: the two differ on sizes that 2^level does not
    # divide, and the released weights expect this one (320 pixels give P7 strides of 106.67).
    strides = np.divide(image_size, feature_size)
    octaves = 2.0 ** (np.arange(config.num_scales) / config.num_scales)
    multipliers = np.array(config.multipliers)[:, ::-1]  # (width, height) -> (height, width)
    sides = config.scale * strides * octaves[:, None, None] * multipliers  # [octave, aspect, 2]
    grid = np.stack(np.meshgrid(*map(np.arange, feature_size), indexing="ij"), axis=-1)
    centers = (grid + 0.5) * strides  # [h, w, 2]
    centers, sides = np.broadcast_arrays(centers[:, :, None, None], sides)
    return np.concatenate([centers - sides / 2, centers + sides / 2], axis=-1).reshape(-1, 4)
