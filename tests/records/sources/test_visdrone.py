"""VisDrone's text: its ten classes, what is ignored, its folders, and texts of other formats."""

import pytest

from edet.errors import UserError
from edet.records.sources.formats import FORMATS, open_folder
from edet.records.sources.shapes import BAD_FILE, DAMAGED
from tests.records.sources.small_folders import make, objects, read

_REGION = "dropped: ignored region (of no class)"
_OTHERS = 'dropped: "others" (of no class)'
_LINE = "10,20,30,11,1,4,0,1"  # a car from x 10 to 40 and y 20 to 31
_TRAIN, _VAL = "VisDrone2019-DET-train", "VisDrone2019-DET-val"


def one(tmp_path, text, picture="images/a.jpg"):
    (found,) = read(make(tmp_path, {"annotations/a.txt": text}, picture), "visdrone").values()
    return found


def test_a_line_is_a_box_of_one_of_ten_classes(tmp_path):
    """Some of VisDrone's files end their lines with a comma; numbers are the toolkit's."""
    found = one(tmp_path, f"{_LINE}\n0,0,5,6,1,1,0,0,\n\n1,2,3,4,1,10,1,2\n")
    assert found.labels == {1: "pedestrian", 4: "car", 10: "motor"}
    assert objects(found) == {
        "a": [("car", 20, 10, 31, 40), ("pedestrian", 0, 0, 6, 5), ("motor", 2, 1, 6, 4)]
    }


def test_regions_and_others_are_no_objects(tmp_path):
    found = one(tmp_path, f"{_LINE}\n0,0,90,90,0,0,0,0\n5,5,9,9,0,11,0,0\n5,5,9,9,1,11,0,0")
    assert objects(found)["a"] == [("car", 20, 10, 31, 40)]
    assert found.tally.boxes == {_REGION: 1, _OTHERS: 2}


def test_an_object_that_evaluation_leaves_out_is_a_crowd(tmp_path):
    found = one(tmp_path, f"{_LINE}\n10,20,30,11,0,4,0,1")
    assert found.examples[0].is_crowd.tolist() == [False, True]


def test_splits_are_the_folders(tmp_path):
    """Ids are names without folders that say the split; an empty text is no objects."""
    files = {
        f"{_TRAIN}/annotations/0000001_d_01.txt": _LINE,
        f"{_VAL}/annotations/0000001_d_01.txt": _LINE.replace(",4,", ",1,"),
        f"{_VAL}/annotations/b.txt": "",
        "VisDrone2019-DET-test-dev/annotations/c.txt": _LINE,
    }
    pictures = (f"{_TRAIN}/images/0000001_d_01.jpg {_VAL}/images/0000001_d_01.jpg "
                f"{_VAL}/images/b.jpg VisDrone2019-DET-test-dev/images/c.png")  # fmt: skip
    found = read(make(tmp_path, files, pictures), "visdrone")
    assert {split: objects(each) for split, each in found.items()} == {
        "test": {"c": [("car", 20, 10, 31, 40)]},
        "train": {"0000001_d_01": [("car", 20, 10, 31, 40)]},
        "val": {"0000001_d_01": [("pedestrian", 20, 10, 31, 40)], "b": []},
    }
    assert found["val"].examples[0].image == str(tmp_path / f"{_VAL}/images/0000001_d_01.jpg")


def test_texts_beside_pictures_and_pictures_without_a_text(tmp_path):
    """VisDrone writes a text for each picture, so one without is not known to be empty."""
    (found,) = read(make(tmp_path, {"a.txt": _LINE}, "a.jpg b.jpg"), "visdrone").values()
    assert list(objects(found)) == ["a"]


@pytest.mark.parametrize(
    ("broken", "words"),
    [
        ("1,2,3,4,1,4,0", "7 fields, not 8"),
        ("1,2,3,4,1,4,0,0,0", "9 fields, not 8"),
        ("1,2,3,4,0.93,4,0,0", "its numbers are not whole"),
        ("1,2,3,inf,1,4,0,0", "its numbers are not whole"),
        ("1,2,3,4,7,4,0,0", "its score 7 is neither 0 nor 1"),
        ("1,2,3,4,1,12,0,0", "its category 12 is none of VisDrone's, 0 to 11"),
        ("1,2,3,4,1,car,0,0", "could not convert string to float: 'car'"),
    ],
)
def test_a_line_that_cannot_be_read_is_named(tmp_path, broken, words):
    found = one(tmp_path, f"{_LINE}\n{broken}")
    assert len(objects(found)["a"]) == 1
    (problem,) = found.tally.problems
    assert (problem["file"], problem["what"]) == ("annotations/a.txt", DAMAGED)
    assert problem["detail"] == f"object 2: {words}"


def test_a_file_that_cannot_be_read_is_named(tmp_path):
    files = {"annotations/a.txt": _LINE, "annotations/b.txt": b"\xff\xfe\xff"}
    (found,) = read(make(tmp_path, files, "images/a.jpg images/b.jpg"), "visdrone").values()
    assert [(p["file"], p["what"]) for p in found.tally.problems] == [
        ("annotations/b.txt", BAD_FILE)
    ]


def test_a_picture_that_is_not_there_is_named(tmp_path):
    with pytest.raises(UserError, match="no picture was found; the first: images/a.jpg is not in"):
        open_folder(make(tmp_path, {"annotations/a.txt": _LINE}).root)


@pytest.mark.parametrize(
    ("other", "text"),
    [
        ("kitti", "Car 0.00 0 -1.57 10 20 40 30 1.65 1.67 3.64 -0.65 1.71 46.70 -1.59"),
        ("yolo", "4 0.5 0.5 0.25 0.25"),
        ("", "377,117,463,117,465,130,378,130"),  # ICDAR: corners of a word
        ("", "10,20,30,11,0.93,4,-1,-1"),  # detections, as they are sent to VisDrone
        ("", "1,2,10,20,30,11,1,4,0,1"),  # VisDrone's videos: frame and target come first
        ("", "1,1,912,484,97,109,0,7,1"),  # MOT
    ],
)
def test_texts_of_other_formats_are_not_taken(tmp_path, other, text):
    files = {"labels/a.txt": text, "classes.txt": "a\nb\nc\nd\ne"}
    folder = make(tmp_path, files, "images/a.jpg")
    assert not FORMATS["visdrone"].splits(folder)
    if other:
        assert objects(next(iter(read(folder, other).values())))["a"]
    else:
        with pytest.raises(UserError, match="holds no annotations"):
            open_folder(folder.root)


def test_names_of_classes_beside_it_make_no_yolo_set(tmp_path):
    files = {"annotations/a.txt": _LINE, "classes.txt": "car\nbus"}
    (found,) = read(make(tmp_path, files, "images/a.jpg"), "visdrone").values()
    assert len(objects(found)["a"]) == 1
