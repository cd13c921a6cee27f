"""Scalabel's JSON: boxes with their last pixel, outlines, BDD100K's layouts, what is no box."""

import json

import pytest

from edet.errors import UserError
from edet.records.sources.formats import open_folder
from edet.records.sources.shapes import BAD_FILE, BAD_IMAGE, DAMAGED, NO_BOX, OUTLINE
from tests.records.sources.small_folders import make, objects, read

_ELSEWHERE = "dropped: label without box2d, poly2d or rle (a cuboid, key points, a tag)"
_UNCLEAR = "dropped: poly2d that does not say whether it is closed (BDD100K of 2018)"
_POINTS = [[2, 1], [30, 5], [20, 11]]  # x 2 to 30, y 1 to 11


def label(category="cat", **shape) -> dict:
    """A label; its box holds the pixels 10 to 39 across and 20 to 29 down."""
    shape = shape or {"box2d": {"x1": 10, "y1": 20, "x2": 39, "y2": 29}}
    return {"id": "1", "category": category, "attributes": {"occluded": True}, **shape}


def outline(closed=True, points=_POINTS) -> dict:
    return {"vertices": points, "types": "L" * len(points), "closed": closed}


def frame(name="a.jpg", *labels, **more) -> dict:
    return {"name": name, "labels": list(labels), **more}


def one(tmp_path, *frames, pictures="a.jpg b.jpg"):
    (found,) = read(make(tmp_path, {"a.json": json.dumps(frames)}, pictures), "scalabel").values()
    return found


def test_a_box_ends_behind_its_last_pixel(tmp_path):
    """Scalabel's to_coco gives [10, 20, 30, 10]; frames with labels: null have no objects."""
    found = one(tmp_path, frame("a.jpg", label(), label("dog")), {"name": "b.jpg", "labels": None})
    assert found.labels == {1: "cat", 2: "dog"}
    assert objects(found) == {
        "a.jpg": [("cat", 20, 10, 30, 40), ("dog", 20, 10, 30, 40)], "b.jpg": [],
    }  # fmt: skip


@pytest.mark.parametrize(
    ("drawn", "box", "note"),
    [
        (label(box2d={"x1": 1.5, "y1": 2, "x2": 3.25, "y2": 2}), (2, 1.5, 3, 4.25), None),
        (label(box2d=None, poly2d=[outline()]), (1, 2, 11, 30), OUTLINE),
        # Two parts of one object: x 2 to 35, y 1 to 40.
        (label(poly2d=[outline(), outline(points=[[30, 40], [35, 20]])]), (1, 2, 40, 35), OUTLINE),
        (label(poly2d=[outline(), outline(False, [[0, 0], [99, 99]])]), (1, 2, 11, 30), OUTLINE),
        (label("lane", poly2d=[outline(False)]), None, NO_BOX),
        (label("area/drivable", poly2d=[[1.5, 2, "L"], [3, 4, "L"]]), None, _UNCLEAR),
        # Runs down the columns of 4 x 5 pixels: 5 off, 2 on, so rows 1 and 2 of the column 1.
        (label(rle={"size": [4, 5], "counts": "52="}), (1, 1, 3, 2), OUTLINE),
        (label(box3d={"location": [1, 2, 3]}), None, _ELSEWHERE),
        (label(graph={"nodes": []}), None, _ELSEWHERE),
        (label(box2d={"x1": 1, "y1": 2, "x2": 3}), None, DAMAGED),
        (label(box2d={"x1": "left", "y1": 2, "x2": 3, "y2": 4}), None, DAMAGED),
        (label(box2d=[1, 2, 3, 4]), None, DAMAGED),
        (label(poly2d=[{"vertices": _POINTS}]), None, DAMAGED),
        (label(poly2d=[outline(points=[[1, 2]])]), None, DAMAGED),
        (label(""), None, DAMAGED),
        ({"box2d": {"x1": 1, "y1": 2, "x2": 3, "y2": 4}}, None, DAMAGED),
        (7, None, DAMAGED),
    ],
)  # fmt: skip
def test_a_label_is_its_bounds_or_named(tmp_path, drawn, box, note):
    found = one(tmp_path, frame("a.jpg", drawn, label("dog")))
    name = drawn["category"] if box else ""
    assert objects(found)["a.jpg"][:-1] == ([(name, *box)] if box else [])
    assert found.tally.boxes == ({note: 1} if note else {})


@pytest.mark.parametrize(
    ("attributes", "is_crowd"),
    [
        ({"crowd": True}, True),
        ({"ignored": True}, True),
        ({"crowd": "true"}, True),
        ({"crowd": False, "occluded": True}, False),
        ({"crowd": "false"}, False),
        (None, False),
    ],
)
def test_crowds_are_what_the_attributes_say(tmp_path, attributes, is_crowd):
    found = one(tmp_path, frame("a.jpg", label() | {"attributes": attributes}))
    assert found.examples[0].is_crowd.tolist() == [is_crowd]


def test_bdd100ks_folders(tmp_path):
    """A file for each split, and pictures in images/100k; a split's word in a name is none."""
    files = {
        "labels/det_20/det_train.json": json.dumps([frame("val-1.jpg", label())]),
        "labels/det_20/det_val.json": json.dumps([frame("b.jpg", label("dog"))]),
    }
    folder = make(tmp_path, files, "images/100k/train/val-1.jpg images/100k/val/b.jpg")
    found = read(folder, "scalabel")
    assert {split: [e.image for e in each.examples] for split, each in found.items()} == {
        "train": [str(tmp_path / "images/100k/train/val-1.jpg")],
        "val": [str(tmp_path / "images/100k/val/b.jpg")],
    }


@pytest.mark.parametrize(
    "data",
    [
        {"name": "a", "frames": [{"timestamp": 10000, "objects": [label()]}], "attributes": {}},
        {"name": "a.jpg", "labels": [label()], "timestamp": 10000},
    ],
)
def test_a_file_for_each_picture(tmp_path, data):
    """BDD100K of 2018, whose names have no ending; the split is the folder's."""
    files = {"labels/100k/train/a.json": json.dumps(data),
             "labels/100k/val/test.json": json.dumps(data | {"name": "test"})}  # fmt: skip
    folder = make(tmp_path, files, "images/100k/train/a.jpg images/100k/val/test.jpg")
    found = read(folder, "scalabel")
    assert {split: [e.image for e in each.examples] for split, each in found.items()} == {
        "train": [str(tmp_path / "images/100k/train/a.jpg")],
        "val": [str(tmp_path / "images/100k/val/test.jpg")],
    }


def test_frames_of_videos_lie_in_their_folders(tmp_path):
    """Two videos have a frame of one name; a name that tells its video needs no more."""
    found = one(tmp_path, frame("1.jpg", label(), videoName="v"), frame("1.jpg", videoName="w"),
                frame("v-2.jpg", videoName="v"),
                pictures="images/v/1.jpg images/w/1.jpg images/v/v-2.jpg")  # fmt: skip
    assert [(e.source_id, e.image[len(str(tmp_path)) + 1 :]) for e in found.examples] == [
        ("1.jpg", "images/v/1.jpg"), ("images/w/1.jpg", "images/w/1.jpg"),
        ("v-2.jpg", "images/v/v-2.jpg"),
    ]  # fmt: skip


def test_a_size_is_the_frames_own_or_that_of_all(tmp_path):
    data = {
        "config": {"imageSize": {"width": 100, "height": 50}, "categories": []},
        "frames": [frame("a.jpg", label()), frame("b.jpg", size={"width": 80, "height": 40})],
    }
    (found,) = read(make(tmp_path, {"a.json": json.dumps(data)}, "a.jpg b.jpg"),
                    "scalabel").values()  # fmt: skip
    assert [(e.height, e.width) for e in found.examples] == [(50, 100), (40, 80)]


@pytest.mark.parametrize(
    ("broken", "words"),
    [
        (3, "not subscriptable"),
        ({"labels": []}, "it has no 'name'"),
        ({"name": "", "labels": []}, "'' is no name"),
        ({"name": "b.jpg", "labels": {"0": label()}}, "its labels are no list"),
        ({"name": "b.jpg", "labels": [], "size": [1, 2]}, "no attribute"),
    ],
)
def test_a_frame_that_cannot_be_read_is_named(tmp_path, broken, words):
    found = one(tmp_path, frame("a.jpg", label()), broken)
    assert list(objects(found)) == ["a.jpg"]
    (problem,) = found.tally.problems
    assert (problem["file"], problem["what"]) == ("frame 2 of a.json", BAD_IMAGE)
    assert words in problem["detail"]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("{", "is not JSON"),
        ("3", "not iterable"),
        ("{}", "it has no 'frames'"),
        ('{"frames": 3}', "its frames are no list"),
        ('{"name": "b", "frames": []}', "it has 0 frames, not one picture"),
        ('{"name": "b", "frames": [{}]}', "it has no 'objects'"),
    ],
)
def test_a_file_that_cannot_be_read_is_named(tmp_path, text, words):
    files = {"a.json": json.dumps([frame("a.jpg", label())]), "b.json": text}
    (found,) = read(make(tmp_path, files, "a.jpg"), "scalabel").values()
    assert list(objects(found)) == ["a.jpg"]
    (problem,) = found.tally.problems
    assert (problem["file"], problem["what"]) == ("b.json", BAD_FILE)
    assert words in problem["detail"]


def test_a_picture_that_is_not_there_is_named(tmp_path):
    with pytest.raises(UserError, match="no picture was found; the first: gone.jpg is not in"):
        open_folder(make(tmp_path, {"a.json": json.dumps([frame("gone.jpg", label())])}).root)


def test_coco_beside_it_is_taken_as_before(tmp_path):
    """BDD100K's own converter leaves such a file; classes with names of keys make no format."""
    coco = {
        "images": [{"id": 1, "file_name": "a.jpg"}],
        "categories": [{"id": 1, "name": "box2d"}],
        "annotations": [{"image_id": 1, "category_id": 1, "bbox": [10, 20, 30, 10]}],
    }
    files = {"a.json": json.dumps([frame("a.jpg", label())]), "coco.json": json.dumps(coco)}
    (found,) = read(make(tmp_path, files, "a.jpg"), "coco").values()
    assert objects(found) == {"1": [("box2d", 20, 10, 30, 40)]}
