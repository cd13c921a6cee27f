"""The record schema: what is written is read back, and what others wrote is understood."""

import pathlib
import re
import struct

import hypothesis
import hypothesis.strategies as st
import numpy as np
import pytest
import tensorflow as tf

from edet.data.examples import (
    Example,
    check_records,
    count_records,
    encode_example,
    parse_example,
)
from edet.errors import UserError


def png(height: int, width: int) -> bytes:
    return tf.io.encode_png(tf.zeros([height, width, 3], tf.uint8)).numpy()


def tf_example(**features) -> bytes:
    """A tf.Example; keys say "__" for "/", values are lists of bytes, ints or floats."""

    def feature(values):
        first = values[0] if values else 0
        if isinstance(first, bytes):
            return tf.train.Feature(bytes_list=tf.train.BytesList(value=values))
        if isinstance(first, int):
            return tf.train.Feature(int64_list=tf.train.Int64List(value=values))
        return tf.train.Feature(float_list=tf.train.FloatList(value=values))

    named = {key.replace("__", "/"): feature(values) for key, values in features.items()}
    return tf.train.Example(features=tf.train.Features(feature=named)).SerializeToString()


def one_box(**others) -> bytes:
    """A record of one box [ymin 0.25, xmin 0, ymax 0.75, xmax 0.5] without what may be missing."""
    sides = {"ymin": [0.25], "xmin": [0.0], "ymax": [0.75], "xmax": [0.5]}
    boxes = {f"image__object__bbox__{side}": value for side, value in sides.items()}
    record = {"image__encoded": [png(8, 20)], **boxes, "image__object__class__label": [7]}
    return tf_example(**{**record, **others})


def shard(path, records) -> str:
    with tf.io.TFRecordWriter(str(path)) as writer:
        for record in records:
            writer.write(record)
    return str(path)


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


def test_a_summary_counts_what_was_read(tmp_path):
    empty = encode_example(Example(png(4, 4), "1", [], [], 4, 4), {})
    files = [shard(tmp_path / "a", [one_box(), empty]), shard(tmp_path / "b", [one_box()])]
    first = check_records(files, [7])
    assert (first.num_files, first.num_records, first.class_boxes) == (2, 2, {7: 2})
    full = check_records(files, [7], every_record=True)
    assert (full.num_records, full.num_empty, full.class_boxes) == (3, 1, {7: 2})
    assert count_records(files) == 3


def test_counting_reads_the_lengths_of_records_and_not_their_images(tmp_path):
    path = str(tmp_path / "large.tfrecord")
    with tf.io.TFRecordWriter(path) as writer:
        for _ in range(20):
            writer.write(bytes(100_000))

    def bytes_read():
        text = pathlib.Path("/proc/self/io").read_text()
        return int(re.search(r"rchar: (\d+)", text)[1])

    before = bytes_read()
    assert count_records([path]) == 20
    assert bytes_read() - before < 100_000


@pytest.mark.parametrize(
    ("record", "words"),
    [
        (b"\xff\xff\xff", "not a tf.Example"),
        (tf_example(image=[b"x"], label=[1]), "no image/encoded \\(it has image, label\\)"),
        (one_box(image__object__class__label=[7, 8]), "2 values in image/object/class/label"),
        (one_box(image__object__class__label=[7.0]), "0 values in image/object/class/label"),
        (one_box(image__object__area=[1.0, 2.0]), "1 objects but 2 values in image/object/area"),
        (
            one_box(image__object__class__label=[9]),
            "class id 9 is not in the labels \\(ids 1, 7\\)",
        ),
    ],
    # The bytes of a map differ from process to process, and would be the test's name.
    ids=["garbage", "other features", "classes", "floats", "areas", "class id"],
)
def test_another_schema_is_refused_in_words(tmp_path, record, words):
    file = shard(tmp_path / "odd.tfrecord", [record])
    with pytest.raises(UserError, match=rf"odd.tfrecord, record 0.*{words}"):
        check_records([file], [1, 7])


def test_a_fault_in_a_later_record_is_found_when_all_are_read(tmp_path):
    file = shard(tmp_path / "late.tfrecord", [one_box(), tf_example(image=[b"x"])])
    check_records([file])
    with pytest.raises(UserError, match="late.tfrecord, record 1"):
        check_records([file], every_record=True)


def test_a_cut_off_shard_is_named_with_its_good_records(tmp_path):
    whole = shard(tmp_path / "cut.tfrecord", [one_box()] * 3)
    data = (tmp_path / "cut.tfrecord").read_bytes()
    for cut in (1, len(data) // 3 - 5, 10):  # in the last crc, in its data, in its length
        (tmp_path / "cut.tfrecord").write_bytes(data[: len(data) - cut])
        with pytest.raises(UserError, match="cut.tfrecord is cut off or damaged after 2 good"):
            count_records([whole])
        with pytest.raises(UserError, match="after 2 good"):
            check_records([whole], every_record=True)


@pytest.mark.parametrize("content", [b"hello", b"no record " * 50, struct.pack("<QI", 5, 0)])
def test_a_file_of_another_kind_is_refused(tmp_path, content):
    path = tmp_path / "notes.txt"
    path.write_bytes(content)
    for function in (count_records, check_records):
        with pytest.raises(UserError, match="notes.txt is not a TFRecord file"):
            function([str(path)])


def test_a_missing_shard_is_named(tmp_path):
    for function in (count_records, check_records):
        with pytest.raises(UserError, match="cannot read .*gone.tfrecord"):
            function([str(tmp_path / "gone.tfrecord")])


def test_an_empty_shard_has_no_records(tmp_path):
    (tmp_path / "none.tfrecord").write_bytes(b"")
    assert count_records([str(tmp_path / "none.tfrecord")]) == 0
    assert check_records([str(tmp_path / "none.tfrecord")]).num_records == 0


def test_an_example_with_lists_of_differing_length_is_refused():
    with pytest.raises(ValueError, match="photo.jpg.*differ in number"):
        Example("folder/photo.jpg", "1", [[0, 0, 1, 1]], [1, 2])
