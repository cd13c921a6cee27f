"""Datumaro's own JSON: classes by their place, groups, masks, subsets, and what is damaged."""

import json

import pytest

from edet.errors import UserError
from edet.records.sources.formats import open_folder
from edet.records.sources.shapes import BAD_IMAGE, DAMAGED, JOINED, NO_BOX, OUTLINE, ROTATED
from edet.records.writing import write_records
from tests.records.sources.small_folders import make, objects, read

_BESIDE = "outline beside the box of its group (the box taken)"
# 10 rows, 20 columns; down the columns: 2 pixels of the second one, from the fourth row on
_RLE = {"size": [10, 20], "counts": [13, 2, 185]}


def part(kind="bbox", label=0, group=0, **more) -> dict:
    """An annotation; a box begins at x 10, y 20 and has 30 x 10.5 pixels."""
    shape = {"bbox": [10, 20, 30, 10.5]} if kind == "bbox" else {}
    own = {"id": 0, "type": kind, "attributes": {}, "group": group, "label_id": label}
    return own | shape | more


def item(name, *parts, **more) -> dict:
    image = {"path": f"{name}.jpg", "size": [50, 100]}
    return {"id": name, "annotations": parts, "image": image, **more}


def file(*items, labels=("zebra", "ant"), **more) -> str:
    named = [{"name": name, "parent": "", "attributes": []} for name in labels]
    categories = {"label": {"labels": named, "label_groups": [], "attributes": []}}
    start = {"dm_format_version": "1.0", "media_type": 2, "infos": {}, "categories": categories}
    return json.dumps(start | {"items": items} | more)


def one(tmp_path, *parts):
    folder = make(tmp_path, {"annotations/default.json": file(item("a", *parts, part(label=1)))},
                  "images/default/a.jpg")  # fmt: skip
    (found,) = read(folder, "datumaro").values()
    return objects(found)["a"][:-1], found


def test_classes_keep_the_numbers_of_their_places(tmp_path):
    """They are not sorted: zebra is 0, ant is 1; 20 + 10.5 is 30.5, 10 + 30 is 40."""
    text = file(item("a", part(), part(label=1, bbox=[0, 0, 5, 4])), item("empty"))
    folder = make(
        tmp_path,
        {"annotations/train.json": text},
        "images/train/a.jpg images/train/empty.jpg",
    )
    found = read(folder, "datumaro")["train"]
    assert found.labels == {0: "zebra", 1: "ant"}
    assert objects(found) == {
        "a": [("zebra", 20, 10, 30.5, 40), ("ant", 0, 0, 4, 5)], "empty": [],
    }  # fmt: skip
    assert [(e.height, e.width) for e in found.examples] == [(50, 100), (50, 100)]
    assert not found.tally.problems


@pytest.mark.parametrize(
    ("shape", "box"),
    [
        (part("polygon", points=[2, 1, 30, 5, 20, 11]), (1, 2, 11, 30)),
        (part("mask", rle=_RLE), (3, 1, 5, 2)),
        (part("ellipse", points=[2, 1, 30, 11]), (1, 2, 11, 30)),
        (part("cuboid_2d", points=[[2, 1], [30, 5], [20, 11]] * 2), (1, 2, 11, 30)),
    ],
)
def test_what_is_drawn_otherwise_is_its_bounds(tmp_path, shape, box):
    things, found = one(tmp_path, shape)
    assert things == [("zebra", *box)]
    assert found.tally.boxes == {OUTLINE: 1}


def test_points_and_lines_have_no_box_and_what_is_of_the_picture_is_no_object(tmp_path):
    things, found = one(
        tmp_path,
        part("points", points=[1, 2]),
        part("polyline", points=[1, 2, 3, 4]),
        part("label"),
        {"id": 0, "type": "caption", "attributes": {}, "group": 0, "caption": "a street"},
    )
    assert things == [] and found.tally.boxes == {NO_BOX: 2}


def test_an_outline_and_the_box_of_its_group_are_one_object(tmp_path):
    """As Datumaro writes what it read as COCO; the outline, 2, 1 to 50, 40, is the larger one."""
    outline = part("polygon", group=7, points=[2, 1, 50, 1, 50, 40])
    things, found = one(tmp_path, outline, part(group=7))
    assert things == [("zebra", 20, 10, 30.5, 40)]
    assert found.tally.boxes == {_BESIDE: 1}


def test_outlines_of_one_group_and_class_are_the_parts_of_one_object(tmp_path):
    first = part("polygon", group=7, points=[2, 1, 9, 1, 9, 4])
    second = part("mask", group=7, rle=_RLE)
    other = part("polygon", 1, group=7, points=[5, 6, 7, 6, 7, 9])
    things, found = one(tmp_path, first, other, second)
    assert things == [("zebra", 1, 1, 5, 9), ("ant", 6, 5, 9, 7)]
    assert found.tally.boxes == {JOINED: 1, OUTLINE: 1}


def test_a_group_of_boxes_is_one_of_objects(tmp_path):
    things, _ = one(tmp_path, part(group=7), part(group=7, bbox=[0, 0, 5, 4]))
    assert things == [("zebra", 20, 10, 30.5, 40), ("zebra", 0, 0, 4, 5)]


def test_a_crowd_is_one_of_its_parts_attributes(tmp_path):
    crowd = {"is_crowd": True}
    _, found = one(
        tmp_path,
        part("mask", group=1, rle=_RLE, attributes=crowd),
        part(group=1),
        part(attributes={"is_crowd": "true"}),
        part(attributes={"is_crowd": "false"}),
        part(attributes=None),
    )
    assert found.examples[0].is_crowd.tolist() == [True, True, False, False, False]


def test_a_box_that_cvat_has_turned_is_its_bounds(tmp_path):
    """20 x 10 about (30, 15), turned by a quarter: 10 x 20. An attribute of text turns nothing."""
    turned = part(bbox=[20, 10, 20, 10], attributes={"rotation": 90.0, "occluded": False})
    things, found = one(
        tmp_path, turned, *(part(attributes={"rotation": turn}) for turn in (0.0, "left"))
    )
    assert things == [("zebra", 5, 25, 25, 35)] + [("zebra", 20, 10, 30.5, 40)] * 2
    assert found.tally.boxes == {ROTATED: 1}


def test_subsets_are_splits_with_pictures_of_their_own(tmp_path):
    """Both have a picture of one name; the subset's name is that of its file and of its folder."""
    files = {
        "annotations/train.json": file(item("a", part())),
        "annotations/validation.json": file(item("a", part(label=1))),
    }
    found = read(make(tmp_path, files, "images/train/a.jpg images/validation/a.jpg"), "datumaro")
    assert {split: e.examples[0].image for split, e in found.items()} == {
        "train": str(tmp_path / "images/train/a.jpg"),
        "val": str(tmp_path / "images/validation/a.jpg"),
    }  # fmt: skip
    assert {split: objects(e)["a"][0][0] for split, e in found.items()} == {
        "train": "zebra", "val": "ant",
    }  # fmt: skip


def test_two_subsets_of_no_split_are_read_both_and_matched_by_name(tmp_path):
    files = {
        "annotations/day.json": file(item("a", part())),
        "annotations/night.json": file(item("b", part()), labels=("ant", "zebra")),
    }
    (found,) = read(
        make(tmp_path, files, "images/day/a.jpg images/night/b.jpg"), "datumaro"
    ).values()
    assert {key: things[0][0] for key, things in objects(found).items()} == {
        "a": "zebra", "b": "ant",
    }  # fmt: skip


def test_pictures_lie_elsewhere_or_were_no_part_of_the_set(tmp_path):
    """A path of another machine, pictures without subsets, and an item without its picture."""
    elsewhere = item("a", part()) | {"image": {"path": "/home/me/photos/a.jpg"}}
    without = {"id": "b", "annotations": [part()]}
    text = file(elsewhere, without)
    folder = make(tmp_path, {"annotations/train.json": text}, "images/a.jpg images/b.jpg")
    assert sorted(objects(read(folder, "datumaro")["train"])) == ["a", "b"]


def test_a_file_of_before_the_first_version_is_read(tmp_path):
    data = json.loads(file(item("a", part())))
    del data["dm_format_version"]
    folder = make(tmp_path, {"annotations/train.json": json.dumps(data)}, "images/train/a.jpg")
    assert objects(read(folder, "datumaro")["train"]) == {"a": [("zebra", 20, 10, 30.5, 40)]}


def test_other_files_beside_are_not_read(tmp_path):
    files = {
        "annotations/notes.json": "{}",
        "annotations/train.json": file(item("a", part())),
        "annotations/zoo.json": "[",
    }
    folder = make(tmp_path, files, "images/train/a.jpg")
    assert list(read(folder, "datumaro")) == ["train"]


def test_classes_named_as_keys_of_other_formats_make_no_other_format(tmp_path):
    names = ("segmentation", "image_id", "category_id", "shapes", "images", "item")
    folder = make(tmp_path, {"annotations/train.json": file(item("a", part()), labels=names)},
                  "images/train/a.jpg")  # fmt: skip
    assert read(folder, "datumaro")["train"].labels == {0: "segmentation"}


@pytest.mark.parametrize(
    ("broken", "words"),
    [
        (part(bbox=[1, 2, 3]), "its bbox [1, 2, 3] is not [x, y, width, height]"),
        (part(bbox="1234"), "its bbox '1234' is not"),
        (part(bbox=["left", 1, 2, 3]), "'left'"),
        (part(label=None), "its label_id None is no number of a class"),
        (part(label="cat"), "its label_id 'cat'"),
        (part("polygon", points=[1, 2, 3]), "shorter"),
        (part("polygon", points=[1, 2]), "fewer than two points"),
        (part("polygon"), "it has no 'points'"),
        (part("mask", rle={"size": [9, 0], "counts": "0"}), "the mask has the size 9 x 0"),
        (part("mask", rle={"size": [5, 5], "counts": "Zl1d0"}), "outside of its 5 x 5"),
        (part("rotated_bbox"), "'rotated_bbox' is no shape that edet knows"),
        ({"label_id": 0}, "it has no 'type'"),
        (3, "not subscriptable"),
    ],
)
def test_an_object_that_cannot_be_read_is_named(tmp_path, broken, words):
    things, found = one(tmp_path, broken, part())
    assert things == [("zebra", 20, 10, 30.5, 40)]
    (problem,) = found.tally.problems
    assert (problem["file"], problem["what"]) == ("a.jpg", DAMAGED)
    assert problem["detail"].startswith("object 1: ") and words in problem["detail"]


def test_a_class_that_is_not_listed_is_named(tmp_path):
    things, found = one(tmp_path, part(label=7), part())
    assert len(things) == 1
    assert [(p["file"], p["detail"]) for p in found.tally.problems] == [("a.jpg", "7")]


@pytest.mark.parametrize(
    ("broken", "words"),
    [
        (3, "'int'"),
        ({"annotations": []}, "it has no 'id'"),
        ({"id": "b"}, "it has no 'annotations'"),
        ({"id": "b", "annotations": 3}, "'int'"),
        ({"id": "b", "annotations": [], "image": "b.jpg"}, "'str'"),
        ({"id": "b", "annotations": [], "video_frame": {}}, "no picture but a video_frame"),
    ],
)
def test_an_item_that_cannot_be_read_is_named(tmp_path, broken, words):
    text = file(item("a", part()), broken)
    folder = make(tmp_path, {"annotations/train.json": text}, "images/train/a.jpg")
    found = read(folder, "datumaro")["train"]
    assert list(objects(found)) == ["a"]
    (problem,) = found.tally.problems
    assert (problem["file"], problem["what"]) == ("item 2 of annotations/train.json", BAD_IMAGE)
    assert words in problem["detail"]


def test_a_picture_that_is_not_there_is_named(tmp_path):
    text = file(item("a", part()), item("gone", part()))
    folder = make(tmp_path, {"annotations/train.json": text}, "images/train/a.jpg")
    found = read(folder, "datumaro")["train"]
    assert [p["file"] for p in found.tally.problems] == ["gone.jpg"]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (file(categories={}), "has no classes or no items .it has no 'label'.; export it"),
        (file(items=3), "has no classes or no items"),
        (file(labels=("", "ant")), "'' is no name"),
        (file(item("a"))[:-5], "is not JSON"),
    ],
)
def test_a_file_without_its_lists_is_refused_by_name(tmp_path, text, words):
    folder = make(tmp_path, {"annotations/train.json": text}, "images/train/a.jpg")
    with pytest.raises(UserError, match=f"annotations/train.json.*{words}"):
        read(folder, "datumaro")


def test_corners_where_sides_belong_are_refused_by_the_set(tmp_path):
    """Of 100 x 50 pixels: 90, 40 and 95, 45 are no sides of boxes that begin at 80, 30."""
    text = file(item("a", part(bbox=[80, 30, 90, 40]), part(bbox=[80, 35, 95, 45])))
    folder = make(tmp_path, {"annotations/train.json": text}, "images/train/a.jpg")
    with pytest.raises(UserError, match=r"look like corners \[xmin, ymin, xmax, ymax\]"):
        read(folder, "datumaro")


def test_a_set_of_no_items_is_refused_in_a_sentence(tmp_path):
    make(tmp_path, {"annotations/train.json": file()}, "images/train/a.jpg")
    source = open_folder(str(tmp_path))["train"]
    with pytest.raises(UserError, match="no images to write"):
        write_records(source, str(tmp_path / "records"), workers=1, progress=False)
