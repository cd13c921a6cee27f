"""Shards are counted and read to their ends, and what is wrong with one is named."""

import pathlib
import re
import struct

import pytest
import tensorflow as tf

from edet.errors import UserError
from edet.records.schema import Example, encode_example
from edet.records.shards import check_records, count_records
from tests.records.small_records import one_box, png, tf_example


def shard(path, records) -> str:
    with tf.io.TFRecordWriter(str(path)) as writer:
        for record in records:
            writer.write(record)
    return str(path)


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
