"""LabelMe: a JSON for each picture, shapes of every kind, and pictures without one."""

import json

import pytest

from edet.records.sources.shapes import BAD_FILE, DAMAGED, NO_BOX, NO_FILE, OUTLINE, ROTATED
from tests.records.sources.small_folders import make, objects, read


def shape(points, kind="rectangle", label="cat", **others) -> dict:
    return {"label": label, "points": points, "shape_type": kind, **others}


def labelme(*shapes, path="a.jpg", **others) -> str:
    head = {"version": "6.3.1", "flags": {}, "shapes": shapes, "imagePath": path}
    return json.dumps(head | {"imageHeight": 50, "imageWidth": 60} | others)


@pytest.mark.parametrize(
    ("drawn", "box", "note"),
    [
        (shape([[40.5, 30], [10, 20]]), [20, 10, 30, 40.5], None),  # from the lower right
        (shape([[10, 20], [40, 20], [40, 30], [10, 30]]), [20, 10, 30, 40], None),  # four corners
        (shape([[10, 20], [40, 25], [15, 30]], "polygon"), [20, 10, 30, 40], OUTLINE),
        (shape([[20, 20], [23, 24]], "circle"), [15, 15, 25, 25], OUTLINE),  # radius 5
        (shape([[10, 20], [12, 24]], "mask", mask="iVBO"), [20, 10, 25, 13], OUTLINE),
        (
            shape([[20, 10], [30, 20], [20, 30], [10, 20]], "oriented_rectangle"),
            [10, 10, 30, 30],
            ROTATED,
        ),
        (shape([[10, 20]], "point"), None, NO_BOX),
        (shape([[10, 20], [11, 21]], "linestrip"), None, NO_BOX),
        (shape([[10, 20], ["wide", 21]]), None, DAMAGED),
        (shape([[10, 20], [1e400, 21]]), None, DAMAGED),
        (shape([[10, 20], [11, 21]], label=""), None, DAMAGED),
        ({"points": [[10, 20], [11, 21]], "shape_type": "rectangle"}, None, DAMAGED),
        ("a shape", None, DAMAGED),
    ],
)
def test_a_shape_is_its_bounds_or_named(tmp_path, drawn, box, note):
    folder = make(
        tmp_path, {"a.json": labelme(drawn, shape([[0, 0], [1, 2]], label="dog"))}, "a.jpg"
    )
    source = read(folder, "labelme")[""]
    first = [("cat", *box)] if box else []
    assert objects(source) == {"a": [*first, ("dog", 0, 0, 2, 1)]}
    assert dict(source.tally.boxes) == ({note: 1} if note else {})
    assert (source.examples[0].height, source.examples[0].width) == (50, 60)


def test_a_point_that_is_no_pair_is_shown(tmp_path):
    """yolo-to-labelme writes the outline of every YOLO file as one point of zeros."""
    folder = make(tmp_path, {"a.json": labelme(shape([[0] * 8], "polygon"))}, "a.jpg")
    (problem,) = read(folder, "labelme")[""].tally.problems
    assert problem["detail"] == "object 1: [0, 0, 0, 0, 0, 0, ...] is no point [x, y]"


def test_parts_of_one_group_and_label_are_one_object(tmp_path):
    """As labelme's own conversion to COCO joins them; a person in the same group stays apart."""
    parts = [
        shape([[10, 20], [12, 20], [12, 30]], "polygon", group_id=1),
        shape([[40, 5], [50, 5], [50, 8]], "polygon", group_id=1),
        shape([[0, 0], [5, 5]], label="person", group_id=1),
    ]
    source = read(make(tmp_path, {"a.json": labelme(*parts)}, "a.jpg"), "labelme")[""]
    assert objects(source) == {"a": [("cat", 5, 10, 30, 50), ("person", 0, 0, 5, 5)]}
    joined = "shapes of one group (joined into one object)"
    assert dict(source.tally.boxes) == {joined: 1, OUTLINE: 1}


def test_splits_pictures_elsewhere_renamed_files_and_pictures_without_json(tmp_path):
    files = {
        "train/json/a.json": labelme(path="..\\img\\a.jpg"),
        "val/new.json": labelme(shape([[0, 0], [3, 2]]), path="old.jpg"),
        "val/broken.json": "{",
        "val/deep.json": "[" * 100_000,
        "val/notes.json": '{"author": "me"}',
    }
    folder = make(tmp_path, files, "train/img/a.jpg val/new.jpg val/broken.jpg val/empty.jpg")
    found = read(folder, "labelme")
    assert objects(found["train"]) == {"img/a": []}
    assert found["train"].examples[0].image == str(tmp_path / "train/img/a.jpg")
    assert objects(found["val"]) == {"new": [("cat", 0, 0, 2, 3)], "empty": []}
    what = {problem["file"]: problem["what"] for problem in found["val"].tally.problems}
    assert what == {
        "val/broken.json": BAD_FILE,
        "val/deep.json": BAD_FILE,
        "val/notes.json": BAD_FILE,
        "val/empty.jpg": NO_FILE,
    }
