"""Open Images CSV: shares, groups as crowds, names of classes, and pictures that one has."""

import pytest

from edet.errors import UserError
from edet.records.sources.shapes import BAD_IMAGE, DAMAGED
from tests.records.sources.small_folders import make, objects, read

_HEADER = "ImageID,Source,LabelName,Confidence,XMin,XMax,YMin,YMax,IsOccluded,IsGroupOf\n"
_NAMES = 'LabelName,DisplayName\n/m/1,Cat\n/m/2,"Dog, small"\n'


def test_boxes_are_shares_groups_are_crowds_and_classes_have_names(tmp_path):
    rows = [
        "a,xclick,/m/1,1,0.25,0.75,0.5,1,0,0",
        "a,xclick,/m/2,1,0,0.5,0,0.25,0,1",
        "b,xclick,/m/3,1,0,0.5,0,0.25,0,-1",
        "a,xclick,/m/1,1,left,0.5,0,0.25,0,0",
        "absent1,xclick,/m/1,1,0,1,0,1,0,0",
        "absent2,xclick,/m/1,1,0,1,0,1,0,0",
        ",xclick,/m/1,1,0,1,0,1,0,0",
    ]
    files = {
        "train-annotations-bbox.csv": _HEADER + "\n".join(rows),
        "oidv7-class-descriptions-boxable.csv": _NAMES,
        "train-images-boxable.csv": "ImageID,Subset\na,train\nempty,train\nabsent3,train\n",
        "test-images.csv": "ImageID,Subset\nc,test\n",
    }
    source = read(make(tmp_path, files, "train/a.jpg train/b.jpg empty.JPG c.jpg"), "open_images")[
        "train"
    ]
    assert objects(source) == {
        "a": [("Cat", 0.5, 0.25, 1, 0.75), ("Dog, small", 0, 0, 0.25, 0.5)],
        "b": [("/m/3", 0, 0, 0.25, 0.5)],
        "empty": [],
    }
    assert all(example.relative for example in source.examples)
    assert source.examples[0].is_crowd.tolist() == [False, True]
    assert source.tally.boxes == {DAMAGED: 1}
    assert source.tally.images == {BAD_IMAGE: 1, "dropped: image missing or unreadable": 1}
    details = [p.get("detail", "") for p in source.tally.problems]
    assert any(detail.startswith("2 pictures, such as absent1") for detail in details)


def test_a_set_without_any_of_its_pictures_is_refused(tmp_path):
    text = _HEADER + "a,xclick,/m/1,1,0.25,0.75,0.5,1,0,0"
    with pytest.raises(UserError, match=r"bbox\.csv: no picture was found; the first: a is not in"):
        read(make(tmp_path, {"val-annotations-bbox.csv": text}, "b.jpg"), "open_images")
