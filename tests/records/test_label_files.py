"""Annotation files of three formats: records come back from them, and nothing is written over."""

import io
import json
import pathlib
import tempfile

import numpy as np
import pytest
import tensorflow as tf
import yaml
from defusedxml import ElementTree
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from edet.cli.common import call, parsed
from edet.cli.convert_labels import convert, define_flags
from edet.errors import UserError
from edet.records.label_files import write_labels
from edet.records.preparing import prepare_record
from edet.records.schema import Example, box_areas
from edet.records.sources.formats import open_folder

SIDES = ("ymin", "xmin", "ymax", "xmax")
LABELS = {1: "cat", 5: "traffic light", 44: "<dog & co>"}


def png(height=20, width=30, color=0):
    stream = io.BytesIO()
    Image.new("RGB", (width, height), (color, color, color)).save(stream, "PNG")
    return stream.getvalue()


def example(boxes=(), ids=None, name="a.png", size=(20, 30), **others):
    boxes = np.array(boxes, np.float32).reshape(-1, 4)
    ids = np.ones(len(boxes), np.int64) if ids is None else ids
    others = {"source_id": name.split(".")[0], "image": png(*size)} | others
    return Example(boxes=boxes, class_ids=ids, height=size[0], width=size[1], filename=name,
                   **others)  # fmt: skip


def write_records(path, examples, labels):
    with tf.io.TFRecordWriter(str(path)) as writer:
        for one in examples:
            record, tally = prepare_record(one, labels)
            assert not tally.problems
            writer.write(record)


def read_records(path):
    """Returns {encoded picture: what else its record holds}, boxes in pixels."""
    found = {}
    for record in tf.data.TFRecordDataset(str(path)).as_numpy_iterator():
        features = tf.train.Example.FromString(record).features.feature
        values = {
            key.removeprefix("image/"): list(getattr(value, value.WhichOneof("kind")).value)
            for key, value in features.items()
            if value.WhichOneof("kind")
        }
        height, width = values["height"] + values["width"]
        sides = [values.get(f"object/bbox/{side}", []) for side in SIDES]
        values["boxes"] = np.array(sides).T.reshape(-1, 4) * ([height, width] * 2)
        found[values["encoded"][0]] = values
    return found


@st.composite
def sets(draw):
    """A label map, from 0 or sparse, and pictures with boxes of it, crowds, areas of outlines."""
    names = draw(
        st.lists(st.text("aéß<&'\" -:#1", min_size=1).map(str.strip).filter(bool), min_size=1,
                 max_size=4, unique=True)
    )  # fmt: skip
    ids = draw(st.sampled_from([range(len(names)), range(1, 10, 2), (7, 3, 90, 12)]))
    labels = dict(sorted(zip(ids, names, strict=False)))
    pictures = []
    for number in range(draw(st.integers(1, 4))):
        size = draw(st.sampled_from([(8, 12), (33, 9), (100, 641)]))
        # One box for sure: a set whose boxes all are below a pixel is taken for shares.
        boxes, side = [[1, 1, 7, 7]], st.floats(0.01, 1)
        for _ in range(draw(st.integers(0, 3))):
            part, start = (np.array(draw(st.tuples(side, side))) for _ in range(2))
            low = (1 - part) * start
            boxes.append(np.concatenate([low, low + part]) * (size * 2))
        boxes = np.array(boxes, np.float32)[: draw(st.integers(0, 4)) if number else 4]
        n = len(boxes)
        pictures.append(
            example(
                boxes, draw(st.lists(st.sampled_from(list(labels)), min_size=n, max_size=n)),
                f"{draw(st.sampled_from(['5', 'a b.png', 'é.1.jpeg', '../x/a.png']))}", size,
                source_id=f"{10 * number}", image=png(*size, color=number),
                is_crowd=draw(st.lists(st.booleans(), min_size=n, max_size=n)),
                areas=np.prod(boxes[:, 2:] - boxes[:, :2], axis=1)
                * draw(st.sampled_from([1.0, 0.7])),
            )
        )  # fmt: skip
    return labels, pictures


@pytest.mark.parametrize("kind", ["coco", "yolo", "voc"])
@settings(max_examples=6, deadline=None)
@given(drawn=sets())
def test_records_come_back_as_they_were(kind, drawn):
    """To 1e-4 pixel, the rounding of the files; crowds and own areas from COCO alone."""
    labels, pictures = drawn
    with tempfile.TemporaryDirectory() as folder:
        root = pathlib.Path(folder)
        write_records(root / "before", pictures, labels)
        (root / "labels.yaml").write_text(yaml.safe_dump(labels, allow_unicode=True))
        arguments = [f"--records={root}/before", f"--labels={root}/labels.yaml", f"--to={kind}"]
        options = parsed(define_flags, [*arguments, f"--output={root}/out", "--split=val"])
        assert call(convert, options, []) == 0
        said = []
        again = open_folder(f"{root}/out", labels=labels, log=said.append)
        assert list(again) == ["val"]
        assert f"is a set of the format {kind}: val" in said[0]
        write_records(root / "after", again["val"].examples, labels)
        before, after = read_records(root / "before"), read_records(root / "after")
    assert set(after) == set(before)
    for picture, truth in before.items():
        back = after[picture]
        assert (back["height"], back["width"]) == (truth["height"], truth["width"])
        is_crowd = np.array(truth.get("object/is_crowd", []), bool)
        kept = np.full(len(is_crowd), True) if kind == "coco" else ~is_crowd
        np.testing.assert_allclose(back["boxes"], truth["boxes"][kept], rtol=0, atol=2e-4)
        for key in ("object/class/label", "object/class/text", "object/is_crowd"):
            of_each = zip(truth.get(key, []), kept, strict=True)
            assert back.get(key, []) == [value for value, is_kept in of_each if is_kept]
        areas = np.array(truth.get("object/area", []))[kept]
        if kind != "coco":
            areas = box_areas(truth["boxes"][kept])
        np.testing.assert_allclose(back.get("object/area", []), areas, rtol=1e-3, atol=1e-2)
        if kind == "coco":
            assert back["source_id"] == truth["source_id"]


def write(tmp_path, examples, kind, labels=LABELS, **others):
    return write_labels(examples, labels, kind, str(tmp_path / "out"), **others)


def files_in(folder):
    return sorted(str(p.relative_to(folder)) for p in folder.rglob("*") if p.is_file())


def test_a_coco_file_has_ids_names_crowds_and_areas(tmp_path):
    one = example([[2, 1, 6, 4.5], [0, 0, 20, 30]], [44, 1], is_crowd=[0, 1], areas=[5.5, 600])
    two = example(name="b.png", source_id="9")
    written = write(tmp_path, [example(source_id="7", name="0.png"), one, two], "coco")
    assert written[:2] == (3, 2)
    assert "numbered from 1" in written[2][0]  # one source id is "a"
    data = json.loads((tmp_path / "out/annotations/instances_train.json").read_text())
    assert data["categories"][2] == {"id": 44, "name": "<dog & co>"}
    assert data["images"][1] == {"id": 2, "file_name": "a.png", "height": 20, "width": 30}
    first, second = data["annotations"]
    assert first == {
        "id": 1, "image_id": 2, "category_id": 44, "bbox": [1, 2, 3.5, 4], "area": 5.5,
        "iscrowd": 0,
    }  # fmt: skip
    assert second["iscrowd"] == 1
    assert files_in(tmp_path / "out") == [
        "annotations/instances_train.json",
        "images/train/0.png",
        "images/train/a.png",
        "images/train/b.png",
    ]


def test_a_voc_file_has_floats_names_and_no_crowds(tmp_path):
    one = example([[2, 1, 6, 4.25], [0, 0, 20, 30], [0, 0, 9, 9]], [44, 1, 5], is_crowd=[0, 1, 0],
                  areas=[17, 600, 13], name="sub\\a b.jpeg")  # fmt: skip
    count, boxes, notes = write(tmp_path, [one, example(name="é.png")], "voc", split="val")
    assert (count, boxes) == (2, 2)
    assert notes == [
        "VOC has no mark for crowds: 1 left out.",
        "VOC has no areas: those of 2 objects' outlines will be those of boxes.",
    ]
    root = ElementTree.parse(tmp_path / "out/Annotations/sub_a b.xml").getroot()
    assert [root.findtext(key) for key in ("filename", "size/width", "size/height")] == [
        "sub_a b.png", "30", "20",
    ]  # fmt: skip
    first = root.find("object")
    assert first.findtext("name") == "<dog & co>"
    assert [side.text for side in first.find("bndbox")] == ["1", "2", "4.25", "6"]
    empty = ElementTree.parse(tmp_path / "out/Annotations/é.xml").getroot()
    assert empty.find("object") is None
    assert (tmp_path / "out/ImageSets/Main/val.txt").read_text() == "sub_a b\né\n"


def test_yolo_numbers_classes_by_line_and_says_so(tmp_path):
    one = example([[2, 3, 12, 9]], [44])
    *_, notes = write(tmp_path, [one, example(name="b.png")], "yolo")
    (note,) = notes
    assert note.startswith("YOLO numbers classes from 0 without gaps: 1 'cat' is 0, 5 'traffic")
    # Centre (6, 7) and sides 6 x 10 of 30 x 20 pixels.
    assert (tmp_path / "out/labels/train/a.txt").read_text() == "2 0.2 0.35 0.2 0.5\n"
    assert (tmp_path / "out/labels/train/b.txt").read_text() == ""
    assert yaml.safe_load((tmp_path / "out/data.yaml").read_text()) == {
        "train": "images/train", "nc": 3, "names": {0: "cat", 1: "traffic light", 2: "<dog & co>"},
    }  # fmt: skip
    assert write(tmp_path / "0", [one], "yolo", {0: "a", 44: "b"})[2][0].count(" is ") == 1
    assert write(tmp_path / "1", [example()], "yolo", {0: "a", 1: "b"})[2] == []


def test_splits_of_one_set_share_a_folder_and_other_classes_do_not(tmp_path):
    write(tmp_path, [example()], "yolo")
    write(tmp_path, [example()], "yolo", split="val")
    data = yaml.safe_load((tmp_path / "out/data.yaml").read_text())
    assert (data["train"], data["val"]) == ("images/train", "images/val")
    with pytest.raises(
        UserError, match="data.yaml has .*, or is of a set with other classes; give another"
    ):
        write(tmp_path, [example()], "yolo", {1: "cat"}, split="test")
    assert not (tmp_path / "out/labels/test").exists()


@pytest.mark.parametrize("kind", ["coco", "yolo", "voc"])
@pytest.mark.parametrize("pictures", [True, False])
def test_what_may_have_been_corrected_is_not_written_over(tmp_path, kind, pictures):
    write(tmp_path, [example()], kind, pictures=pictures)
    before = {path: (tmp_path / "out" / path).read_bytes() for path in files_in(tmp_path / "out")}
    with pytest.raises(
        UserError, match="is there already, and may have been corrected|has the split train"
    ):
        write(tmp_path, [example([[1, 1, 2, 2]])], kind, pictures=False)
    after = {path: (tmp_path / "out" / path).read_bytes() for path in files_in(tmp_path / "out")}
    assert before == after


@pytest.mark.parametrize(
    ("names", "written"),
    [
        (["../../etc/x.png", "/mnt/x.png", "C:\\x.png"], ["etc_x", "mnt_x", "C__x"]),
        (["a.png", "A.PNG", "b/a.png", "a.jpg", "a-2.png"], ["a", "A-2", "b_a", "a-3", "a-2-2"]),
        ([".hidden.png", "..", "\x00\n.png", "a?.png"], ["hidden", "picture", "__", "a_"]),
        (["v1.2", "s.tif", "\ud83d.png", "x" * 300 + ".png"], ["v1.2", "s", "_", "x" * 150]),
    ],
)
def test_names_stay_in_the_folder_and_are_distinct(tmp_path, names, written):
    """Two of one name in a folder's own small letters would be one file on some systems."""
    write(tmp_path, [example(name=name, source_id="1") for name in names], "yolo")
    found = {pathlib.Path(p).stem for p in files_in(tmp_path / "out/labels/train")}
    assert found == set(written)
    pictures = {pathlib.Path(p).stem for p in files_in(tmp_path / "out/images/train")}
    assert pictures == set(written)
    assert files_in(tmp_path)[0].startswith("out/")
    assert all(path.startswith("out/") for path in files_in(tmp_path))


def test_class_names_that_xml_cannot_hold_are_changed_and_said(tmp_path):
    labels = {1: "a\x07", 2: " a_ ", 3: "b"}
    one = example([[1, 1, 5, 5], [1, 1, 5, 6]], [1, 2])
    *_, notes = write(tmp_path, [one], "voc", labels)
    assert notes[0].startswith("VOC cannot hold some class names as they are: 'a\\x07' is 'a_ (1)'")
    root = ElementTree.parse(tmp_path / "out/Annotations/a.xml").getroot()
    assert [name.text for name in root.iter("name")] == ["a_ (1)", "a_ (2)"]
