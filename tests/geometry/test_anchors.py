"""Anchors against figures of the reference and against four rows worked out by hand."""

import numpy as np
import pytest

from edet.config.schema import AnchorConfig
from edet.geometry.anchors import anchor_strides, feature_sizes, make_anchors


def test_feature_sizes_halve_and_round_up():
    assert feature_sizes((640, 300), 3) == {0: (640, 300), 1: (320, 150), 2: (160, 75), 3: (80, 38)}


def test_anchors_of_a_two_cell_level_worked_out_by_hand():
    # 8 x 16 pixels at level 3: one row of two cells, 8 pixels each, centres (4, 4) and (4, 12).
    # Scale 1 and two octaves per doubling would be 2^(1/2); with num_scales 1 the side is 8.
    # Aspect 4 (width / height) of an 8 x 8 anchor: width 16, height 4.
    config = AnchorConfig(scale=1.0, num_scales=1, aspect_ratios=(1.0, 4.0))
    assert make_anchors((8, 16), range(3, 4), config).tolist() == [
        [0, 0, 8, 8],
        [2, -4, 6, 12],
        [0, 8, 8, 16],
        [2, 4, 6, 20],
    ]


def test_octaves_come_before_aspects_and_grow_by_their_root():
    config = AnchorConfig(scale=4.0, num_scales=2, aspect_ratios=(1.0, 4.0))
    anchors = make_anchors((8, 8), range(3, 4), config)
    heights, widths = anchors[:, 2] - anchors[:, 0], anchors[:, 3] - anchors[:, 1]
    root = 2**0.5
    np.testing.assert_allclose(heights, [32, 16, 32 * root, 16 * root], rtol=1e-6)
    np.testing.assert_allclose(widths, [32, 64, 32 * root, 64 * root], rtol=1e-6)


def test_sizes_of_d0_level_3_are_those_of_the_reference():
    anchors = make_anchors((512, 512), range(3, 8), AnchorConfig())[:9]
    sides = np.stack([anchors[:, 3] - anchors[:, 1], anchors[:, 2] - anchors[:, 0]], -1)
    expected = [
        (32, 32), (45.25, 22.63), (22.63, 45.25), (40.32, 40.32), (57.02, 28.51),
        (28.51, 57.02), (50.80, 50.80), (71.84, 35.92), (35.92, 71.84),
    ]  # fmt: skip
    np.testing.assert_allclose(sides, expected, atol=0.006)


def test_explicit_pairs_are_width_then_height():
    config = AnchorConfig(num_scales=1, aspect_pairs=((1.0, 1.0), (1.4, 0.7)))
    _, wide = make_anchors((8, 8), range(3, 4), config)
    np.testing.assert_allclose([wide[3] - wide[1], wide[2] - wide[0]], [44.8, 22.4], rtol=1e-6)


def test_strides_are_real_where_the_size_is_not_divisible():
    # 320 pixels have 3 cells at level 7: 106.67 pixels each, not 128, as lite0 expects.
    anchors = make_anchors(
        (320, 320), range(7, 8), AnchorConfig(num_scales=1, aspect_ratios=(1.0,))
    )
    centers = (anchors[:, 0] + anchors[:, 2]) / 2
    np.testing.assert_allclose(np.unique(centers.round(2)), [53.33, 160, 266.67], atol=0.01)
    np.testing.assert_allclose(anchors[0, 2] - anchors[0, 0], 4 * 320 / 3, rtol=1e-6)


@pytest.mark.parametrize(
    ("size", "levels", "count"),
    [
        (512, range(3, 8), 49104),  # D0
        (1536, range(3, 8), 441936),  # D7
        (1536, range(3, 9), 442260),  # D7x
        (320, range(3, 8), 19206),  # lite0
    ],
)
def test_number_of_anchors_of_released_models(size, levels, count):
    anchors = make_anchors((size, size), levels, AnchorConfig())
    assert anchors.shape == (count, 4)
    assert anchors.dtype == np.float32


@pytest.mark.parametrize("size", [(512, 512), (128, 128), (320, 256), (256, 320)])
def test_anchors_equal_the_reference_bit_for_bit(golden, size):
    figures = np.load(golden / "anchors.npz")
    name = f"{size[0]}x{size[1]}"
    anchors = make_anchors(size, range(3, 8), AnchorConfig())
    assert len(anchors) == figures[f"{name}/count"]
    np.testing.assert_array_equal(anchors[figures[f"{name}/rows"]], figures[f"{name}/anchors"])


def test_strides_are_the_distances_of_neighbouring_locations():
    """40 x 80 pixels: levels of 5 x 10, 3 x 5 and 2 x 3 locations; that of 3 rows is 13.3 apart."""
    size, levels, config = (40, 80), range(3, 6), AnchorConfig()
    strides = anchor_strides(size, levels, config).reshape(-1, config.per_location, 2)
    anchors = make_anchors(size, levels, config).reshape(-1, config.per_location, 4)
    assert strides.shape[:2] == anchors.shape[:2]
    centers = (anchors[..., :2] + anchors[..., 2:]) / 2
    for first, columns in ((0, 10), (50, 5), (65, 3)):
        beside, below = (
            centers[first + 1] - centers[first],
            centers[first + columns] - centers[first],
        )
        apart = np.stack([below[:, 0], beside[:, 1]], -1)
        np.testing.assert_allclose(strides[first], apart, rtol=1e-6)
    np.testing.assert_allclose(strides[50, 0], [40 / 3, 16], rtol=1e-6)
