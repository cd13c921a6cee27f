"""V7's Darwin JSON: boxes, outlines, folders of V7 as splits, and what is no object."""

import json

import pytest

from edet.errors import UserError
from edet.records.sources.formats import open_folder
from edet.records.sources.shapes import BAD_FILE, DAMAGED, NO_BOX, OUTLINE
from tests.records.sources.small_folders import make, objects, read

_LATEST = "releases/latest/annotations"
_MASK = "dropped: mask of a class (it may be of several objects)"
_TURNED = "dropped: turned ellipse (no text says in which unit)"


def thing(name="cat", **shape) -> dict:
    """An annotation; a box begins at x 10, y 20 and has 30 x 10.5 pixels."""
    shape = shape or {"bounding_box": {"x": 10, "y": 20, "w": 30, "h": 10.5}}
    return {"id": "1", "name": name, "slot_names": ["0"], **shape}


def path(*points) -> list[dict]:
    return [{"x": x, "y": y} for x, y in points]


def file(name, *things, folder="/", slots=("image",)) -> str:
    size = {"width": 100, "height": 50, "source_files": [{"file_name": name, "url": "https://v7"}]}
    slots = [{"type": kind, "slot_name": str(k), **size} for k, kind in enumerate(slots)]
    item = {"name": name, "path": folder, "source_info": {}, "slots": slots}
    return json.dumps({"version": "2.0", "item": item, "annotations": things})


def one(tmp_path, *things):
    text = file("a.jpg", *things, thing("dog"))
    (found,) = read(make(tmp_path, {f"{_LATEST}/a.json": text}, "images/a.jpg"), "darwin").values()
    return objects(found)["a"][:-1], found


@pytest.mark.parametrize(
    ("drawn", "box", "note"),
    [
        (thing(), (20, 10, 30.5, 40), None),
        (thing(polygon={"paths": [path((2, 1), (30, 5), (20, 11))]}), (1, 2, 11, 30), OUTLINE),
        # Its own library leaves the numbers of an outline's box empty.
        (thing(polygon={"paths": [path((2, 1), (9, 4)), path((20, 11), (30, 5))]},
               bounding_box=dict.fromkeys("xywh")), (1, 2, 11, 30), OUTLINE),
        (thing(polygon={"path": path((2, 1), (30, 11))}), (1, 2, 11, 30), OUTLINE),
        (thing(ellipse={"center": {"x": 16, "y": 6}, "radius": {"x": 14, "y": 5}, "angle": 0}),
         (1, 2, 11, 30), OUTLINE),
        (thing(cuboid={"front": {"x": 2, "y": 3, "w": 20, "h": 8},
                       "back": {"x": 9, "y": 1, "w": 21, "h": 6}}), (1, 2, 11, 30), OUTLINE),
        (thing(ellipse={"center": {"x": 1, "y": 2}, "radius": {"x": 1, "y": 2}, "angle": 0.57}),
         None, _TURNED),
        (thing(mask={}), None, _MASK),
        (thing(keypoint={"x": 1, "y": 2}), None, NO_BOX),
        (thing(line={"path": path((1, 2), (3, 4))}), None, NO_BOX),
        (thing(tag={}), None, None),
        (thing(raster_layer={"dense_rle": [0, 5000], "mask_annotation_ids_mapping": {}}),
         None, None),
        (thing(bounding_box={"x": 1, "y": 2, "w": 3}), None, DAMAGED),
        (thing(bounding_box=[1, 2, 3, 4]), None, DAMAGED),
        (thing(bounding_box={"x": "left", "y": 2, "w": 3, "h": 4}), None, DAMAGED),
        (thing(polygon={"paths": []}), None, DAMAGED),
        (thing(polygon={"paths": [path((1, 2))]}), None, DAMAGED),
        (thing(table={"cells": []}), None, DAMAGED),
        (thing(""), None, DAMAGED),
        ({"bounding_box": {"x": 1, "y": 2, "w": 3, "h": 4}}, None, DAMAGED),
        (7, None, DAMAGED),
    ],
)  # fmt: skip
def test_an_object_is_its_bounds_or_named(tmp_path, drawn, box, note):
    things, found = one(tmp_path, drawn)
    assert things == ([("cat", *box)] if box else [])
    assert found.tally.boxes == ({note: 1} if note else {})
    assert (found.examples[0].height, found.examples[0].width) == (50, 100)


def test_the_folder_of_an_item_in_v7_is_its_split_and_its_pictures_place(tmp_path):
    """A pull lays all files in one folder, and the second of equal names as a_2.json."""
    files = {
        f"{_LATEST}/a.json": file("a.jpg", thing(), folder="/train"),
        f"{_LATEST}/a_2.json": file("a.jpg", thing("dog"), folder="/validation"),
        f"{_LATEST}/test_01.json": file("test_01.jpg", folder="/train"),  # a picture's own name
    }
    folder = make(
        tmp_path, files, "images/train/a.jpg images/validation/a.jpg images/train/test_01.jpg"
    )
    found = read(folder, "darwin")
    assert {split: [e.image for e in one.examples] for split, one in found.items()} == {
        "train": [str(tmp_path / f"images/train/{name}.jpg") for name in ("a", "test_01")],
        "val": [str(tmp_path / "images/validation/a.jpg")],
    }  # fmt: skip
    assert list(objects(found["train"]).values())[1] == []


def test_files_lie_beside_their_pictures_too(tmp_path):
    """As an export that was unpacked by hand; the root's picture is not that of a folder."""
    files = {"train/a.json": file("a.jpg", thing()), "val/a.json": file("a.jpg", thing("dog"))}
    found = read(make(tmp_path, files, "train/a.jpg val/a.jpg"), "darwin")
    assert {split: objects(one)["a"][0][0] for split, one in found.items()} == {
        "train": "cat", "val": "dog",
    }  # fmt: skip
    assert found["val"].examples[0].image == str(tmp_path / "val/a.jpg")


def test_the_picture_of_the_root_is_not_that_of_a_folder(tmp_path):
    text = file("a.jpg", thing())
    folder = make(tmp_path, {f"set/{_LATEST}/a.json": text}, "set/images/a.jpg set/images/b/a.jpg")
    (found,) = read(folder, "darwin").values()
    assert [one.image for one in found.examples] == [str(tmp_path / "set/images/a.jpg")]


def test_frames_of_a_video_are_pictures(tmp_path):
    """The library's own way to split a video: the slot is still one of a video."""
    text = file("v/0000012.png", thing(), folder="/v", slots=("video",))
    folder = make(tmp_path, {f"{_LATEST}/v/0000012.json": text},
                  "images/v/0000012.png images/w/0000012.png")  # fmt: skip
    (found,) = read(folder, "darwin").values()
    assert [one.image for one in found.examples] == [str(tmp_path / "images/v/0000012.png")]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("{", "is not JSON"),
        ("[]", "list indices"),
        ("{}", "it has no 'item'"),
        ('{"item": {}}', "it has no 'annotations'"),
        ('{"item": {}, "annotations": {}}', "its annotations are no list"),
        ('{"item": {}, "annotations": []}', "it has no 'name'"),
        ('{"item": {"name": "", "path": "/"}, "annotations": []}', "'' is no name"),
        (file("b.mp4", thing(frames={}), slots=("video",)), "no picture but a video"),
        (file("b.jpg", slots=("image", "image")), "it is of 2 slots, not of one picture"),
    ],
)
def test_a_file_that_cannot_be_read_is_named(tmp_path, text, words):
    files = {f"{_LATEST}/a.json": file("a.jpg", thing()), f"{_LATEST}/b.json": text}
    (found,) = read(make(tmp_path, files, "images/a.jpg images/b.jpg"), "darwin").values()
    assert list(objects(found)) == ["a"]
    (problem,) = found.tally.problems
    assert (problem["file"], problem["what"]) == (f"{_LATEST}/b.json", BAD_FILE)
    assert words in problem["detail"]


def test_a_picture_that_is_not_there_is_named(tmp_path):
    files = {f"{_LATEST}/{name}.json": file(f"{name}.jpg", thing()) for name in ("a", "gone")}
    (found,) = read(make(tmp_path, files, "images/a.jpg"), "darwin").values()
    assert [(p["file"], p["what"]) for p in found.tally.problems] == [
        ("gone.jpg", "dropped: image missing or unreadable")
    ]


def test_one_file_is_a_set_too(tmp_path):
    files = {f"{_LATEST}/{name}.json": file(f"{name}.jpg", thing()) for name in "ab"}
    make(tmp_path, files, "images/a.jpg images/b.jpg")
    with pytest.raises(UserError, match="no picture was found"):  # they lie three folders above
        open_folder(str(tmp_path / _LATEST / "a.json"))
    files = {f"other/{name}.json": file(f"{name}.jpg", thing()) for name in "ab"}
    make(tmp_path, files, "other/a.jpg other/b.jpg")
    (found,) = open_folder(str(tmp_path / "other/a.json")).values()
    assert [one.image for one in found.examples] == [str(tmp_path / "other/a.jpg")]


def test_classes_named_as_keys_of_other_formats_make_no_other_format(tmp_path):
    names = ("segmentation", "image_id", "category_id", "shapes", "images", "dm_format_version")
    text = file("a.jpg", *map(thing, names))
    (found,) = read(make(tmp_path, {f"{_LATEST}/a.json": text}, "images/a.jpg"), "darwin").values()
    assert sorted(found.labels.values()) == sorted(names)
