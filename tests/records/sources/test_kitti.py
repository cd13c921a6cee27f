"""KITTI: lines of 15 or 16 columns, pictures of the left camera, and those without a text file."""

import pytest

from edet.records.sources import kitti
from edet.records.sources.shapes import DAMAGED, NO_FILE
from tests.records.sources.small_folders import make, objects, read

_SCENE = "1.65 1.67 3.64 -0.65 1.71 46.70 -1.59"


def line(name="Car", box="10.5 20 40 30", head="0.00 0 -1.57", more="") -> str:
    return f"{name} {head} {box} {_SCENE} {more}".strip()


@pytest.mark.parametrize(
    ("text", "found", "note"),
    [
        (line(), ("Car", 20, 10.5, 30, 40), None),
        (line(more="0.9"), ("Car", 20, 10.5, 30, 40), None),  # a score
        (line("traffic light", more="1.0"), ("traffic light", 20, 10.5, 30, 40), None),
        (line("7"), ("7", 20, 10.5, 30, 40), None),
        (line("DontCare", head="-1 -1 -10"), None, "dropped: DontCare region (of no class)"),
        ("Car 0 0 0 1 2 3 4", None, DAMAGED),
        (line(box="a 20 40 30"), None, DAMAGED),
    ],
)
def test_a_line_is_an_object_or_named(tmp_path, text, found, note):
    files = {"training/label_2/000000.txt": f"{line('Cyclist', '0 0 2 1')}\n{text}\n"}
    pictures = "training/image_2/000000.png training/image_3/000000.png"
    source = read(make(tmp_path, files, pictures), "kitti")["train"]
    assert objects(source) == {"000000": [("Cyclist", 0, 0, 1, 2), *([found] if found else [])]}
    assert source.examples[0].image.endswith("image_2/000000.png")
    assert dict(source.tally.boxes) == ({note: 1} if note else {})


def test_empty_and_missing_text_files_are_pictures_without_objects(tmp_path):
    files = {"labels/a.txt": line(), "labels/b.txt": "", "calib/a.txt": "P0: 7.2 0.0 6.0\n"}
    source = read(make(tmp_path, files, "images/a.jpg images/b.jpg images/c.jpg"), "kitti")[""]
    assert objects(source) == {"a": [("Car", 20, 10.5, 30, 40)], "b": [], "c": []}
    assert source.tally.images == {NO_FILE: 1}


def test_splits_are_folders_and_labels_may_lie_beside_pictures(tmp_path):
    files = {"train/a.txt": line(), "val/a.txt": line("Van")}
    found = read(make(tmp_path, files, "train/a.jpg val/a.jpg"), "kitti")
    assert {split: list(objects(source)) for split, source in found.items()} == {
        "train": ["a"],
        "val": ["a"],
    }
    assert found["train"].labels == found["val"].labels == {1: "Car", 2: "Van"}


def test_outlines_of_yolo_are_not_taken_for_kitti(tmp_path):
    for points in (7, 8, 20):
        text = "0 " + " ".join(f"0.{k}1 0.{k}2" for k in range(points))
        folder = make(tmp_path, {"labels/a.txt": text}, "images/a.jpg")
        assert kitti.splits(folder) == {}
