"""COCO instances JSON: sparse ids, xywh boxes, crowds, and files that are wrong."""

import json
import os

import numpy as np
import pytest

from edet.errors import UserError
from edet.records.sources.coco import read_coco

CATEGORIES = [{"id": 18, "name": "dog"}, {"id": 1, "name": "person"}, {"id": 90, "name": "brush"}]
IMAGES = [
    {"id": 7, "file_name": "a/7.jpg", "height": 10, "width": 20},
    {"id": 3, "file_name": "3.jpg", "height": 30, "width": 40},
]
UNREADABLE = "dropped: bbox of four numbers, class or iscrowd missing or unreadable"


def box(image_id=7, category_id=18, bbox=(1, 2, 3, 4), **others):
    return {"id": 5, "image_id": image_id, "category_id": category_id, "bbox": bbox, **others}


@pytest.fixture
def read(tmp_path):
    def read_json(annotations, categories=CATEGORIES, images=IMAGES):
        path = tmp_path / "instances.json"
        data = {"images": images, "categories": categories, "annotations": annotations}
        path.write_text(json.dumps(data))
        return read_coco(str(path), "photos")

    return read_json


def test_boxes_ids_crowds_and_areas_are_kept(read):
    source = read([box(area=5.5), box(category_id=90, bbox=[0, 0, 20, 10], iscrowd=1, area=99)])
    first, second = source.examples
    assert (first.image, first.source_id) == (os.path.join("photos", "a/7.jpg"), "7")
    assert (first.height, first.width) == (10, 20)
    # [x 1, y 2, width 3, height 4] is [ymin 2, xmin 1, ymax 6, xmax 4].
    assert first.boxes.tolist() == [[2, 1, 6, 4], [0, 0, 10, 20]]
    assert first.class_ids.tolist() == [18, 90]
    assert first.is_crowd.tolist() == [False, True]
    assert first.areas.tolist() == [5.5, 99]
    assert second.boxes.shape == (0, 4)
    assert source.labels == {18: "dog", 90: "brush"}  # no box is a person


def test_a_class_without_a_box_is_kept_if_asked_for(tmp_path):
    path = tmp_path / "instances.json"
    data = {"images": IMAGES, "categories": CATEGORIES, "annotations": [box()]}
    path.write_text(json.dumps(data))
    kept = read_coco(str(path), "photos", keep_unused=True)
    assert kept.labels == {1: "person", 18: "dog", 90: "brush"}
    given = read_coco(str(path), "photos", labels={0: "cat", 4: "dog"})
    assert (given.labels, given.examples[0].class_ids.tolist()) == ({0: "cat", 4: "dog"}, [4])


@pytest.mark.parametrize(
    ("outline", "bounds"),
    [
        ([[1, 2, 4, 2, 4, 6]], [2, 1, 6, 4]),
        ([[1, 2, 4, 2, 4, 6], [8, 1, 9, 1, 9, 3]], [1, 1, 6, 9]),  # of both parts
        # Columns from the left: 2 pixels of the second one (x 1), from y 3 on, in 10 rows.
        ({"size": [10, 20], "counts": [13, 2, 185]}, [3, 1, 5, 2]),
    ],
)
def test_the_bounds_of_an_outline_are_the_box_that_is_not_given(read, outline, bounds):
    source = read([{"id": 1, "image_id": 7, "category_id": 18, "segmentation": outline}])
    assert source.examples[0].boxes.tolist() == [bounds]
    assert source.tally.boxes == {"without bbox (bounds of the outline taken)": 1}


@pytest.mark.parametrize(
    "outline",
    [
        [],
        [[1, 2]],
        "mask",
        {"size": [10, 20], "counts": [200]},
        {"size": [10, 0], "counts": [0]},  # no column
        {"size": [10, 20], "counts": [190, 11]},  # 201 pixels in a mask of 200
    ],
)
def test_an_outline_of_nothing_is_dropped_and_reported(read, outline):
    source = read([{"id": 1, "image_id": 7, "category_id": 18, "segmentation": outline}, box()])
    assert len(source.examples[0].boxes) == 1
    assert source.tally.boxes == {UNREADABLE: 1}


def test_four_zeros_beside_an_outline_are_no_box(read):
    outline = [[1, 2, 4, 2, 4, 6]]
    source = read([box(bbox=[0, 0, 0, 0], segmentation=outline), box(bbox=[0, 0, 0, 0])])
    assert source.examples[0].boxes.tolist() == [[2, 1, 6, 4], [0, 0, 0, 0]]


def test_pictures_of_lvis_and_ids_of_text_are_read(read):
    images = [{"id": "front/7", "coco_url": "http://images.org/val2017/0007.jpg"}]
    (example,) = read([box(image_id="front/7")], images=images).examples
    assert (example.source_id, os.path.basename(example.image)) == ("front/7", "0007.jpg")


def test_iscrowd_as_text_is_a_number_or_a_word_and_what_tables_leave_empty_is_no_crowd(read):
    crowds = ("1", "1.0", "true", "Yes", True, 1.0)
    others = ("0", "0.0", "False", "no", "", 0, None, float("nan"))
    (first, _) = read([box(iscrowd=flag) for flag in (*crowds, *others)]).examples
    assert first.is_crowd.tolist() == [True] * 6 + [False] * 8


def test_a_missing_area_is_that_of_the_box(read):
    assert read([box()]).examples[0].areas.tolist() == [12]


def test_an_area_that_the_box_cannot_hold_is_that_of_the_box_and_reported(read):
    """Some tools write the photo's; a pixel on each side of 3 x 4 is left, which makes 5 x 6."""
    from_the_right = box(bbox=(4, 2, -3, 4), area=640 * 480)
    source = read([box(area=30), box(area=30.5), box(area=640 * 480), from_the_right])
    assert source.examples[0].areas.tolist() == [30, 12, 12, 12]
    assert source.tally.boxes["area larger than the box (that of the box taken)"] == 3


@pytest.mark.parametrize(
    "area", ["n/a", [], {"px": 3}, float("nan"), float("inf"), pytest.param(10**400, id="huge")]
)
def test_an_unreadable_area_is_that_of_the_box_and_reported(read, area):
    source = read([box(area=area), box(area="5.5")])
    assert source.examples[0].areas.tolist() == [12, 5.5]
    assert source.tally.boxes == ({"area unreadable (that of the box taken)": 1} if area else {})


def test_a_name_that_no_file_can_have_is_refused_with_the_file(read):
    """Half of a letter, which JSON can hold."""
    images = [{"id": 7, "file_name": "\ud83d.jpg", "height": 4, "width": 4}]
    with pytest.raises(UserError, match=r"instances.json is not a COCO .*ud83d"):
        read([], images=images)


def test_spaces_around_a_name_are_no_part_of_it_and_null_is_no_name(read):
    categories = [{"id": 1, "name": " cat "}, {"id": 2, "name": None}]
    source = read([box(category_id=k) for k in (1, 2)], categories=categories)
    assert source.labels == {1: "cat", 2: "class 2"}


def test_two_categories_of_one_id_are_refused_by_name(read):
    twice = [{"id": 1, "name": "cat"}, {"id": "1", "name": "dog"}]
    with pytest.raises(
        UserError, match="^[^ ]*instances.json has two .* id 1, 'cat' and 'dog'; give"
    ):
        read([], categories=twice)
    cats = read([box(category_id=1)], categories=[twice[0], twice[0]])
    assert cats.labels == {1: "cat"}


def test_the_mark_that_windows_editors_begin_a_text_with_is_no_part_of_it(tmp_path):
    path = tmp_path / "instances.json"
    path.write_text(json.dumps({"images": IMAGES, "categories": CATEGORIES}), "utf-8-sig")
    assert len(read_coco(str(path), "")) == 2


def test_ids_as_text_are_those_as_numbers(read):
    images = [IMAGES[0] | {"id": "7"}, IMAGES[1]]
    source = read([box(image_id="7"), box(), box(image_id="3"), box(image_id=3.0)], images=images)
    assert [len(example.boxes) for example in source.examples] == [2, 2]
    assert not source.tally.problems


def test_ids_from_zero_stay(read):
    source = read([box(category_id=0)], categories=[{"id": 0, "name": "cat"}])
    assert source.labels == {0: "cat"}
    assert source.examples[0].class_ids.tolist() == [0]


@pytest.mark.parametrize(
    ("annotation", "file", "what"),
    [
        *(
            (box(image_id=no_id), "annotation 5", "dropped: its image is not in the file")
            for no_id in (99, None, "seven", 7.5, "")
        ),
        (box(bbox=[1, 2, 3]), "a/7.jpg", UNREADABLE),
        (box(bbox=[1, 2, 3, "wide"]), "a/7.jpg", UNREADABLE),
        ({"id": 5, "image_id": 7}, "a/7.jpg", UNREADABLE),
        (box(iscrowd="maybe"), "a/7.jpg", UNREADABLE),
        (box(category_id=10**30), "a/7.jpg", UNREADABLE),
        (box(category_id=float("inf")), "a/7.jpg", UNREADABLE),
        (box(category_id=1.5), "a/7.jpg", UNREADABLE),
        (box(bbox=[1, 2, 3, 10**400]), "a/7.jpg", UNREADABLE),
        (box(image_id=float("inf")), "annotation 5", "dropped: its image is not in the file"),
    ],
)
def test_a_broken_annotation_is_dropped_and_reported(read, annotation, file, what):
    source = read([annotation, box()])
    assert len(source.examples[0].boxes) == 1
    (problem,) = source.tally.problems
    assert (problem["file"], problem["what"], problem["boxes"]) == (file, what, 1)


def test_an_image_given_twice_is_read_once(read):
    source = read([box()], images=[*IMAGES, IMAGES[0]])
    assert [example.source_id for example in source.examples] == ["7", "3"]
    assert source.tally.images == {"dropped: image id is given twice": 1}


def test_two_images_of_one_id_are_refused(read):
    """As of cocoutils-cv, whose second file of a program counts from 0 again beside the first."""
    images = [IMAGES[0], {"id": 7, "file_name": "b.jpg"}]
    with pytest.raises(UserError, match=r"two images of id 7, 'a/7\.jpg' and 'b\.jpg'; give each"):
        read([box()], images=images)


def test_an_image_that_cannot_be_read_is_reported_and_ends_no_file(read):
    """Such as a row that a table has without a name, or without an id."""
    wrong = [{"id": 1, "file_name": None}, {"file_name": "b.jpg"}, None]
    source = read([box(), box(image_id=1), None], images=[*wrong, IMAGES[0]])
    assert [(e.source_id, len(e.boxes)) for e in source.examples] == [("7", 1)]
    assert [problem["file"] for problem in source.tally.problems] == [
        "image 1 of instances.json", "image 2 of instances.json", "image 3 of instances.json",
        "annotation 5", "annotation 3",
    ]  # fmt: skip


@pytest.mark.parametrize("side", ["", None, float("nan"), float("inf"), "160 px", -1])
def test_a_side_that_is_no_number_of_pixels_is_as_one_that_is_not_given(read, side):
    (example,) = read([], images=[IMAGES[0] | {"width": side}]).examples
    assert (example.height, example.width) == (10, -1)


def test_a_file_without_annotations_has_images_without_boxes(tmp_path):
    path = tmp_path / "image_info.json"
    path.write_text(json.dumps({"images": IMAGES, "categories": CATEGORIES}))
    assert [len(example.boxes) for example in read_coco(str(path), "").examples] == [0, 0]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("{", "instances.json is not JSON"),
        ("[]", "has no images and categories"),
        ('{"images": [], "annotations": []}', "has no images and categories"),
        ('{"images": [{"id": 1}], "categories": []}', "image 1: it has no 'file_name'"),
        ('{"images": [], "categories": [{"name": "x"}]}', "category 1: it has no 'id'"),
        ('{"images": ["a.jpg"], "categories": []}', "image 1: "),
        ('{"images": {"1": {"id": 1}}, "categories": []}', "its images are no list"),
        ('{"images": [], "categories": {"1": "cat"}}', "its categories are no list"),
        ('{"images": [{"id": 1e400, "file_name": "a"}], "categories": []}', "image 1: id inf"),
        (f'{{"images": [], "categories": [{{"id": {10**30}, "name": "x"}}]}}', "0 is too large"),
        (f'{{"images": {"1" * 5000}, "categories": []}}', "is not JSON"),
        ('{"images": [], "categories": [{"id": -1, "name": "x"}]}', "category id -1"),
    ],
)
def test_another_kind_of_file_is_refused_in_words(tmp_path, text, words):
    path = tmp_path / "instances.json"
    path.write_text(text)
    with pytest.raises(UserError, match=words):
        read_coco(str(path), "")


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(UserError, match="^cannot read COCO annotations .*none.json"):
        read_coco(str(tmp_path / "none.json"), "")


def test_official_annotations_are_read_whole(shared):
    folder = shared / "data" / "coco_by70"
    paths = str(folder / "instances_by70.json"), str(folder / "images")
    source = read_coco(*paths, keep_unused=True)
    assert len(source) == 70
    assert sum(len(example.boxes) for example in source.examples) == 616
    assert sum(int(example.is_crowd.sum()) for example in source.examples) == 10
    assert (len(source.labels), max(source.labels)) == (80, 90)
    assert all(np.isfinite(example.boxes).all() for example in source.examples)
    assert not source.tally.problems
