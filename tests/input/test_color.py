"""Colours of an image in training, against numbers worked out by hand."""

import numpy as np
import pytest
import tensorflow as tf

from edet.config.schema import AugmentConfig
from edet.input import color


def changed(pixel, turns=0.0, saturation=1.0, brightness=1.0):
    image = tf.constant([[pixel]], tf.float32)
    return color.recolor(image, color.make_matrix(turns, saturation, brightness))[0, 0].numpy()


def test_no_change_changes_no_bit():
    pixels = np.random.default_rng(0).integers(0, 256, [9, 7, 3]).astype(np.float32)
    found = color.recolor(tf.constant(pixels), color.make_matrix(0.0, 1.0, 1.0))
    np.testing.assert_array_equal(found, pixels)


@pytest.mark.parametrize(
    ("pixel", "change", "expected"),
    [
        # The luma of red is 0.213 x 200 = 42.6; half of the distance from that grey is left.
        ([200, 0, 0], {"saturation": 0.5}, [121.3, 21.3, 21.3]),
        ([200, 0, 0], {"saturation": 0.0}, [42.6, 42.6, 42.6]),
        ([100, 60, 20], {"brightness": 1.5}, [150, 90, 30]),
        ([200, 60, 20], {"brightness": 1.5}, [255, 90, 30]),  # no more than white
        # Half a turn: twice the luma, 2 x 0.213 x 200, minus the colour; below black is black.
        ([200, 0, 0], {"turns": 0.5}, [0, 85.2, 85.2]),
        # 200 x (0.213 x 1.5 + 0.866 x 0.143), the row of green in the standard's matrix.
        ([200, 0, 0], {"turns": 1 / 3}, [0, 88.67, 0]),
    ],
)
def test_a_colour_changes_as_worked_out_by_hand(pixel, change, expected):
    np.testing.assert_allclose(changed(pixel, **change), expected, atol=0.01)


@pytest.mark.parametrize("turns", [-0.4, 0.1, 0.5])
@pytest.mark.parametrize("saturation", [0.0, 0.3, 2.0])
def test_grey_stays_grey(turns, saturation):
    np.testing.assert_allclose(changed([90, 90, 90], turns, saturation), 90, atol=1e-3)


def test_matrices_follow_from_the_seed_and_stay_within_the_settings():
    settings = AugmentConfig(saturation=0.7, brightness=0.4)
    seeds = [tf.constant([3, place], tf.int64) for place in range(200)]
    drawn = np.stack([color.draw_matrix(seed, settings) for seed in seeds])
    np.testing.assert_array_equal(drawn[5], color.draw_matrix(seeds[5], settings))
    # Its rows add up to the brightness. The difference of its diagonal and what stands beside it
    # is brightness x saturation.
    brightness = drawn.sum(axis=2)[:, 0]
    saturation = (drawn[:, 0, 0] - drawn[:, 1, 0]) / brightness
    assert 0.6 <= brightness.min() < 0.62 and 1.38 < brightness.max() <= 1.4
    assert 0.3 <= saturation.min() < 0.33 and 1.67 < saturation.max() <= 1.7
    assert abs(np.corrcoef(brightness, saturation)[0, 1]) < 0.2
    only_hue = color.draw_matrix(seeds[0], AugmentConfig(hue=0.5)).numpy()
    np.testing.assert_allclose(only_hue.sum(axis=1), 1, atol=1e-6)
    assert np.abs(only_hue - np.eye(3)).max() > 0.01
