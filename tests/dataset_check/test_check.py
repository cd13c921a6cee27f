"""The check of records: each broken one is listed with its image, and none ends the check."""

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from edet.dataset_check.check import read_image, read_set
from edet.errors import UserError
from edet.records.masks import encode_mask
from edet.records.schema import Example, Mask, encode_example
from tests.pictures import encoded
from tests.records.small_records import UNKNOWN_FIELD

LABELS = {1: "cat", 2: "dog", 3: ""}
SIZE = (20, 30)


def png(color=0, size=SIZE):
    return encoded(Image.new("RGB", size[::-1], (color, color, color)))


def record(source_id, boxes=(), class_ids=None, image=None, size=SIZE, **others):
    boxes = np.array(boxes, np.float32).reshape(-1, 4)
    ids = np.ones(len(boxes)) if class_ids is None else class_ids
    example = Example(image or png(), source_id, boxes, ids, *size, **others)
    return encode_example(example, LABELS, "png")


def write(path, *records):
    with tf.io.TFRecordWriter(str(path)) as writer:
        for serialized in records:
            writer.write(serialized)
    return str(path)


def check(*files):
    return read_set(list(files), LABELS, "data.train_records")


def only_problem(path, *records):
    (problem,) = check(write(path, *records)).tally.problems
    return problem


def test_good_records_are_read_in_order_with_boxes_in_pixels(tmp_path):
    first = write(tmp_path / "0", *(record(f"{i}", [[1, 2, 3, 4]]) for i in range(70)))
    second = write(tmp_path / "1", record("last", [[5, 6, 7, 8]], [2]))
    found = check(first, second)
    assert [image.source_id for image in found.images] == [*map(str, range(70)), "last"]
    assert found.tally.problems == []
    last = found.images[-1]
    assert (last.height, last.width, last.file, last.record) == (*SIZE, second, 0)
    np.testing.assert_allclose(last.boxes, [[5, 6, 7, 8]], rtol=1e-6)
    assert found.class_names == {1: {"cat"}, 2: {"dog"}}


def test_an_undecodable_image_is_listed_and_the_others_are_read(tmp_path):
    file = write(tmp_path / "f", record("a"), record("b", image=png()[:-20]), record("c"))
    found = check(file)
    assert [image.source_id for image in found.images] == ["a", "c"]
    (problem,) = found.tally.problems
    assert problem["file"] == f"image b (record 1 of {file})"
    assert problem["what"] == "undecodable image"
    assert problem["detail"].startswith("Invalid PNG data")


@pytest.mark.parametrize(
    ("box", "class_id", "what"),
    [
        ([1, 2, 3, 4], 7, "box of a class not in model.labels"),
        ([1, 2, 3, 4], 3, "box of a class not in model.labels"),  # its name is empty
        ([5, 2, 5, 4], 1, "box without area"),
        ([5, 4, 9, 2], 1, "box without area"),
        ([1, 2, 23, 4], 1, "box outside of the image"),
        ([-3, 2, 3, 4], 1, "box outside of the image"),
        ([np.nan, 2, 3, 4], 1, "box that is not finite"),
    ],
)
def test_a_bad_box_is_listed_with_its_image_and_number(tmp_path, box, class_id, what):
    good = [1, 1, 9, 9]
    problem = only_problem(tmp_path / "f", record("a", [good, box, box], [1, class_id, class_id]))
    assert problem["file"] == f"image a (record 0 of {tmp_path}/f)"
    assert (problem["what"], problem["boxes"]) == (what, 2)
    assert problem["detail"].startswith(f"box 1: class {class_id}, [ymin, xmin, ymax, xmax] = [")
    assert problem["detail"].endswith("in 20 x 30 pixels")


def test_the_same_box_twice_is_listed_and_one_of_another_class_or_corner_is_not(tmp_path):
    box, other = [1, 2, 13, 14], [1, 2, 13, 15]
    file = write(
        tmp_path / "f", record("a", [box, other, box, box, box], [1, 1, 1, 2, 1]),
        record("b", [box, other], [1, 1]),
    )  # fmt: skip
    (problem,) = check(file).tally.problems
    assert (problem["what"], problem["boxes"]) == ("the same box twice", 2)
    assert problem["file"].startswith("image a (")
    assert problem["detail"].startswith(
        "box 2: class 1, [ymin, xmin, ymax, xmax] = [1.0, 2.0, 13.0"
    )


def photo(orientation, size=SIZE):
    """A JPEG whose EXIF says how to turn it, as cameras write it."""
    exif = Image.Exif()
    exif[0x0112] = orientation
    return encoded(Image.new("RGB", size[::-1]), "JPEG", exif=exif)


@pytest.mark.parametrize(
    ("orientation", "size", "told"),
    [
        *((turned, SIZE, turned) for turned in (2, 3, 4)),
        (1, SIZE, 1),
        (6, SIZE, 1),  # the record has the stored size, so its boxes are of the stored pixels
        (6, (20, 20), 6),  # the same either way
    ],
)
def test_an_orientation_is_kept_where_the_size_does_not_tell_of_which_pixels_boxes_are(
    tmp_path, orientation, size, told
):
    file = write(tmp_path / "f", record("a", image=photo(orientation, size), size=size))
    assert check(file).images[0].orientation == told


def test_an_orientation_that_was_undone_when_the_record_was_written_is_kept(tmp_path):
    example = tf.train.Example.FromString(record("a"))
    example.features.feature["image/orientation"].int64_list.value.append(3)
    file = write(tmp_path / "f", example.SerializeToString())
    assert check(file).images[0].orientation == 3


def test_two_pixels_beyond_the_border_are_rounding(tmp_path):
    assert check(write(tmp_path / "f", record("a", [[-2, -2, 22, 32]]))).tally.problems == []


def test_a_size_other_than_that_of_the_pixels_is_listed(tmp_path):
    problem = only_problem(tmp_path / "f", record("a", size=(40, 60)))
    assert problem["what"] == "image of another size than recorded"
    assert problem["detail"] == "the record says 60x40, the pixels are 30x20"


def test_a_record_of_another_schema_is_listed(tmp_path):
    file = write(tmp_path / "f", b"nonsense", record("a"))
    found = check(file)
    assert [image.record for image in found.images] == [1]
    (problem,) = found.tally.problems
    assert problem["file"] == f"record 0 of {file}"
    assert "is not a tf.Example" in problem["detail"]


def test_a_field_of_another_type_is_listed_with_its_name(tmp_path):
    example = tf.train.Example.FromString(record("a"))
    example.features.feature["image/height"].float_list.value.append(20.0)
    problem = only_problem(tmp_path / "f", example.SerializeToString(), record("b"))
    assert problem["file"].startswith("image a (record 0 of ")
    assert problem["what"] == "record of another schema"
    assert "float_list in image/height, which takes int64_list" in problem["detail"]


def test_a_record_whose_error_quotes_bytes_is_listed(tmp_path):
    problem = only_problem(tmp_path / "f", UNKNOWN_FIELD, record("b"))
    assert "it is not a tf.Example that TensorFlow parses" in problem["detail"]


def test_a_cut_shard_is_listed_and_the_next_one_read(tmp_path):
    cut = write(tmp_path / "0", record("a"), record("b"))
    with open(cut, "rb+") as shard:
        shard.seek(0, 2)
        shard.truncate(shard.tell() - 9)
    found = check(cut, write(tmp_path / "1", record("c")))
    assert [image.source_id for image in found.images] == ["a", "c"]
    (problem,) = found.tally.problems
    assert (problem["file"], problem["what"]) == (cut, "damaged shard")
    assert "after 1 good records" in problem["detail"]


def test_all_problems_are_listed(tmp_path):
    bad = [record(f"{i}", [[5, 5, 5, 5]]) for i in range(100)]
    assert len(check(write(tmp_path / "f", *bad)).tally.problems) == 100


def test_nothing_usable_is_an_error_that_gives_the_first_reason(tmp_path):
    file = write(tmp_path / "f", record("a", image=b"<html>"), b"nonsense")
    with pytest.raises(UserError, match=r"no image of data.train_records .* of 2 .* image a \("):
        check(file)
    with pytest.raises(UserError, match=r"no image of data.train_records .*\(no record\)"):
        check(write(tmp_path / "empty"))


def test_pixels_are_read_again_by_place(tmp_path):
    file = write(tmp_path / "f", *(record(f"{i}", image=png(i)) for i in range(3)))
    pixels = [read_image(image) for image in check(file).images]
    assert [array.shape for array in pixels] == [(20, 30, 3)] * 3
    assert [int(array.max()) for array in pixels] == [0, 1, 2]


def test_masks_are_decoded_and_their_values_compared_with_the_labels(tmp_path):
    def masked(name, pixels):
        return record(name, mask=Mask(encode_mask(np.array(pixels, np.uint8))))

    whole = np.zeros(SIZE)
    broken = record("broken", mask=Mask(b"no PNG"))
    unknown, small = whole.copy(), whole[:10]
    unknown[0, :3] = (7, 255, 9)
    file = write(
        tmp_path / "f", masked("good", whole), record("bare"), broken, masked("unknown", unknown),
        masked("small", small),
    )  # fmt: skip
    found = read_set([file], None, "data.train_records", {0: "ground", 1: "disc"})
    assert [image.has_mask for image in found.images] == [True, False, True, True, True]
    problems = {problem["file"].split()[1]: problem for problem in found.tally.problems}
    assert list(problems) == ["broken", "unknown", "small"]
    assert problems["broken"]["what"] == "unusable mask"
    assert problems["unknown"]["what"] == "mask with values not in model.segmentation.labels"
    assert problems["unknown"]["detail"] == "7, 9"
    assert problems["small"]["detail"] == "the mask has 30x10 pixels, the image 30x20"
    assert check(file).tally.problems == []  # who detects only does not care


def test_the_brightest_value_of_16_bit_pictures_is_kept_and_read_again(tmp_path):
    values = np.full(SIZE, 800, np.uint16)
    values[3, 4] = 3520
    found = check(write(tmp_path / "0", record("a", image=encoded(values)), record("b")))
    assert [image.brightest for image in found.images] == [3520, -1]
    assert read_image(found.images[0], 65535).max() == 13
    assert read_image(found.images[0], 4095).max() == 220
