"""Aspects by k-means, and the advice that follows from them."""

import numpy as np
import pytest

from edet.config.loading import load_config
from edet.config.schema import AnchorConfig, Config, replace
from edet.dataset_check.anchor_recall import NetworkBoxes, try_scales
from edet.dataset_check.anchor_shapes import cluster, fit_anchors, fitted_advice

CONFIG = replace(Config(), model={"image_size": 256})


def boxes(*groups, seed=0):
    """Boxes of (count, height, width, class) each, anywhere in the input."""
    rng = np.random.default_rng(seed)
    found, ids = [], []
    for count, height, width, class_id in groups:
        first = rng.uniform(0, 256 - max(height, width), (count, 2))
        found.append(np.concatenate([first, first + (height, width)], 1))
        ids += [class_id] * count
    return NetworkBoxes(np.concatenate(found).astype("f4"), np.array(ids))


def advice(found, config=CONFIG):
    return fitted_advice(found, try_scales(found, config), config)


def test_clusters_by_hand():
    """Of 0, 0, 1, 5, 6: 1/3 and 5.5; with the 1 worth three, 0.6."""
    values = np.array([5.0, 0, 1, 0, 6])
    np.testing.assert_allclose(cluster(values, np.ones(5), 2), [1 / 3, 5.5])
    np.testing.assert_allclose(cluster(values, np.array([1.0, 1, 3, 1, 1]), 2), [0.6, 5.5])


def test_more_clusters_than_values_are_no_fault():
    np.testing.assert_allclose(cluster(np.array([2.0]), np.ones(1), 3), [2, 2, 2])


def test_three_shapes_become_the_three_aspects():
    """Widths of 5, 1 and 1/4 heights, of which the rare class counts as much as the others."""
    found = boxes((50, 20, 100, 1), (50, 40, 40, 2), (2, 80, 20, 3))
    fitted, figures = fit_anchors(found, CONFIG)
    assert fitted.aspect_ratios == pytest.approx((0.25, 1, 5), abs=0.01)
    assert figures["recall"] == 1
    (sentence,) = advice(found)
    assert sentence.endswith(f"{{scale: {fitted.scale:g}, aspect_ratios: [0.25, 1, 5]}}}}")


def test_the_yaml_of_the_advice_is_a_configuration_that_reaches_what_it_says():
    config = replace(CONFIG, model={"anchors": AnchorConfig(aspect_pairs=((1, 1), (1.4, 0.7)))})
    found = boxes((50, 16, 128, 1), (50, 20, 100, 1))
    (sentence,) = advice(found, config)
    prose, yaml = sentence.split("\n")
    anchors = load_config(text=yaml).model.anchors
    assert not anchors.aspect_pairs
    assert len(anchors.aspect_ratios) == 2
    used = replace(CONFIG, model={"anchors": anchors})
    row = next(r for r in try_scales(found, used) if r["scale"] == anchors.scale)
    assert f"overlap them by {row['mean IoU']:.2f} instead" in prose
    assert f"reach {100 * row['recall']:.1f}%" in prose


def test_boxes_of_one_shape_need_one_aspect():
    fitted, _ = fit_anchors(boxes((9, 30, 60, 1)), CONFIG)
    assert fitted.aspect_ratios == (2.0,)


def test_boxes_that_the_anchors_fit_well_need_no_change():
    assert advice(boxes((30, 40, 40, 1), (30, 56, 28, 2), (30, 28, 56, 3))) == []
