"""Create ML: lists of pictures, boxes by their centres, Apple's own names of the keys."""

import json

import pytest

from edet.errors import UserError
from edet.records.sources.shapes import BAD_FILE, BAD_IMAGE, DAMAGED
from tests.records.sources.small_folders import make, objects, read


def thing(label="cat", **sides) -> dict:
    sides = {"x": 25, "y": 25.5, "width": 30, "height": 11} | sides
    return {"label": label, "coordinates": sides}


def entry(name, *things) -> dict:
    return {"image": name, "annotations": things}


def test_a_box_is_its_centre_and_its_sides(tmp_path):
    """25 - 30/2 = 10 to 40 across, 25.5 - 11/2 = 20 to 31 down; a picture without objects stays."""
    text = json.dumps([entry("a.jpg", thing(), thing("dog", x=50)), entry("empty.jpg")])
    (found,) = read(make(tmp_path, {"_annotations.createml.json": text}, "a.jpg empty.jpg"),
                    "createml").values()  # fmt: skip
    assert found.labels == {1: "cat", 2: "dog"}
    assert objects(found) == {
        "a.jpg": [("cat", 20, 10, 31, 40), ("dog", 20, 35, 31, 65)], "empty.jpg": [],
    }  # fmt: skip


def test_apples_names_of_the_keys_and_a_file_for_each_picture(tmp_path):
    """The documentation's keys; LabelImg writes a list of one picture beside each."""
    first = [{"imagefilename": "a.jpg", "annotation": [thing()]}]
    second = [entry("b.jpg", thing("dog"))]
    files = {"a.json": json.dumps(first), "b.json": json.dumps(second)}
    (found,) = read(make(tmp_path, files, "a.jpg b.jpg"), "createml").values()
    assert {name: len(things) for name, things in objects(found).items()} == {
        "a.jpg": 1,
        "b.jpg": 1,
    }


def test_an_object_may_begin_with_another_key(tmp_path):
    text = json.dumps([entry("a.jpg", {"confidence": 0.9} | thing())])
    (found,) = read(make(tmp_path, {"a.json": text}, "a.jpg"), "createml").values()
    assert len(objects(found)["a.jpg"]) == 1


def test_splits_go_by_folders_and_pictures_lie_beside_their_file(tmp_path):
    """Roboflow's layout; both splits have a picture of one name."""
    files = {
        f"{split}/_annotations.createml.json": json.dumps([entry("a.jpg", thing(label))])
        for split, label in (("train", "cat"), ("valid", "dog"))
    }
    found = read(make(tmp_path, files, "train/a.jpg valid/a.jpg"), "createml")
    assert {split: objects(one)["a.jpg"][0][0] for split, one in found.items()} == {
        "train": "cat", "val": "dog",
    }  # fmt: skip
    assert [one.examples[0].image for one in found.values()] == [
        str(tmp_path / "train/a.jpg"), str(tmp_path / "valid/a.jpg"),
    ]  # fmt: skip


@pytest.mark.parametrize(
    "broken",
    [
        {"label": "cat"},
        {"coordinates": {}},
        thing(x="left"),
        thing(""),
        {**thing(), "label": None},
        3,
    ],
)
def test_an_object_that_cannot_be_read_is_named(tmp_path, broken):
    text = json.dumps([entry("a.jpg", thing(), broken)])
    (found,) = read(make(tmp_path, {"a.json": text}, "a.jpg"), "createml").values()
    assert len(objects(found)["a.jpg"]) == 1
    assert found.tally.boxes == {DAMAGED: 1}


@pytest.mark.parametrize("broken", [3, None, {"image": "b.jpg"}, {"annotations": []}])
def test_a_picture_that_cannot_be_read_is_named(tmp_path, broken):
    text = json.dumps([entry("a.jpg", thing()), broken])
    (found,) = read(make(tmp_path, {"a.json": text}, "a.jpg b.jpg"), "createml").values()
    assert list(objects(found)) == ["a.jpg"]
    assert [(p["file"], p["what"]) for p in found.tally.problems] == [
        ("picture 2 of a.json", BAD_IMAGE)
    ]


def test_a_file_of_something_else_is_named(tmp_path):
    files = {"a.json": json.dumps([entry("a.jpg", thing())]), "b.json": "{}", "c.json": "[{"}
    (found,) = read(make(tmp_path, files, "a.jpg"), "createml").values()
    assert [p["file"] for p in found.tally.problems if p["what"] == BAD_FILE] == [
        "b.json",
        "c.json",
    ]


def test_a_class_called_data_makes_no_label_studio_export(tmp_path):
    text = json.dumps([entry("a.jpg", thing("data"))])
    (found,) = read(make(tmp_path, {"a.json": text}, "a.jpg"), "createml").values()
    assert found.labels == {1: "data"}


def test_another_splits_picture_of_the_same_name_is_not_meant(tmp_path):
    """train's own pictures are not unpacked; test's has another content."""
    files = {
        "train/_annotations.createml.json": json.dumps([entry("a.jpg", thing())]),
        "test/_annotations.createml.json": json.dumps([entry("b.jpg", thing())]),
    }
    folder = make(tmp_path, files, "test/a.jpg test/b.jpg")
    with pytest.raises(UserError, match="no picture was found; the first: a.jpg is not in"):
        read(folder, "createml")


def test_corners_where_centres_belong_are_refused_by_the_set(tmp_path):
    """x, y of the upper left corner, which Create ML can be told to take: no box begins below 0."""
    things = [thing(x=5 * k, y=3, width=40, height=30) for k in range(10)]
    text = json.dumps([entry("a.jpg", *things)])
    with pytest.raises(UserError, match=r"look like \[x, y, width, height\], where"):
        read(make(tmp_path, {"a.json": text}, "a.jpg"), "createml")


def test_a_few_boxes_that_stick_out_are_no_reason(tmp_path):
    """A fifth of the objects begins 5 pixels before the picture; no size tells where it ends."""
    things = [thing(x=100 + 5 * k) for k in range(8)] + [thing(x=10)] * 2
    text = json.dumps([entry("a.jpg", *things)])
    (found,) = read(make(tmp_path, {"a.json": text}, "a.jpg"), "createml").values()
    assert len(objects(found)["a.jpg"]) == 10
