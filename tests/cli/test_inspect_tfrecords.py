"""The tool: pictures with boxes, and figures that can be counted by hand."""

import json

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from edet.cli.common import call, parsed
from edet.cli.inspect_tfrecords import define_flags, inspect
from edet.records.schema import Example, encode_example
from tests.pictures import encoded
from tests.records.small_records import one_box


def tool(*arguments: str) -> int:
    return call(inspect, parsed(define_flags, list(arguments)), [])


def example(boxes, class_ids, source_id, **others) -> Example:
    image = encoded(np.zeros((400, 600, 3), np.uint8))
    return Example(image, source_id, boxes, class_ids, 400, 600, **others)


@pytest.fixture
def records(tmp_path):
    labels = {3: "cat", 8: "dog"}
    examples = [
        # 20 x 30 is small (600 < 32^2), 50 x 90 medium, 100 x 200 large.
        example([[0, 0, 20, 30], [0, 0, 50, 90], [0, 0, 100, 200]], [3, 8, 3], "1"),
        example([], [], "2"),
        example([[10, 10, 400, 600]], [3], "3", is_crowd=[True]),
    ]
    path = str(tmp_path / "train-00000-of-00001.tfrecord")
    with tf.io.TFRecordWriter(path) as writer:
        for item in examples:
            writer.write(encode_example(item, labels, "png"))
    return path


def test_a_tilde_behind_an_equals_sign_is_the_home_folder(records, tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    assert tool("--records=~/train-*", "--output=~/out", "--num_samples=0") == 0
    assert (tmp_path / "out" / "summary.json").exists()


def test_figures_are_those_of_the_records(records, tmp_path, capsys):
    assert tool(f"--records={records}", f"--output={tmp_path}/out", "--num_samples=0") == 0
    summary = json.loads((tmp_path / "out/summary.json").read_text())
    assert (summary["images"], summary["images without boxes"], summary["boxes"]) == (3, 1, 4)
    assert (summary["crowd boxes"], summary["most boxes in an image"]) == (1, 3)
    assert summary["classes"] == [
        {"id": 3, "name": "cat", "boxes": 3, "images": 2},
        {"id": 8, "name": "dog", "boxes": 1, "images": 1},
    ]
    assert summary["areas"] == {"small": 1, "medium": 1, "large": 2}
    heights = {name: count for name, count in summary["heights"].items() if count}
    widths = {name: count for name, count in summary["widths"].items() if count}
    assert heights == {"16-32": 1, "32-64": 1, "64-128": 1, "256-512": 1}
    assert widths == {"16-32": 1, "64-128": 1, "128-256": 1, "512-1024": 1}
    printed = capsys.readouterr().out
    assert "medium" in printed
    assert not list((tmp_path / "out").glob("*.png"))


def test_samples_are_drawn_with_their_boxes(records, tmp_path):
    assert tool(f"--records={records}", f"--output={tmp_path}/out", "--num_samples=99") == 0
    pictures = sorted((tmp_path / "out").glob("*.png"))
    assert [path.name for path in pictures] == ["000000.png", "000001.png", "000002.png"]
    drawn, empty, crowd = (np.asarray(Image.open(path)) for path in pictures)
    assert drawn.shape == (400, 600, 3)
    assert drawn[99, 100].any()  # the lower edge of the large box
    assert not drawn[200:].any()
    assert not empty.any()
    assert crowd[398, 300].any()


def test_pictures_are_drawn_as_training_sees_them(tmp_path):
    """One is annotated on its stored pixels, one is a camera's of 12 bits."""
    exif = Image.Exif()
    exif[0x0112] = 6
    turned = encoded(Image.new("RGB", (32, 24)), "JPEG", exif=exif)
    bright = tf.io.encode_png(tf.fill([24, 32, 1], tf.constant(4095, tf.uint16))).numpy()
    with tf.io.TFRecordWriter(f"{tmp_path}/r") as writer:
        for image in (turned, bright):
            writer.write(encode_example(Example(image, "a", [], [], 24, 32), {}))
    arguments = (f"--records={tmp_path}/r", f"--output={tmp_path}", "--white_level=4095")
    assert tool(*arguments) == 0
    shown, white = (np.asarray(Image.open(tmp_path / f"00000{k}.png")) for k in (0, 1))
    assert shown.shape == (240, 320, 3) and (white == 255).all()  # small ones are enlarged


def test_the_seed_chooses_the_samples(records, tmp_path):
    def chosen(seed):
        folder = tmp_path / f"out{seed}"
        tool(f"--records={records}", f"--output={folder}", "--num_samples=1", f"--seed={seed}")
        (picture,) = folder.glob("*.png")
        return picture.name

    assert len({chosen(seed) for seed in range(6)}) > 1


def test_given_labels_name_the_classes(records, tmp_path):
    (tmp_path / "names.yaml").write_text("3: lion\n5: ant\n8: wolf\n")
    labels = f"--labels={tmp_path}/names.yaml"
    assert tool(f"--records={records}", f"--output={tmp_path}/out", labels) == 0
    rows = json.loads((tmp_path / "out/summary.json").read_text())["classes"]
    assert [(row["name"], row["boxes"]) for row in rows] == [("lion", 3), ("ant", 0), ("wolf", 1)]


def test_a_later_record_of_another_schema_is_named(tmp_path, capsys):
    with tf.io.TFRecordWriter(str(tmp_path / "r")) as writer:
        writer.write(encode_example(example([], [], "a"), {}, "png"))
        writer.write(one_box(image__height=[8.0]))
    assert tool(f"--records={tmp_path}/r", f"--output={tmp_path}/out") == 2
    assert (
        "r, record 1 has float_list in image/height, which takes int64_list"
        in capsys.readouterr().err
    )


def test_mistakes_are_one_sentence_and_exit_code_2(tmp_path, capsys):
    empty = tmp_path / "none.tfrecord"
    empty.write_bytes(b"")
    other = tmp_path / "other.tfrecord"
    other.write_bytes(b"x" * 99)
    for records, words in (
        ("nothing-*", "matches no file"),
        (empty, "holds no record"),
        (other, "other.tfrecord is not a TFRecord file"),
    ):
        assert tool(f"--records={records}", f"--output={tmp_path}/out") == 2
        message = capsys.readouterr().err
        assert words in message
        assert message.count("\n") == 1
