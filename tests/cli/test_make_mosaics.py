"""The tool: every pixel and box of the given pictures is where it belongs, and none is lost."""

import numpy as np
import pytest
import tensorflow as tf

from edet.cli.common import call, parsed
from edet.cli.make_mosaics import define_flags, make_mosaics
from edet.image.decode import decode_image
from edet.input.ground_truth import read_ground_truth
from edet.records.schema import Example, encode_example, parse_example
from tests.pictures import encoded

LABELS = {3: "cat", 8: "dog"}


def picture(number: int, height: int = 40, width: int = 60) -> Example:
    """All pixels are 10 * number; a box of 4 x 6 pixels at [number, 2], and a crowd on number 2."""
    return Example(
        encoded(np.full((height, width, 3), 10 * number, np.uint8)), f"{number}",
        [[number, 2, number + 4, 8]], [8 if number % 2 else 3],
        height, width, is_crowd=[number == 2], areas=[20 + number],
    )  # fmt: skip


@pytest.fixture
def tool(tmp_path):
    (tmp_path / "labels.yaml").write_text("3: cat\n8: dog\n")

    def run(examples, *arguments: str) -> int:
        with tf.io.TFRecordWriter(str(tmp_path / "in.tfrecord")) as writer:
            for example in examples:
                writer.write(encode_example(example, LABELS, "png"))
        places = (f"--records={tmp_path}/in.tfrecord", f"--labels={tmp_path}/labels.yaml")
        flags = parsed(define_flags, [*places, f"--output={tmp_path}/out", *arguments])
        return call(make_mosaics, flags, [])

    return run


def test_four_pictures_become_one_with_all_their_pixels_and_boxes(tool, tmp_path, capsys):
    assert tool([picture(number) for number in range(6)]) == 0
    assert "1 pictures with 4.0 boxes each" in capsys.readouterr().out
    (truth,) = read_ground_truth([f"{tmp_path}/out-00000-of-00001.tfrecord"])
    assert (truth.height, truth.width) == (80, 120)
    corners = [[0, 2], [1, 62], [42, 2], [43, 62]]  # of the pictures' own, moved by 40 and 60
    np.testing.assert_allclose(truth.boxes, [[y, x, y + 4, x + 6] for y, x in corners], rtol=1e-5)
    assert truth.class_ids.tolist() == [3, 8, 3, 8]
    assert truth.is_crowd.tolist() == [False, False, True, False]
    assert truth.areas.tolist() == [20, 21, 22, 23]
    (record,) = tf.data.TFRecordDataset(f"{tmp_path}/out-00000-of-00001.tfrecord")
    image = decode_image(parse_example(record)["encoded"]).numpy()
    expected = np.array([[0, 10], [20, 30]], np.uint8).repeat(40, 0).repeat(60, 1)
    np.testing.assert_array_equal(image, np.stack([expected] * 3, -1))


def test_pictures_of_other_sizes_are_put_with_their_like_and_counted(tool, tmp_path, capsys):
    examples = [picture(k, 40 + 10 * (k % 2)) for k in range(9)]
    assert tool(examples) == 0
    assert "1 pictures are left over" in capsys.readouterr().out
    truths = read_ground_truth([f"{tmp_path}/out-00000-of-00001.tfrecord"])
    assert [(truth.height, truth.width) for truth in truths] == [(80, 120), (100, 120)]


def test_too_few_pictures_are_a_sentence(tool, capsys):
    assert tool([picture(k) for k in range(5)], "--side=3") == 2
    assert "no 9 of its 5 pictures have the same size" in capsys.readouterr().err


def test_pictures_of_16_bits_become_what_training_sees(tool, tmp_path):
    image = tf.io.encode_png(tf.fill([40, 60, 1], tf.constant(4095, tf.uint16))).numpy()
    bright = Example(image, "1", [[1, 2, 5, 8]], [3], 40, 60)
    assert tool([bright] * 4, "--white_level=4095") == 0
    (written,) = tmp_path.glob("out-*.tfrecord")
    record = parse_example(next(iter(tf.data.TFRecordDataset(str(written)))))
    assert (decode_image(record["encoded"]).numpy() == 255).all()


def test_the_records_that_are_read_are_not_written_over(tool, tmp_path, capsys):
    (tmp_path / "out-00000-of-00001.tfrecord").write_bytes(b"")
    assert tool([picture(k) for k in range(4)], f"--records={tmp_path}/*.tfrecord") == 2
    assert "would replace" in capsys.readouterr().err


def test_a_damaged_picture_is_named(tool, capsys):
    broken = Example(b"\x89PNG\r\n\x1a\nno", "seven", [], [], 40, 60)
    assert tool([picture(1), broken]) == 2
    assert "image seven of --records" in capsys.readouterr().err
