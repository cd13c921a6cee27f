"""How the names that tools write find their pictures."""

import os

import pytest
import tensorflow as tf

from edet.errors import UserError
from edet.records.sources.folder import Folder, usual_split
from edet.records.sources.formats import recognise
from tests.records.sources.small_folders import make

FILES = ("train/street 1.jpg", "train/a.PNG", "val/b.jpg", "cam1/0.jpg", "cam2/0.jpg", "c.jpg")


@pytest.fixture
def folder(tmp_path):
    for name in (*FILES, "labels/c.txt", ".hidden/c.jpg"):
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.touch()
    return Folder(str(tmp_path))


@pytest.mark.parametrize(
    ("name", "file"),
    [
        ("train/street 1.jpg", "train/street 1.jpg"),
        ("street%201.jpg", "train/street 1.jpg"),
        ("images\\street 1.jpg", "train/street 1.jpg"),
        ("C:\\photos\\b.jpg", "val/b.jpg"),
        ("a.png", "train/a.PNG"),
        ("a.jpg", "train/a.PNG"),  # converted since
        ("old/cam2/0.jpg", "cam2/0.jpg"),
        ("/data/upload/1/1a2b3c4d-b.jpg", "val/b.jpg"),
        ("/data/local-files/?d=photos/b.jpg", "val/b.jpg"),
        ("https://host.org/photos/b.jpg?size=3", "val/b.jpg"),
        ("cam1/0", "cam1/0.jpg"),
    ],
)
def test_a_picture_is_found_as_tools_name_it(folder, name, file):
    assert folder.find(name) == folder.path(file)


def test_a_name_without_one_candidate_is_refused_and_the_nearest_named(folder):
    with pytest.raises(LookupError, match="0.jpg may be cam1/0.jpg or cam2/0.jpg in "):
        folder.find("0.jpg")
    with pytest.raises(LookupError, match="street_2.jpg is not in .*nearest name is train/street"):
        folder.find("street_2.jpg")
    assert folder.find("x/c.jpg") == folder.path("c.jpg")
    # Two names cannot both be the one file that is like them.
    with pytest.raises(LookupError, match="c.jpg is the only candidate, and that of x/c.jpg too"):
        folder.find("y/c.jpg")


def test_a_thumbnail_is_not_meant_where_the_photo_is_there(tmp_path):
    folder = make(tmp_path, {}, "images/0.jpg images/thumbs/0.jpg Thumbnails/1.jpg")
    assert folder.find("0.jpg") == folder.path("images/0.jpg")
    assert folder.find("1.jpg") == folder.path("Thumbnails/1.jpg")


def test_of_equal_names_that_of_the_split_is_meant(tmp_path):
    for split in ("train", "valid"):
        (tmp_path / split / "images").mkdir(parents=True)
        (tmp_path / split / "images" / "0.jpg").touch()
    folder = Folder(str(tmp_path))
    assert folder.find("0.jpg", split="val") == folder.path("valid/images/0.jpg")
    assert folder.find("images/0.jpg", base="train") == folder.path("train/images/0.jpg")


def test_a_link_that_leads_back_is_followed_once(folder):
    os.symlink(folder.root, folder.path("cam1/again"))
    assert folder.files.count("c.jpg") == 1
    assert len([name for name in folder.files if name.endswith("c.jpg")]) == 1


def test_a_link_to_what_is_gone_is_named(tmp_path):
    os.symlink("/nowhere", tmp_path / "a.json")
    with pytest.raises(UserError, match=r"cannot read .*/a\.json: .*No such file"):
        recognise(str(tmp_path))


def test_a_pipe_is_named_and_not_waited_for(tmp_path):
    os.mkfifo(tmp_path / "a.xml")
    with pytest.raises(UserError, match=r"cannot read .*a\.xml: it is a pipe"):
        Folder(str(tmp_path)).head("a.xml")


def test_a_name_that_is_not_utf_8_is_refused_with_its_folder(tmp_path):
    (tmp_path / "sub").mkdir()
    open(bytes(tmp_path) + b"/sub/bad\xff.jpg", "w").close()
    with pytest.raises(UserError, match="a file's name in .*sub is not UTF-8"):
        _ = Folder(str(tmp_path)).files


@pytest.mark.parametrize(
    ("path", "split"),
    [
        ("instances_train2017.json", "train"), ("valid", "val"), ("images/validation", "val"),
        ("Testing", "test"), ("constraints", ""), ("latest/photos", ""),
        ("TrainSet/a.jpg", "train"), ("testdata.json", "test"), ("valImages", "val"),
        ("traindeer", ""), ("dataset/images", ""),
    ],
)  # fmt: skip
def test_splits_go_by_their_usual_words(path, split):
    assert usual_split(path) == split


def test_pictures_of_another_splits_folder_are_not_those_of_an_annotations_own(tmp_path):
    """Unless the annotations are that split's: "training_data" is no word of theirs."""
    for name in ("test/a.jpg", "training_data/val2017/b.jpg"):
        (tmp_path / name).parent.mkdir(parents=True)
        (tmp_path / name).touch()
    folder = Folder(str(tmp_path))
    for name, base in (("a.jpg", "train"), ("train/img/a.jpg", "")):
        with pytest.raises(LookupError, match="a.jpg is not in"):
            folder.find(name, base=base, split="train")
    found = folder.find("b.jpg", base="training_data/annotations", split="val")
    assert found == folder.path("training_data/val2017/b.jpg")


def test_the_bucket_that_a_set_was_copied_from_is_not_asked(tmp_path, monkeypatch):
    (tmp_path / "img").mkdir()
    (tmp_path / "img/a.jpg").touch()
    monkeypatch.setattr(tf.io.gfile, "exists", None)
    folder = Folder(str(tmp_path))
    assert folder.find("gs://bucket/img/a.jpg") == folder.path("img/a.jpg")


def test_a_name_that_is_like_an_address_and_is_none_is_missing(tmp_path):
    (tmp_path / "a.jpg").touch()
    with pytest.raises(LookupError, match="is not in"):
        Folder(str(tmp_path)).find("http://[::1/b.jpg")
