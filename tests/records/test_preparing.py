"""One record of one example: boxes clipped, scaled or dropped, each with its count."""

import numpy as np
import pytest
import tensorflow as tf

from edet.records.preparing import prepare_record
from edet.records.schema import parse_example
from tests.records.small_records import LABELS, example


@pytest.mark.parametrize(
    ("box", "kept", "what"),
    [
        ([1, 2, 5, 6], [1, 2, 5, 6], None),
        ([0, 0, 10, 20], [0, 0, 10, 20], None),
        ([8, 18, 10.4, 20.2], [8, 18, 10, 20], "clipped to the image"),
        ([-3, 2, 5, 6], [0, 2, 5, 6], "clipped to the image"),
        ([5, 2, 5, 6], None, "dropped: zero-size box"),
        ([5, 6, 7, 2], None, "dropped: zero-size box"),
        ([10, 2, 14, 6], None, "dropped: box outside the image"),
        ([-4, -4, -1, -1], None, "dropped: box outside the image"),
        ([np.nan, 2, 5, 6], None, "dropped: coordinates are not finite"),
    ],
)
def test_boxes_are_clipped_or_dropped_and_counted(box, kept, what):
    record, tally = prepare_record(example([box]), LABELS)
    parsed = parse_example(tf.constant(record))
    expected = np.array([kept] if kept else []).reshape(-1, 4) / [10, 20, 10, 20]
    np.testing.assert_allclose(parsed["boxes"], expected, atol=1e-7)
    problems = [(p["file"], p["what"], p["boxes"]) for p in tally.problems]
    assert problems == ([("a.jpg", what, 1)] if what else [])
    assert tally.boxes["written"] == len(expected)
    assert tally.images["written"] == 1  # also without boxes: it teaches the background


def test_lists_stay_aligned_when_a_box_is_dropped():
    boxes = [[1, 1, 2, 2], [5, 5, 5, 5], [3, 3, 9, 9]]
    crowded = example(boxes, [1, 2, 2], is_crowd=[0, 0, 1], areas=[0.5, 9, 30])
    parsed = parse_example(tf.constant(prepare_record(crowded, LABELS)[0]))
    assert parsed["class_ids"].numpy().tolist() == [1, 2]
    assert parsed["is_crowd"].numpy().tolist() == [False, True]
    assert parsed["areas"].numpy().tolist() == [0.5, 30]


def test_clipping_changes_the_area_of_a_box_but_not_that_of_a_mask():
    beyond = [[0, 0, 20, 4]]  # half of its 80 pixels are above row 10
    for areas, expected in ((None, 40), ([33.0], 33)):
        record, _ = prepare_record(example(beyond, areas=areas), LABELS)
        assert parse_example(tf.constant(record))["areas"].numpy().tolist() == [expected]


def test_a_class_without_a_label_is_dropped():
    _, tally = prepare_record(example([[1, 1, 2, 2]] * 2, [1, 3]), LABELS)
    assert tally.boxes == {"dropped: class not in the labels": 1, "written": 1}
    assert tally.class_boxes == {"1": 1}


@pytest.mark.parametrize(
    ("height", "width", "box", "what"),
    [
        (10, 20, [0, 0, 5, 10], None),
        (20, 40, [0, 0, 10, 20], "resized after annotation (boxes scaled)"),
        (5, 10, [0, 0, 2.5, 5], "resized after annotation (boxes scaled)"),
        (11, 20, [0, 0, 5, 10], "annotated size is a pixel off (real one kept)"),
    ],
)
def test_boxes_follow_pictures_that_were_resized_after_annotation(height, width, box, what):
    """The picture has 10 x 20 pixels; each time the box covers its upper left quarter."""
    record, tally = prepare_record(example([box], height=height, width=width), LABELS)
    parsed = parse_example(tf.constant(record))
    assert (int(parsed["height"]), int(parsed["width"])) == (10, 20)
    np.testing.assert_allclose(parsed["boxes"], [[0, 0, 0.5, 0.5]], atol=1e-6)
    np.testing.assert_allclose(parsed["areas"], [50], rtol=1e-6)
    assert [problem["what"] for problem in tally.problems] == ([what] if what else [])


@pytest.mark.parametrize(("height", "width"), [(50, 40), (20, 10), (10, 40)])
def test_the_annotated_size_of_another_picture_drops_it_by_name(height, width):
    record, tally = prepare_record(example([[0, 0, 5, 10]], height=height, width=width), LABELS)
    assert record is None
    assert tally.images == {"dropped: annotated size does not fit": 1}
    assert tally.problems[0]["detail"].startswith(f"annotated {width}x{height}, is 20x10")


def test_shares_become_pixels_of_the_real_picture():
    record, _ = prepare_record(example([[0, 0, 0.5, 0.25]], relative=True), LABELS)
    parsed = parse_example(tf.constant(record))
    np.testing.assert_allclose(parsed["boxes"], [[0, 0, 0.5, 0.25]], atol=1e-6)
    np.testing.assert_allclose(parsed["areas"], [25], rtol=1e-6)  # 5 x 5 pixels


def test_a_box_that_is_there_twice_stays_and_is_named():
    record, tally = prepare_record(example([[0, 0, 5, 10]] * 2 + [[0, 0, 5, 9]]), LABELS)
    assert parse_example(tf.constant(record))["boxes"].shape == (3, 4)
    assert tally.boxes == {"written": 3, "the same box and class twice (kept)": 1}
