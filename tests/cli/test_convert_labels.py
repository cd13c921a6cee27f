"""The tool: records and detections become files of annotation tools, and mistakes a sentence."""

import io
import json
import os
import re

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from edet.cli.common import call, parsed
from edet.cli.convert_labels import convert, define_flags
from edet.ownership import owned
from edet.records.schema import Example, encode_example

LABELS = {3: "cat", 8: "dog"}


def jpeg(orientation=1):
    """20 x 30 as stored."""
    stream, exif = io.BytesIO(), Image.Exif()
    exif[0x0112] = orientation
    Image.new("RGB", (30, 20), "red").save(stream, "JPEG", exif=exif)
    return stream.getvalue()


def record(number, image=None, size=(20, 30), **others):
    box = [[number, 2, number + 4, 8]]
    example = Example(image or jpeg(), f"{number}", box, [8 if number % 2 else 3], *size,
                      filename=f"{number}.jpg", **others)  # fmt: skip
    return encode_example(example, LABELS)


@pytest.fixture
def tool(tmp_path):
    with tf.io.TFRecordWriter(str(tmp_path / "in.tfrecord")) as writer:
        for number in range(3):
            writer.write(record(number))

    def run(*arguments, records=True, to="coco"):
        given = [f"--records={tmp_path}/in.tfrecord"] if records else []
        options = [*given, f"--to={to}", f"--output={tmp_path}/out", *arguments]
        return call(convert, parsed(define_flags, options), [])

    return run


@pytest.fixture
def instances(tmp_path):
    return lambda: json.loads((tmp_path / "out/annotations/instances_train.json").read_text())


def test_records_are_written_with_the_bytes_and_names_that_they_hold(
    tool, instances, tmp_path, capsys
):
    assert tool() == 0
    assert "3 pictures with 3 objects are in" in capsys.readouterr().out
    data = instances()
    assert data["categories"] == [{"id": 3, "name": "cat"}, {"id": 8, "name": "dog"}]
    assert [(image["id"], image["file_name"]) for image in data["images"]] == [
        (0, "0.jpg"), (1, "1.jpg"), (2, "2.jpg"),
    ]  # fmt: skip
    np.testing.assert_allclose(data["annotations"][1]["bbox"], [2, 1, 6, 4])
    assert (tmp_path / "out/images/train/2.jpg").read_bytes() == jpeg()


def test_without_pictures_there_are_labels_alone(tool, tmp_path):
    assert tool("--nopictures", to="yolo") == 0
    names = sorted(path.name for path in (tmp_path / "out").rglob("*") if path.is_file())
    assert names == ["0.txt", "1.txt", "2.txt", "data.yaml"]


def test_photos_are_written_upright_where_their_boxes_are(tool, instances, tmp_path):
    """A record of another writer, whose boxes are of the photo as shown: 30 high and 20 wide."""
    with tf.io.TFRecordWriter(str(tmp_path / "in.tfrecord")) as writer:
        writer.write(record(5, jpeg(6), (30, 20)))
        writer.write(record(6, jpeg(6), (20, 30)))  # and one of the pixels as stored
        writer.write(record(7, jpeg(6), (-1, -1)))
    assert tool() == 0
    for image, size in zip(instances()["images"], [(20, 30), (30, 20), (20, 30)], strict=True):
        assert (image["width"], image["height"]) == size
        with Image.open(tmp_path / "out/images/train" / image["file_name"]) as picture:
            assert picture.size == size
            assert not picture.getexif().get(0x0112)


def test_boxes_are_of_the_picture_that_is_written_whatever_size_the_record_says(
    tool, instances, tmp_path
):
    """Annotated at 40x60, and halved since."""
    with tf.io.TFRecordWriter(str(tmp_path / "in.tfrecord")) as writer:
        writer.write(record(4, size=(40, 60)))
    assert tool() == 0
    (image,), (thing,) = instances()["images"], instances()["annotations"]
    assert (image["width"], image["height"]) == (30, 20)
    np.testing.assert_allclose([*thing["bbox"], thing["area"]], [1, 2, 3, 2, 6], rtol=1e-5)


def results(tmp_path, entries, name="detections.json"):
    path = tmp_path / name
    lines = [json.dumps(entry) for entry in entries]
    path.write_text("\n".join(lines) if name.endswith("l") else f"[{','.join(lines)}]")
    return f"--detections={path}"


def found(score=0.9, category_id=8, **where):
    return {**where, "category_id": category_id, "bbox": [1, 2, 3.5, 4], "score": score}


def test_detections_of_an_evaluation_take_the_place_of_the_boxes(tool, instances, tmp_path, capsys):
    entries = [found(image_id=1), found(0.2, image_id=2), found(0.8, 3, image_id=1)]
    entries.append(found(image_id=99))
    assert tool(results(tmp_path, entries), "--min_score=0.5") == 0
    data = instances()
    assert len(data["images"]) == 3
    boxes = [(a["image_id"], a["category_id"], a["bbox"]) for a in data["annotations"]]
    assert boxes == [(1, 8, [1, 2, 3.5, 4]), (1, 3, [1, 2, 3.5, 4])]
    assert "of 1 pictures that the records do not hold are left out, first 99" in (
        capsys.readouterr().out
    )


@pytest.fixture
def street(tmp_path):
    """A photo lying on its side, as phones store it."""
    path = tmp_path / "street.jpg"
    path.write_bytes(jpeg(6))
    return str(path)


def test_a_prediction_brings_its_pictures_upright_and_those_without_detections(
    tool, instances, tmp_path, street, capsys
):
    empty = tmp_path / "empty.png"
    Image.new("RGB", (9, 7)).save(empty)
    entries = [
        {"file": street, "height": 30, "width": 20, "detections": [found(category="dog")]},
        {"file": str(empty), "height": 7, "width": 9, "detections": []},
        {"file": "clip.mp4", "height": 7, "width": 9, "frames": 8},
        {"file": f"{tmp_path}/gone.jpg", "height": 7, "width": 9, "detections": []},
    ]
    assert tool(results(tmp_path, entries, "predictions.json"), records=False) == 0
    data = instances()
    assert [(i["file_name"], i["width"]) for i in data["images"]] == [
        ("street.jpg", 20), ("empty.png", 9),
    ]  # fmt: skip
    assert data["categories"] == [{"id": 8, "name": "dog"}]
    assert [a["bbox"] for a in data["annotations"]] == [[1, 2, 3.5, 4]]
    printed = capsys.readouterr().out
    assert "1 entries of videos are left out" in printed
    assert "gone.jpg is left out: " in printed


def test_lines_of_a_prediction_need_the_names_of_the_classes(tool, tmp_path, street, capsys):
    lines = [found(file_name=street), found(file_name="clip.mp4", frame=3)]
    detections = results(tmp_path, lines, "detections.jsonl")
    assert tool(detections, records=False, to="voc") == 2
    assert "class 8 has no name; give --labels" in capsys.readouterr().err
    (tmp_path / "labels.yaml").write_text("3: cat\n8: dog\n9: ''\n")
    assert tool(detections, f"--labels={tmp_path}/labels.yaml", records=False, to="voc") == 0
    assert "<name>dog</name>" in (tmp_path / "out/Annotations/street.xml").read_text()


def test_a_line_ends_at_its_newline_whatever_the_name_of_a_picture_has_in_it(
    tool, instances, tmp_path
):
    """Unicode has other ends of lines, which may stand in a name and in JSON as they are."""
    path = f"{tmp_path}/a\u2028b.png"
    Image.new("RGB", (20, 30)).save(path)
    line = json.dumps(found(file_name=path, category="dog"), ensure_ascii=False)
    (tmp_path / "detections.jsonl").write_text(f"{line}\n", "utf-8")
    assert tool(f"--detections={tmp_path}/detections.jsonl", records=False) == 0
    assert [i["file_name"] for i in instances()["images"]] == ["a\u2028b.png"]


def test_boxes_beyond_a_picture_end_at_its_border(tool, instances, tmp_path, street):
    beyond = {**found(file_name=street), "bbox": [15, -5, 10, 20]}
    outside = {**found(file_name=street), "bbox": [21, 0, 10, 10]}
    labels = tmp_path / "labels.yaml"
    labels.write_text("8: dog\n")
    detections = results(tmp_path, [beyond, outside])
    assert tool(detections, f"--labels={labels}", records=False) == 0
    assert [a["bbox"] for a in instances()["annotations"]] == [[15, 0, 5, 15]]


@pytest.mark.parametrize(
    ("entries", "words"),
    [
        ([{"image_id": 77}], "entry 0 of detections has no category_id"),
        ([found(image_id=77)], "none of the pictures of .*, such as 77, is in --records="),
        ([found(file_name="a.jpg")], "entry 0 of detections has no image_id"),
        ([found(image_id=1, category_id=5)], "class 5 has no name; give --labels"),
        ([5], "is no list of results"),
        ([{**found(image_id=1), "bbox": [1, 2]}], "bbox must be"),
    ],
)
def test_detections_that_do_not_fit_are_a_sentence(tool, tmp_path, capsys, entries, words):
    assert tool(results(tmp_path, entries)) == 2
    message = capsys.readouterr().err
    assert re.search(words, message), message
    assert message.count("\n") == 1
    assert not (tmp_path / "out").exists()


def test_other_mistakes_are_a_sentence_too(tool, tmp_path, capsys):
    def message(*arguments, **others):
        assert tool(*arguments, **others) == 2
        return capsys.readouterr().err

    assert "needs --records, or --detections" in message(records=False)
    assert "--min_score means nothing without --detections" in message("--min_score=0.5")
    assert "names no files of pictures; give the --records" in message(
        results(tmp_path, [found(image_id=1)]), records=False
    )
    (tmp_path / "lines.jsonl").write_text('{"image_id": 1\n')
    assert "line 1 of detections" in message(f"--detections={tmp_path}/lines.jsonl")
    (tmp_path / "labels.yaml").write_text("3: cat\n")
    assert "class 8 has no name in --labels=" in message(f"--labels={tmp_path}/labels.yaml")
    gone = {"file": f"{tmp_path}/gone.jpg", "height": 7, "width": 9, "detections": []}
    assert "no picture of the detections can be read; the first: " in message(
        results(tmp_path, [gone]), records=False
    )


def test_a_damaged_picture_of_the_records_is_named(tool, tmp_path, capsys):
    with tf.io.TFRecordWriter(str(tmp_path / "in.tfrecord")) as writer:
        writer.write(record(4, b"\xff\xd8\xff and no JPEG"))
    assert tool() == 2
    assert re.search("image 4 of the records .*; write it again", capsys.readouterr().err)


def test_a_second_conversion_into_the_same_folder_is_refused(tool, tmp_path, capsys):
    out = str(tmp_path / "out")
    with owned(os.path.join(out, "convert.lock"), out, "a conversion", "wait"):
        assert tool() == 2
    assert "out is being written by a conversion already: this process" in capsys.readouterr().err
    assert os.listdir(out) == []


def test_a_class_of_two_names_is_told(tool, tmp_path, capsys):
    with tf.io.TFRecordWriter(str(tmp_path / "in.tfrecord")) as writer:
        writer.write(record(0))
        writer.write(encode_example(Example(jpeg(), "9", [[1, 1, 2, 2]], [3], 20, 30), {3: "lion"}))
    assert tool() == 2
    assert "class 3 is called 'cat' and 'lion'; give --labels" in capsys.readouterr().err
