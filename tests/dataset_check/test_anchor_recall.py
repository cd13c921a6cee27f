"""Anchor recall: numbers that follow from one anchor, and the same maximum as over all anchors."""

import dataclasses

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edet.config.loading import load_config
from edet.config.schema import AnchorConfig, Config, ModelConfig, replace
from edet.dataset_check.anchor_recall import (
    NetworkBoxes,
    best_anchors,
    measure_recall,
    network_boxes,
    recall_advice,
    recall_tables,
    suggest_scale,
    try_scales,
)
from edet.geometry.anchors import make_anchors
from edet.geometry.boxes import coordinates, iou_of_coordinates
from edet.input.ground_truth import Annotations
from edet.models.complexity import count_cost, outline

# D0's anchors at 128 pixels: the smallest is 4 x 8 = 32 pixels wide and high.
CONFIG = replace(Config(), model={"image_size": 128})
MODEL = CONFIG.model
# The cell at (8, 8) of level 3 has its centre at 8.5 x 8 = 68, so its first anchor is this box.
ANCHOR = [52, 52, 84, 84]
TINY = [60, 60, 62, 62]


def image(boxes, class_ids=None, size=(128, 128), is_crowd=None):
    boxes = np.array(boxes, np.float32).reshape(-1, 4)
    ids = np.ones(len(boxes)) if class_ids is None else class_ids
    crowd = np.zeros(len(boxes), bool) if is_crowd is None else np.array(is_crowd)
    areas = np.prod(boxes[:, 2:] - boxes[:, :2], axis=1)
    return Annotations("a", *size, boxes, np.array(ids, np.int64), crowd, areas)


def advice(boxes, class_ids=None, config=CONFIG):
    images = [image(boxes, class_ids)]
    found = network_boxes(images, config.model)
    measured = measure_recall(found, config, {1: "cat", 2: "dog"})
    return recall_advice(images, measured, try_scales(found, config), config)


def test_a_box_like_an_anchor_overlaps_it_fully():
    overlaps, anchors = best_anchors(np.array([ANCHOR], np.float32), MODEL)
    assert overlaps.tolist() == [1]
    assert anchors.tolist() == [ANCHOR]


def test_every_anchor_finds_itself():
    anchors = make_anchors(MODEL.image_size, MODEL.levels, MODEL.anchors)
    overlaps, found = best_anchors(anchors, MODEL)
    np.testing.assert_allclose(overlaps, 1, rtol=1e-6)
    np.testing.assert_allclose(found, anchors, rtol=1e-6)


def test_a_tiny_box_inside_an_anchor_overlaps_it_by_the_ratio_of_areas():
    overlaps, _ = best_anchors(np.array([TINY], np.float32), MODEL)
    np.testing.assert_allclose(overlaps, [2 * 2 / (32 * 32)], rtol=1e-6)


@settings(max_examples=25, deadline=None)
@given(
    st.integers(0, 2**31),
    st.sampled_from([(64, 64), (100, 130), (320, 200)]),
    st.sampled_from([1.0, 3.0, 4.0]),
    st.sampled_from([(), ((1.0, 1.0), (1.4, 0.7), (0.7, 1.4))]),
)
def test_the_candidates_hold_the_best_of_all_anchors(seed, image_size, scale, pairs):
    anchors = AnchorConfig(scale=scale, aspect_pairs=pairs)
    model = ModelConfig(image_size=list(image_size), anchors=anchors)
    rng = np.random.default_rng(seed)
    corners = np.sort(rng.uniform(0, 1, (40, 2, 2)), axis=1) * image_size
    boxes = corners.reshape(-1, 4).astype(np.float32)
    places = coordinates(make_anchors(image_size, model.levels, anchors))
    every = np.asarray(iou_of_coordinates(coordinates(boxes[:, None]), places))
    np.testing.assert_allclose(best_anchors(boxes, model)[0], every.max(axis=1), atol=1e-5)


def test_boxes_are_letterboxed_and_those_that_training_leaves_out_are_left_out():
    nan = float("nan")
    wide = image(
        [[10, 20, 30, 40], [0, 0, 90, 300], [5, 5, 5, 9], [1, 1, 9, 9], [nan, 0, 9, 9]],
        [1, 2, 1, 1, 1], size=(100, 200), is_crowd=[False, False, False, True, False],
    )  # fmt: skip
    found = network_boxes([wide, image([])], MODEL)
    # 200 pixels become 128: the scale is 0.64. The second box is first cut at x = 200.
    expected = [[6.4, 12.8, 19.2, 25.6], [0, 0, 57.6, 128]]
    np.testing.assert_allclose(found.boxes, expected, rtol=1e-6)
    assert found.class_ids.tolist() == [1, 2]
    np.testing.assert_allclose(found.sides, [12.8, (57.6 * 128) ** 0.5], rtol=1e-6)
    np.testing.assert_allclose(found.ratios, [1, 128 / 57.6], rtol=1e-6)


def test_boxes_of_stretched_pictures_have_the_shape_that_the_network_sees():
    """100 x 200 pixels become 128 x 128: y times 1.28, x times 0.64."""
    model = dataclasses.replace(MODEL, fit="stretch")
    found = network_boxes([image([[10, 20, 30, 70]], [1], size=(100, 200))], model)
    np.testing.assert_allclose(found.boxes, [[12.8, 12.8, 38.4, 44.8]], rtol=1e-6)
    np.testing.assert_allclose(found.ratios, [32 / 25.6], rtol=1e-6)


def test_recall_is_counted_by_class_and_side():
    found = network_boxes([image([ANCHOR, ANCHOR, ANCHOR, TINY], [1, 1, 1, 2])], MODEL)
    measured = measure_recall(found, CONFIG, {1: "cat"})
    tiny = round(4 / 1024, 4)
    assert measured["all"]["recall"] == 0.75
    assert measured["all"]["sides"] == {
        "0-4": {"boxes": 1, "recall": 0.0},
        "32-64": {"boxes": 3, "recall": 1.0},
    }
    assert [(row["id"], row["name"], row["boxes"]) for row in measured["classes"]] == [
        (1, "cat", 3),
        (2, "", 1),
    ]
    assert [(row["recall"], row["mean IoU"]) for row in measured["classes"]] == [(1, 1), (0, tiny)]
    # Each class counts alike: three boxes of one weigh as much as one of the other.
    assert measured["mean over classes"]["recall"] == 0.5


def test_no_boxes_have_no_recall():
    measured = measure_recall(network_boxes([image([])], MODEL), CONFIG, {})
    assert measured["all"] == {"boxes": 0, "recall": None, "mean IoU": None, "sides": {}}
    assert measured["classes"] == []


def test_recall_comes_before_mean_iou():
    rows = [
        {"scale": 2.0, "recall": 0.990, "mean IoU": 0.70},
        {"scale": 2.5, "recall": 0.986, "mean IoU": 0.71},
        {"scale": 4.0, "recall": 0.722, "mean IoU": 0.77},
    ]
    assert suggest_scale(rows, configured=4.0) == 2.5
    assert suggest_scale(rows, configured=2.0) == 2.0  # as good: nothing to change


def test_boxes_that_are_reached_need_no_advice():
    assert advice([ANCHOR] * 9 + [TINY]) == []  # 90 percent


# A network that is counted in a moment.
QUICK = replace(
    CONFIG,
    model={"backbone": "efficientnet-w0.1-d0.1", "pyramid_repeats": 1, "head_repeats": 1},
)


def test_small_boxes_need_a_smaller_scale_or_a_larger_input_or_a_finer_level():
    # 16 x 16 lies fourfold in the smallest anchor, IoU 0.25; with scale 2 it is an anchor.
    first, scale, size, level = advice([[60, 60, 76, 76], ANCHOR], [1, 2], QUICK)
    assert "0.0% of cat" in first
    assert "dog" not in first
    assert "1 smaller than the smallest anchor (32 pixels)" in first
    assert scale.startswith("model.anchors.scale=2 reaches 100% of the boxes")
    assert "instead of 50.0%" in scale
    assert size.startswith("model.image_size=256 reaches 100%")
    assert "4.0 times" in size
    assert level.startswith("model.min_level=2 reaches 100%")
    now, then = (
        count_cost(outline(replace(QUICK, model={"min_level": level}).model))["total"]
        for level in (3, 2)
    )
    assert f"about {then.multiply_adds / now.multiply_adds:.1f} times" in level
    assert level.endswith("; a trained pyramid starts anew with it.")


def test_a_pyramid_that_reaches_the_level_for_segmentation_stays():
    heads = {"heads": ["detection", "segmentation"], "segmentation": {"level": 2, "width": 8}}
    *_, level = advice([[60, 60, 76, 76], ANCHOR], [1, 2], replace(QUICK, model=heads))
    assert level.startswith("model.min_level=2 reaches 100%")
    assert level.endswith("times the computation.")


def test_a_level_is_named_only_where_the_network_can_have_it():
    boxes = [[60, 60, 76, 76], ANCHOR]
    searched = replace(QUICK, model={"feature_network": "nas_fpn"})
    of_stride_4 = replace(QUICK, model={"min_level": 2, "anchors": AnchorConfig(scale=8.0)})
    for config in (searched, of_stride_4):
        assert not any("min_level" in sentence for sentence in advice(boxes, [1, 2], config))


def test_large_boxes_need_a_larger_scale():
    config = replace(CONFIG, model={"anchors": AnchorConfig(scale=0.25)})
    first, scale = advice([[0, 0, 128, 128]], config=config)
    # The largest anchor is 0.25 x 128 x 2^(2/3) = 50.8 pixels.
    assert "1 larger than the largest anchor (51 pixels)" in first
    assert scale.startswith("model.anchors.scale=")
    assert "instead of 0.0%" in scale


def test_long_boxes_need_another_aspect():
    first, *_, last = advice([[60, 0, 72, 120]])
    assert "1 of another shape" in first
    assert last.startswith("Many boxes have a width / height of about 10;")
    assert "model.anchors.aspect_ratios" in last


def test_the_tables_name_the_configured_scale_and_only_sides_that_occur():
    found = network_boxes([image([ANCHOR, TINY], [1, 2])], MODEL)
    measured = measure_recall(found, CONFIG, {1: "cat [x]"})
    by_class, by_scale = recall_tables(measured, try_scales(found, CONFIG))
    assert [c.header for c in by_class.columns][4:] == ["0-4", "32-64"]
    assert list(by_class.columns[4].cells) == ["0.0", "–", "0.0", "1"]
    assert list(by_class.columns[3].cells) == ["50.0", "100", "0.0", ""]
    assert "4 (configured)" in list(by_scale.columns[0].cells)


@pytest.mark.parametrize("name", ["efficientdet-d0", "efficientdet-d7x", "efficientdet-lite3"])
def test_the_models_own_scale_is_among_those_tried(name):
    config = load_config(name)
    found = NetworkBoxes(np.array([ANCHOR], np.float32), np.array([1]))
    scales = [row["scale"] for row in try_scales(found, config)]
    assert config.model.anchors.scale in scales
    assert len(set(scales)) == len(scales)
    assert dataclasses.replace(config.model).anchors == config.model.anchors  # left as it was
