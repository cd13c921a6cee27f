"""Names, ground truth and undecodable images, from the records."""

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from edet.errors import UserError
from edet.input.ground_truth import describe_images, find_undecodable, read_ground_truth
from edet.records.schema import Example, encode_example
from tests.pictures import encoded


def png(height, width):
    return encoded(Image.new("RGB", (width, height)))


def record(name, boxes, image=None, size=(20, 30), **others):
    example = Example(
        image=png(*size) if image is None else image,
        source_id=name,
        boxes=np.array(boxes, np.float32),
        class_ids=np.arange(1, len(boxes) + 1),
        height=size[0],
        width=size[1],
        **others,
    )
    return encode_example(example, {})


def without_size(serialized):
    example = tf.train.Example.FromString(serialized)
    for key in ("image/height", "image/width"):
        del example.features.feature[key]
    return example.SerializeToString()


@pytest.fixture
def files(tmp_path):
    """Two shards with four records; the second and the third hold no image."""
    many = [[0, 0, 1 + k / 10, 2] for k in range(150)]
    shards = [
        [record("a", [[2, 3, 10, 30], [1, 1, 2, 2]]), record("b", [], image=b"<html>")],
        [record("c", many, image=png(20, 30)[:-20]), without_size(record("d", [[5, 6, 7, 8]]))],
    ]
    paths = [str(tmp_path / f"{i}.tfrecord") for i in range(2)]
    for path, records in zip(paths, shards, strict=True):
        with tf.io.TFRecordWriter(path) as writer:
            for serialized in records:
                writer.write(serialized)
    return paths


def test_ground_truth_is_whole_in_order_and_in_original_pixels(files):
    truth = read_ground_truth(files)
    assert [t.source_id for t in truth] == ["a", "b", "c", "d"]
    np.testing.assert_allclose(truth[0].boxes, [[2, 3, 10, 30], [1, 1, 2, 2]], atol=1e-5)
    np.testing.assert_allclose(truth[0].areas, [8 * 27, 1], rtol=1e-5)
    np.testing.assert_array_equal(truth[0].class_ids, [1, 2])
    assert not truth[0].is_crowd.any()
    assert truth[1].boxes.shape == (0, 4)
    assert len(truth[2].boxes) == 150  # not cut to data.max_boxes
    # The size of the last record comes from its pixels.
    assert (truth[3].height, truth[3].width) == (20, 30)
    np.testing.assert_allclose(truth[3].boxes, [[5, 6, 7, 8]], atol=1e-5)


@pytest.mark.parametrize("kind", ["png", "jpeg"])
def test_boxes_are_in_pixels_of_the_picture_whatever_size_the_record_says(tmp_path, kind):
    """Others write the size that was annotated, of pictures that were halved since."""
    image = encoded(Image.new("RGB", (30, 20)), kind)
    exif = Image.Exif()
    exif[0x0112] = 6
    turned = encoded(Image.new("RGB", (20, 30)), kind, exif=exif)  # 20x30 in the file
    records = [
        record("halved", [[4, 6, 20, 60]], image, size=(40, 60)),
        record("sides exchanged", [[3, 2, 15, 20]], image, size=(30, 20)),
        record("turned", [[2, 3, 10, 30]], turned, size=(20, 30)),
        record("stored", [[3, 2, 30, 10]], turned, size=(30, 20)),
    ]
    with tf.io.TFRecordWriter(str(tmp_path / "r")) as writer:
        for one in records:
            writer.write(one)
    truth = read_ground_truth([str(tmp_path / "r")])
    assert [(t.height, t.width) for t in truth] == [(20, 30)] * 3 + [(30, 20)]
    for one in truth[:3]:
        np.testing.assert_allclose(one.boxes, [[2, 3, 10, 30]], atol=1e-5)
        np.testing.assert_allclose(one.areas, [8 * 27], rtol=1e-5)


def test_ground_truth_of_a_damaged_file_is_an_error_that_names_it(files):
    with open(files[1], "rb+") as shard:
        shard.truncate(60)
    with pytest.raises(UserError, match=r"1\.tfrecord is .*cut off or damaged"):
        read_ground_truth(files)


def test_an_image_without_size_and_pixels_is_an_error_that_names_it(files):
    with tf.io.TFRecordWriter(files[0]) as writer:
        writer.write(without_size(record("e", [[1, 2, 3, 4]], image=b"<html>")))
    with pytest.raises(UserError, match=r"^image e \(record 0 of .*\) cannot be decoded"):
        read_ground_truth(files[:1])


def test_undecodable_images_are_listed_with_the_decoders_words(files):
    found = find_undecodable(files)
    assert [(f.file, f.record, f.source_id) for f in found] == [
        (files[0], 1, "b"),
        (files[1], 0, "c"),
    ]
    assert found[0].reason.startswith("Unknown image file format.")
    assert found[1].reason.startswith("Invalid PNG data")
    assert not any("{{" in f.reason or "[Op" in f.reason for f in found)


def test_images_of_a_batch_are_named(files):
    assert describe_images(files, np.array([2**32 + 1, 0])) == [
        f"image d (record 1 of {files[1]})",
        f"image a (record 0 of {files[0]})",
    ]
