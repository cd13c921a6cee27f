"""Shards are counted and read to their ends, and what is wrong with one is named."""

import ctypes
import gzip
import os
import pathlib
import re
import struct
import zlib
from collections import Counter

import numpy as np
import pytest
import tensorflow as tf

from edet.config.loading import load_config
from edet.errors import UserError
from edet.input.pipeline import make_train_dataset
from edet.input.reading import read_file
from edet.records import shards
from edet.records.masks import encode_mask
from edet.records.schema import Example, Mask, encode_example
from edet.records.shards import check_records, count_records, open_records, read_records
from edet.records.sources.synthetic import SyntheticSet
from edet.records.writing import write_records
from edet.workflows.common import checked_records
from tests.records.small_records import UNKNOWN_FIELD, one_box, png, tf_example


def shard(path, records) -> str:
    with tf.io.TFRecordWriter(str(path)) as writer:
        for record in records:
            writer.write(record)
    return str(path)


def test_a_summary_counts_what_was_read(tmp_path):
    empty = encode_example(Example(png(4, 4), "1", [], [], 4, 4), {})
    files = [shard(tmp_path / "a", [one_box(), empty]), shard(tmp_path / "b", [one_box()])]
    first = check_records(files, [7], every_record=False)
    assert (first.counts, first.num_checked, set(first.class_names)) == ([2, 1], 2, {7})
    full = check_records(files, [7])
    assert (full.num_checked, set(full.class_names)) == (3, {7})
    assert count_records(files).num_records == 3


def test_the_fingerprint_is_of_what_records_hold_and_not_of_files(tmp_path):
    """Every byte counts, by the records' own checksums; nothing else is read."""

    def fingerprint(*files):
        return count_records(list(files)).fingerprint

    one, two = encode_example(Example(png(4, 4), "1", [], [], 4, 4), {}), one_box()
    a, b = shard(tmp_path / "a", [one, two]), shard(tmp_path / "b", [two])
    moved = [shard(tmp_path / "c", [two]), shard(tmp_path / "d", [one, two])]
    assert fingerprint(a, b) == fingerprint(*moved)
    for records in ([two, one], [one], [one, two[:-1] + bytes([two[-1] ^ 1])]):
        assert fingerprint(shard(tmp_path / "e", records), b) != fingerprint(a, b)
    assert fingerprint(a) == check_records([a]).fingerprint


def test_of_a_large_set_the_first_record_of_each_shard_is_checked(tmp_path, monkeypatch):
    files = [shard(tmp_path / name, [one_box(), one_box()]) for name in "ab"]
    for limit, checked in ((4, 2), (5, 4)):
        monkeypatch.setattr(shards, "CHECK_ALL_BELOW", limit)
        assert check_records(files).num_checked == checked


def test_a_mask_is_looked_for_until_one_is_found(tmp_path):
    mask = encode_mask(np.zeros((4, 4), np.uint8))
    masked = encode_example(Example(png(4, 4), "1", [], [], 4, 4, mask=Mask(mask)), {})
    files = [shard(tmp_path / "a", [one_box()]), shard(tmp_path / "b", [one_box(), masked])]
    for every_record in (True, False):
        check_records(files, every_record=every_record).check_masks("data.train_records")
        without = check_records(files[:1], every_record=every_record)
        with pytest.raises(UserError, match="no record of data.train_records has a mask"):
            without.check_masks("data.train_records")


def test_a_shard_is_opened_twice_before_the_first_step(tmp_path):
    """For the lengths of its records and for what they hold; six times before they were kept."""
    labels = {1: "disc", 2: "square", 3: "triangle"}
    files = write_records(SyntheticSet(8, 32), str(tmp_path / "r"), 4).shards
    overrides = [
        "model.image_size=64",
        "data.batch_size=2",
        "model.heads=[detection, segmentation]",
    ]
    overrides += [f"data.train_records={tmp_path}/r-*", f"model.labels={labels}"]
    config = load_config(overrides=overrides)
    libc = ctypes.CDLL(None, use_errno=True)
    watch = libc.inotify_init1(os.O_NONBLOCK)
    assert libc.inotify_add_watch(watch, str(tmp_path).encode(), 0x20) > 0  # IN_OPEN
    records = checked_records(config, "train_records")
    for host in range(2):
        context = tf.distribute.InputContext(2, host, 2)
        make_train_dataset(config, records, context, skip_steps=3)
    opened, events = Counter(), os.read(watch, 1 << 16)
    os.close(watch)
    while events:
        size = 16 + struct.unpack_from("I", events, 12)[0]
        opened[events[16:size].rstrip(b"\0").decode()] += 1
        events = events[size:]
    opened.pop("", None)  # the folder itself, for the glob
    assert {os.path.basename(file): 2 for file in files} == opened


def test_counting_reads_the_lengths_of_records_and_not_their_images(tmp_path):
    path = str(tmp_path / "large.tfrecord")
    with tf.io.TFRecordWriter(path) as writer:
        for _ in range(20):
            writer.write(bytes(100_000))

    def bytes_read():
        text = pathlib.Path("/proc/self/io").read_text()
        return int(re.search(r"rchar: (\d+)", text)[1])

    before = bytes_read()
    assert count_records([path]).num_records == 20
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
        (one_box(image__height=[8.0]), "has float_list in image/height, which takes int64_list"),
        (one_box(image__width=[20, 20]), "its image/width has another type or number"),
        (UNKNOWN_FIELD, "not a tf.Example that TensorFlow parses \\(it is no whole message"),
    ],
    # The bytes of a map differ from process to process, and would be the test's name.
    ids=[
        "garbage",
        "other features",
        "classes",
        "floats",
        "areas",
        "class id",
        "float height",
        "two widths",
        "unknown field",
    ],
)
def test_another_schema_is_refused_in_words(tmp_path, record, words):
    file = shard(tmp_path / "odd.tfrecord", [record])
    with pytest.raises(UserError, match=rf"odd.tfrecord, record 0.*{words}"):
        check_records([file], [1, 7])


def test_a_fault_in_a_later_record_is_found_when_all_are_read(tmp_path):
    file = shard(tmp_path / "late.tfrecord", [one_box(), tf_example(image=[b"x"])])
    check_records([file], every_record=False)
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
    assert count_records([str(tmp_path / "none.tfrecord")]).num_records == 0
    assert check_records([str(tmp_path / "none.tfrecord")]).num_records == 0


def packed_shard(path, records) -> str:
    with tf.io.TFRecordWriter(str(path), "GZIP") as writer:
        for record in records:
            writer.write(record)
    return str(path)


def test_shards_of_gzip_are_read_beside_plain_ones(tmp_path):
    files = [
        packed_shard(tmp_path / "a.tfrecord.gz", [one_box(), one_box()]),
        shard(tmp_path / "b.tfrecord", [one_box()]),
    ]
    checked = check_records(files, [7])
    assert (checked.counts, checked.num_checked, set(checked.class_names)) == ([2, 1], 3, {7})
    assert len(list(open_records(files))) == 3
    numbers = tf.data.Dataset.range(2)
    ids = [
        e["image_id"] for e in numbers.flat_map(lambda k: read_file(files, k)).as_numpy_iterator()
    ]
    assert ids == [0, 1, 2**32]


def test_what_is_packed_otherwise_or_cut_off_or_goes_by_another_name_is_a_sentence(tmp_path):
    # Of equal bytes nothing would be left to cut.
    noise = np.random.default_rng(0).bytes(2000)
    whole = packed_shard(tmp_path / "a.tfrecord.gz", [one_box(image__object__noise=[noise])] * 3)
    data = pathlib.Path(whole).read_bytes()
    pathlib.Path(whole).write_bytes(data[:-9])
    for function in (count_records, lambda files: list(read_records(files[0]))):
        with pytest.raises(UserError, match=r"a\.tfrecord\.gz is (not a TFRecord|cut off)"):
            function([whole])
    for effort in range(10):
        zipped = tmp_path / f"z{effort}.tfrecord"
        zipped.write_bytes(zlib.compress(gzip.decompress(data), effort))
        with pytest.raises(UserError, match=r"tfrecord is compressed by ZLIB, which is not read"):
            check_records([str(zipped)])
    named_plain = tmp_path / "b.tfrecord"
    named_plain.write_bytes(data)
    with pytest.raises(UserError, match=r"b\.tfrecord is compressed by GZIP; rename it to .*\.gz"):
        check_records([str(named_plain)])
