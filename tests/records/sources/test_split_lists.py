"""Sets that lists of names divide, as train.txt beside the folders of pictures and labels."""

import os

import pytest

from edet.records.sources.formats import open_folder
from tests.records.sources.small_folders import make

_YOLO = {"classes.txt": "cat\n", **{f"{k}.txt": "0 .5 .5 .2 .2\n" for k in ("a/0", "b/0", "b/1")}}
_PICTURES = "a/0.jpg b/0.jpg b/1.jpg"


def pictures(sets, root):
    return {k: [os.path.relpath(e.image, root) for e in v.examples] for k, v in sets.items()}


@pytest.mark.parametrize(
    ("train", "val"),
    [
        ("a/0\nb/1\n", "b/0\n"),
        ("./a/0.jpg ./a/0.txt\n./b/1.jpg ./b/1.txt\n", "./b/0.jpg ./b/0.txt\n"),
        ("/content/set/a/0.jpg\n\n/content/set/b/1.jpg\n", "C:\\set\\b\\0.jpg\n"),
    ],
)
def test_pictures_are_of_the_list_that_names_them(tmp_path, train, val):
    folder = make(tmp_path, {**_YOLO, "train_list.txt": train, "val.txt": val}, _PICTURES)
    sentences = []
    found = open_folder(folder.root, log=sentences.append)
    assert pictures(found, folder.root) == {"train": ["a/0.jpg", "b/1.jpg"], "val": ["b/0.jpg"]}
    assert any("val.txt names 1 pictures of the split val." in one for one in sentences)


def test_what_no_list_names_is_the_rest_and_other_texts_are_no_lists(tmp_path):
    texts = {"train.txt": "a/0\ngone\n", "val.txt": "b/0\n", "test.txt": "b/1\nsome\nnotes\n"}
    folder = make(tmp_path, {**_YOLO, **texts}, _PICTURES)
    found = open_folder(folder.root)
    assert pictures(found, folder.root) == {
        "train": ["a/0.jpg"], "val": ["b/0.jpg"], "rest": ["b/1.jpg"],
    }  # fmt: skip


def test_words_behind_names_count_for_nothing_and_trainval_is_for_training(tmp_path):
    """As in the Oxford-IIIT pets, whose pictures of test have no boxes."""
    texts = {"list.txt": "#\na/0 1 1 1\n", "trainval.txt": "b/0 1 1 1\n", "test.txt": "b/1 2 1 1\n"}
    found = open_folder(make(tmp_path, {**_YOLO, **texts}, "b/0.jpg b/1.jpg").root)
    assert pictures(found, tmp_path) == {"train": ["b/0.jpg"], "test": ["b/1.jpg"]}
    texts["train.txt"] = "b/1\n"  # then trainval is of both
    del texts["test.txt"]
    found = open_folder(make(tmp_path / "2", {**_YOLO, **texts}, "b/0.jpg b/1.jpg").root)
    assert pictures(found, tmp_path / "2") == {"train": ["b/1.jpg"], "rest": ["b/0.jpg"]}


_CSV = "path,xmin,ymin,xmax,ymax,label\n"


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        ("train/0 val/1", {"train": ["train/0.jpg"], "val": ["val/1.jpg"]}),
        ("train/0 train/1", {"": ["train/0.jpg", "train/1.jpg"]}),
        ("train/0 more/1", {"": ["train/0.jpg", "more/1.jpg"]}),
        ("test/0 val/1", {"": ["test/0.jpg", "val/1.jpg"]}),
    ],
)
def test_folders_of_pictures_tell_the_splits_of_one_file_of_annotations(tmp_path, names, expected):
    """Where all pictures lie in such a folder; they were mixed and divided by chance."""
    rows = "".join(f"{name}.jpg,1,2,3,4,cat\n" for name in names.split())
    folder = make(tmp_path, {"all.csv": _CSV + rows}, " ".join(f"{n}.jpg" for n in names.split()))
    assert pictures(open_folder(folder.root), folder.root) == expected
