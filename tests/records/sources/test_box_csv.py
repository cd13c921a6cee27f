"""Plain CSV: RetinaNet's columns, TensorFlow's by their header, and other delimiters."""

import pytest

from edet.errors import UserError
from edet.records.sources.shapes import BAD_IMAGE, DAMAGED
from tests.records.sources.small_folders import make, objects, read

_CAT = ("cat", 20, 10, 30, 40.5)


@pytest.mark.parametrize(
    "text",
    [
        "a.jpg,10,20,40.5,30,cat\nb.jpg,,,,,\n",
        "\ufeffa.jpg;10;20;40,5;30;cat\r\nb.jpg;;;;;\r\n",  # a German Excel
        "filename,width,height,class,xmin,ymin,xmax,ymax\na.jpg,60,50,cat,10,20,40.5,30\nb.jpg,60,50,,,,,\n",
        "ymax,ymin,xmax,xmin,Label,Image_Path,score\n30,20,40.5,10,cat,a.jpg,1\n,,,,none,b.jpg,\n",
        "x1\ty1\tx2\ty2\tclass_name\timage_id\n10\t20\t40.5\t30\tcat\ta\n\t\t\t\t\tb\n",
        'image|class|xmin|ymin|xmax|ymax\n"a.jpg"|cat|10|20|40.5|30\n\nb.jpg|||||\n',
    ],
    ids=["retinanet", "semicolons", "tensorflow", "any order", "tabs", "bars"],
)  # fmt: skip
def test_columns_are_found_and_rows_without_a_box_are_pictures_without_objects(tmp_path, text):
    source = read(make(tmp_path, {"boxes.csv": text}, "images/a.jpg images/b.jpg"), "csv")[""]
    assert [*objects(source).values()] == [[_CAT], []]
    sizes = {(example.height, example.width) for example in source.examples}
    assert sizes == ({(50, 60)} if "height" in text else {(-1, -1)})
    assert not source.tally.problems


def test_retinanets_second_file_gives_the_ids(tmp_path):
    files = {
        "train.csv": "a.jpg,10,20,40.5,30,cat\na.jpg,0,0,2,1,eel\n",
        "classes.csv": "dog,0\ncat,1\n",
    }
    source = read(make(tmp_path, files, "a.jpg"), "csv")["train"]
    assert source.labels == {1: "cat"} and objects(source) == {"a.jpg": [_CAT]}
    assert source.tally.boxes == {"dropped: class not in the labels": 1}


def test_damaged_rows_are_named_and_the_others_read(tmp_path):
    rows = [
        "a.jpg,cat,10,20,40.5,30",
        "a.jpg,cat,ten,20,40.5,30",
        "a.jpg,cat",
        ",cat,1,2,3,4",
        "a.jpg,,1,2,3,4",
    ]
    text = "filename,class,xmin,ymin,xmax,ymax\n" + "\n".join(rows)
    source = read(make(tmp_path, {"train/_annotations.csv": text}, "train/a.jpg"), "csv")["train"]
    assert objects(source) == {"a.jpg": [_CAT]}
    assert source.tally.boxes == {DAMAGED: 2} and source.tally.images == {BAD_IMAGE: 2}
    assert {p["file"] for p in source.tally.problems} == {
        "a.jpg", "line 4 of train/_annotations.csv", "line 5 of train/_annotations.csv",
    }  # fmt: skip


def test_shares_and_widths_in_place_of_corners_are_refused(tmp_path):
    header = "filename,width,height,class,xmin,ymin,xmax,ymax\n"
    for k, (row, words) in enumerate(
        [
            ("a.jpg,60,50,cat,0.1,0.2,0.5,0.9\n", "look like shares of the picture"),
            ("a.jpg,60,50,cat,10,20,30,10\n", r"look like \[x, y, width, height\]"),
        ]
    ):
        with pytest.raises(UserError, match=words):
            read(make(tmp_path / str(k), {"a.csv": header + row}, "a.jpg"), "csv")
