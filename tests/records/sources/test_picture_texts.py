"""DOTA's and OIDv4's texts, whose lines name the class."""

import pytest

from edet.records.sources.shapes import DAMAGED, ROTATED
from tests.records.sources.small_folders import make, objects, read

_DOTA = "imagesource:GoogleEarth\ngsd:0.146\n10 20 40 20 40 30 10 30 large-vehicle 0\n"


@pytest.mark.parametrize(
    ("line", "found", "note"),
    [
        ("0 0 6 0 6 5 0 5 plane 1", ("plane", 0, 0, 5, 6), None),
        ("0 0 6 0 6 5 0 5 plane", ("plane", 0, 0, 5, 6), None),
        ("4 0 8 4 4 8 0 4 tennis court 0", ("tennis court", 0, 0, 8, 8), ROTATED),  # a diamond
        ("0 0 6 0 6 5 0 plane 0", None, DAMAGED),
    ],
)
def test_a_line_of_dota_is_the_bounds_of_four_corners(tmp_path, line, found, note):
    files = {"train/labelTxt/a.txt": _DOTA + line, "train/labelTxt/b.txt": "gsd:0.1\n"}
    pictures = "train/images/a.png train/images/b.png val/images/a.png"
    source = read(make(tmp_path, files, pictures), "dota")["train"]
    first = ("large-vehicle", 20, 10, 30, 40)
    assert objects(source) == {"a": [first, *([found] if found else [])], "b": []}
    assert source.examples[0].image.endswith("train/images/a.png")
    assert dict(source.tally.boxes) == ({note: 1} if note else {})


def test_dota_counts_where_roboflow_adds_yolos_data_yaml(tmp_path):
    """It was a YOLO set without one label that could be read."""
    files = {
        "data.yaml": "train: ../train/images\nnames: [large-vehicle]\n",
        "train/labelTxt/a.txt": _DOTA,
    }
    source = read(make(tmp_path, files, "train/images/a.jpg"), "dota")["train"]
    assert objects(source) == {"a": [("large-vehicle", 20, 10, 30, 40)]}
    yolo = files | {"train/labels/a.txt": "0 0.5 0.5 0.5 0.5"}
    assert read(make(tmp_path, yolo), "yolo")["train"].labels == {0: "large-vehicle"}


@pytest.mark.parametrize(
    ("line", "found"),
    [
        ("Human face 10 20 40.5 30", ("Human face", 20, 10, 30, 40.5)),
        ("cat 10 20 40.5 30 difficult", ("cat", 20, 10, 30, 40.5)),  # for Cartucho's mAP
        ("cat 0.9 10 20 40.5 30", None),  # a detection with its score
        ("cat 10 20 40.5", None),
    ],
)
def test_a_line_of_oidv4_is_a_class_and_four_sides(tmp_path, line, found):
    files = {"train/cat/Label/a.txt": f"cat 0 0 6 5\n{line}\n"}
    source = read(make(tmp_path, files, "train/cat/a.jpg"), "oidv4")["train"]
    assert objects(source) == {"a": [("cat", 0, 0, 5, 6), *([found] if found else [])]}
    assert dict(source.tally.boxes) == ({} if found else {DAMAGED: 1})


def test_oidv4s_picture_of_two_classes_is_one_with_the_objects_of_both(tmp_path):
    """Each copy alone would teach that the other class is background."""
    files = {"train/cat/Label/a.txt": "cat 0 0 6 5\n", "train/dog/Label/a.txt": "dog 1 2 3 4\n"}
    source = read(make(tmp_path, files, "train/cat/a.jpg train/dog/a.jpg"), "oidv4")["train"]
    assert objects(source) == {"a": [("cat", 0, 0, 5, 6), ("dog", 2, 1, 4, 3)]}
    assert list(source.tally.images.values()) == [1]
