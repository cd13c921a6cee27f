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
