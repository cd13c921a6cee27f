"""YOLO sets of Ultralytics and Roboflow: ids from 0, outlines, pictures without text."""

import pytest

from edet.errors import UserError
from edet.records.sources.folder import Folder
from edet.records.sources.yolo import read, splits
from tests.records.sources.small_folders import make

ROBOFLOW = "train: ../train/images\nval: ../valid/images\nnc: 2\nnames: ['zebra', 'apple']\n"
ULTRALYTICS = (
    "path: /elsewhere/set\ntrain: images/train\nval: images/val\nnames:\n  0: zebra\n  1: apple\n"
)


def read_split(folder, split="train"):
    return read(folder, split, splits(folder)[split])


@pytest.mark.parametrize(
    ("yaml", "images", "labels"),
    [
        (ROBOFLOW, "train/images", "train/labels"),
        (ULTRALYTICS, "images/train", "labels/train"),
        (ULTRALYTICS.replace("images/train", "[images/train]"), "images/train", "labels/train"),
        (ULTRALYTICS.replace("images/train", "list.txt"), "photos", "photos"),
    ],
)
def test_pictures_and_labels_are_found_in_each_layout(tmp_path, yaml, images, labels):
    (tmp_path / "data.yaml").write_text(yaml)
    (tmp_path / "list.txt").write_text(f"./{images}/a.jpg\n")
    for folder in {images, labels}:
        (tmp_path / folder).mkdir(parents=True)
    (tmp_path / images / "a.jpg").touch()
    (tmp_path / labels / "a.txt").write_text("1 0.5 0.25 0.5 0.5\n")
    found = read_split(Folder(str(tmp_path)))
    assert found.labels == {0: "zebra", 1: "apple"}
    (image,) = found.images
    assert image.name == f"{images}/a.jpg"
    assert image.objects == [(1, (0.5, 0.25, 0.5, 0.5), False, 0.0)]
    assert found.relative


def test_outlines_become_bounds_and_pictures_without_objects_stay(tmp_path):
    (tmp_path / "data.yaml").write_text(ROBOFLOW)
    folder = tmp_path / "train"
    for name in ("images", "labels"):
        (folder / name).mkdir(parents=True)
    for stem in "abc":
        (folder / "images" / f"{stem}.jpg").touch()
    (folder / "labels" / "a.txt").write_text(
        "0 0.25 0.25 0.75 0.25 0.75 0.5\n1 .5 .5 .2 .2 0.93\n\n"
        "0 0.5 0.5 1\nx 1 1 1 1\n1.5 0 0 1 1\n"
    )
    (folder / "labels" / "b.txt").touch()
    found = read_split(Folder(str(tmp_path)))
    assert [image.source_id for image in found.images] == ["a", "b", "c"]
    assert [thing.box for thing in found.images[0].objects] == [
        (0.5, 0.375, 0.5, 0.25), (0.5, 0.5, 0.2, 0.2),
    ]  # fmt: skip
    assert [len(image.objects) for image in found.images[1:]] == [0, 0]
    assert found.tally.images == {"without annotation file (taken as without objects)": 1}
    assert found.tally.boxes == {
        "outline instead of a box (its bounds taken)": 1,
        "dropped: line of another form than `class x y width height` or an outline": 3,
    }


def test_equal_stems_keep_their_endings(tmp_path):
    (tmp_path / "data.yaml").write_text(ROBOFLOW)
    (tmp_path / "train/images").mkdir(parents=True)
    for name in ("a.jpg", "a.png"):
        (tmp_path / "train/images" / name).touch()
    found = read_split(Folder(str(tmp_path)))
    assert [image.source_id for image in found.images] == ["a.jpg", "a.png"]


def test_names_that_are_no_names_are_refused(tmp_path):
    (tmp_path / "data.yaml").write_text("train: images\nnames:\n  zero: zebra\n")
    (tmp_path / "images").mkdir()
    (tmp_path / "images" / "a.jpg").touch()
    with pytest.raises(UserError, match="data.yaml: names must be a list, or a map of whole"):
        read_split(Folder(str(tmp_path)))
    assert splits(Folder(str(tmp_path / "images"))) == {}


@pytest.mark.parametrize("name", ["coco.names", "names.txt", "labels/classes.txt", "class.txt"])
def test_lists_of_names_are_known_by_their_usual_names(tmp_path, name):
    """Spaces around a class are no part of it."""
    files = {name: " zebra\napple \n", "labels/a.txt": "1 0.5 0.25 0.5 0.5\n"}
    found = read_split(make(tmp_path, files, "images/a.jpg"), "")
    assert found.labels == {0: "zebra", 1: "apple"}


def test_a_photo_saved_with_two_endings_has_its_labels_twice(tmp_path):
    """As Ultralytics reads it; without them the second would be one without objects."""
    files = {"data.yaml": ROBOFLOW, "train/labels/a.txt": "1 0.5 0.25 0.5 0.5\n"}
    found = read_split(make(tmp_path, files, "train/images/a.jpg train/images/a.png"))
    assert [len(image.objects) for image in found.images] == [1, 1]


def test_thumbnails_and_drawings_are_no_pictures_without_objects(tmp_path):
    """They are called as pictures with labels, and none of their folder has any."""
    label = "1 0.5 0.25 0.5 0.5\n"
    files = {"classes.txt": "zebra\napple\n", "labels/c1/0.txt": label, "labels/c2/1.txt": label}
    pictures = "images/c1/0.jpg images/c2/0.jpg images/c2/1.jpg thumbs/0.jpg empty/7.jpg"
    found = read_split(make(tmp_path, files, pictures), "")
    assert {image.name: len(image.objects) for image in found.images} == {
        "empty/7.jpg": 0, "images/c1/0.jpg": 1, "images/c2/0.jpg": 0, "images/c2/1.jpg": 1,
    }  # fmt: skip
    assert [p["file"] for p in found.tally.problems if p["what"].startswith("dropped")] == [
        "thumbs/0.jpg"
    ]


def test_lines_that_count_from_1_are_refused(tmp_path):
    """Class 1 would be called apple, which is the second name; 2 would be no class."""
    line = "{} 0.5 0.25 0.5 0.5\n"
    files = {"data.yaml": ROBOFLOW, "train/labels/a.txt": line.format(1) + line.format(2)}
    with pytest.raises(UserError, match=r"classes 0 to 1, and the lines .* from 1 to 2; if these"):
        read_split(make(tmp_path, files, "train/images/a.jpg"))


def test_labels_without_a_picture_are_named_where_no_folder_tells_the_split(tmp_path):
    """As of a photo whose ending is none of a picture."""
    label = "1 0.5 0.25 0.5 0.5\n"
    files = {
        "data.yaml": "train: images\nnames: [zebra, apple]\n", "images/b.heic": "",
        "labels/a.txt": label, "labels/b.txt": label,
    }  # fmt: skip
    found = read_split(make(tmp_path, files, "images/a.jpg"))
    (problem,) = found.tally.problems
    assert problem["file"] == "labels/b.txt" and "picture that is not there" in problem["what"]
