"""The record schema: what is written is read back, and what others wrote is understood."""

import hypothesis
import hypothesis.strategies as st
import numpy as np
import pytest
import tensorflow as tf

from edet.records.schema import (
    Example,
    box_areas,
    encode_example,
    parse_example,
)
from tests.records.small_records import one_box, png


@pytest.mark.filterwarnings("error")
def test_a_box_that_is_not_finite_has_no_area_and_makes_no_noise():
    """The writer drops it with a reason; NumPy's warning would name a line of edet instead."""
    areas = box_areas(np.array([[0, np.inf, 5, np.inf], [1, 2, 4, 4]], np.float32))
    np.testing.assert_array_equal(areas, [np.nan, 6])


def test_a_written_example_is_read_back():
    example = Example(
        image=png(10, 40),
        source_id="391895",
        boxes=[[1, 2, 5, 10], [0, 0, 10, 40]],
        class_ids=[18, 90],
        height=10,
        width=40,
        is_crowd=[False, True],
        areas=[20.5, 300.0],
        filename="000000391895.png",
    )
    serialized = encode_example(example, {18: "dog", 90: "toothbrush"}, "png")
    parsed = parse_example(tf.constant(serialized))
    assert parsed["encoded"].numpy() == example.image
    assert parsed["source_id"].numpy() == b"391895"
    assert (parsed["height"].dtype, int(parsed["height"]), int(parsed["width"])) == (
        tf.int32,
        10,
        40,
    )
    np.testing.assert_allclose(parsed["boxes"], [[0.1, 0.05, 0.5, 0.25], [0, 0, 1, 1]], rtol=1e-6)
    assert parsed["class_ids"].dtype == tf.int64
    assert parsed["class_ids"].numpy().tolist() == [18, 90]
    assert parsed["is_crowd"].numpy().tolist() == [False, True]
    assert parsed["areas"].numpy().tolist() == [20.5, 300.0]
    features = tf.train.Example.FromString(serialized).features.feature
    assert list(features["image/object/class/text"].bytes_list.value) == [b"dog", b"toothbrush"]
    assert features["image/filename"].bytes_list.value[0] == b"000000391895.png"
    assert features["image/format"].bytes_list.value[0] == b"png"


def test_the_same_example_gives_the_same_bytes():
    example = Example(png(4, 4), "1", [[0, 0, 2, 2]], [1], 4, 4)
    assert encode_example(example, {1: "a"}) == encode_example(example, {1: "a"})


def test_an_image_without_objects_has_empty_lists():
    serialized = encode_example(Example(png(4, 4), "1", [], [], 4, 4), {})
    parsed = parse_example(tf.constant(serialized))
    assert parsed["boxes"].shape == (0, 4)
    assert parsed["class_ids"].shape == parsed["is_crowd"].shape == parsed["areas"].shape == (0,)


def test_what_a_record_leaves_out_is_filled_in():
    parsed = parse_example(tf.constant(one_box()))
    assert int(parsed["height"]) == int(parsed["width"]) == -1
    # Half of 8 rows times half of 20 columns, although the record does not tell the size.
    assert parsed["areas"].numpy().tolist() == [40.0]
    assert parsed["is_crowd"].numpy().tolist() == [False]
    sized = parse_example(tf.constant(one_box(image__height=[16], image__width=[20])))
    assert sized["areas"].numpy().tolist() == [80.0]


def test_a_missing_source_id_becomes_a_hash_of_the_image():
    ids = [
        parse_example(tf.constant(one_box(**{"image__encoded": [png(8, w)], **others})))[
            "source_id"
        ]
        for w, others in ((20, {}), (20, {"image__source_id": [b""]}), (21, {}))
    ]
    first, same, other = (value.numpy() for value in ids)
    assert first == same != other
    assert 0 <= int(first) < 2**63


@hypothesis.given(st.lists(st.tuples(*[st.integers(0, 60)] * 4), max_size=5), st.integers(60, 99))
@hypothesis.settings(max_examples=25, deadline=None)
def test_boxes_survive_the_round_trip_in_pixels(corners, side):
    example = Example(b"", "1", np.array(corners).reshape(-1, 4), [1] * len(corners), side, side)
    parsed = parse_example(tf.constant(encode_example(example, {1: "a"})))
    # Half a unit of float32's 24 bits at 1.0, times the side.
    np.testing.assert_allclose(parsed["boxes"] * side, example.boxes, atol=side * 2.0**-24)


def test_the_graph_refuses_lists_of_differing_length():
    record = one_box(image__object__class__label=[7, 8])
    with pytest.raises(tf.errors.InvalidArgumentError, match="differ in length"):
        parse_example(tf.constant(record))
    with pytest.raises(tf.errors.InvalidArgumentError, match="differ in length"):
        parse_example(tf.constant(one_box(image__object__is_crowd=[0, 1])))


def test_the_references_own_records_are_read(golden):
    records = tf.data.TFRecordDataset(str(golden / "tiny.tfrecord")).map(parse_example)
    parsed = {int(record["source_id"]): record for record in records.as_numpy_iterator()}
    assert {key: len(record["boxes"]) for key, record in parsed.items()} == {
        1000: 4,
        1001: 0,
        1002: 7,
        1003: 2,
    }
    first = parsed[1000]
    assert (first["height"], first["width"]) == (90, 120)
    # What the reference's reader printed: [ymin, xmin, ymax, xmax, crowd, area, class].
    rows = [
        [4.8887, 83.017166, 20.400358, 107.15129, 0, 374.36026, 70],
        [25.185452, 4.365833, 43.437534, 30.078808, 0, 469.31546, 52],
        [15.711713, 25.171686, 28.9455, 49.871674, 0, 326.87442, 18],
        [12.2005005, 62.500725, 19.596228, 81.02586, 1, 137.00694, 68],
    ]
    pixels = first["boxes"] * [90, 120, 90, 120]
    columns = [first["is_crowd"], first["areas"], first["class_ids"]]
    np.testing.assert_allclose(np.column_stack([pixels, *columns]), rows, rtol=1e-6)


def test_the_references_reader_saw_the_same_ground_truth(golden, shared):
    printed = np.load(shared / "golden" / "pipeline_eval.npz")
    expected = {
        int(source_id): rows[rows[:, 6] > 0]
        for batch in "01"
        for source_id, rows in zip(
            printed[f"{batch}/source_ids"], printed[f"{batch}/groundtruth_data"], strict=True
        )
    }
    records = tf.data.TFRecordDataset(str(golden / "tiny.tfrecord")).map(parse_example)
    for record in records.as_numpy_iterator():
        # It reports boxes by way of the resized image, whose sides are whole pixels (60 * 1.28 is
        # 76): 76 / 1.28 = 59.375 columns of 60.
        scale = 128 / max(record["height"], record["width"])
        size = [int(record[side] * scale) / scale for side in ("height", "width")] * 2
        columns = [record["is_crowd"], record["areas"], record["class_ids"]]
        rows = np.column_stack([record["boxes"] * size, *columns])
        np.testing.assert_allclose(rows, expected.pop(int(record["source_id"])), rtol=2e-6)
    assert not expected


def test_an_example_with_lists_of_differing_length_is_refused():
    with pytest.raises(ValueError, match="photo.jpg.*differ in number"):
        Example("folder/photo.jpg", "1", [[0, 0, 1, 1]], [1, 2])
