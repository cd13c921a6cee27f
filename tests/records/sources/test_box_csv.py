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
        "image\tclass\txmin\tymin\txmax\tymax\na.jpg\tcat\t10\t20\t40,5\t30\nb.jpg\t\t\t\t\t\n",
        'image, class, xmin, ymin, xmax, ymax\n"a.jpg", "cat", 10, 20, 40.5, 30\nb.jpg, , , , , \n',
        "ImageName,x,y,w,h,ClassName\na.jpg,10,20,30.5,10,cat\nb.jpg,,,,,\n",
        "filename,x,y,width,height,label\na.jpg,10,20,30.5,10,cat\nb.jpg,,,,,\n",
        "Path;Roi.X1;Roi.Y1;Roi.X2;Roi.Y2;ClassId\na.jpg;10;20;40.5;30;cat\nb.jpg;;;;;\n",
        "a.jpg,10,20,40.5,30,cat,60,50\nb.jpg,,,,,,60,50\n",
        "filename,x_center,y_center,width,height,class\na.jpg,25.25,25,30.5,10,cat\nb.jpg,,,,,\n",
        "img,image_width,image_height,xc,yc,w,h,label\na.jpg,60,50,25.25,25,30.5,10,cat\nb.jpg,60,50,,,,,\n",
        "image,cx,cy,width,height,image_width,image_height,label\na.jpg,25.25,25,30.5,10,60,50,cat\nb.jpg,,,,,60,50,\n",
        "image,width,height,x0,y0,x1,y1,label\na.jpg,60,50,10,20,40.5,30,cat\nb.jpg,60,50,,,,,\n",
        "filename,startX,startY,endX,endY,label\na.jpg,10,20,40.5,30,cat\nb.jpg,,,,,\n",
        "image,label,x_tl,y_tl,x_br,y_br\na.jpg,cat,10,20,40.5,30\nb.jpg,,,,,\n",
        "Filename;Annotation tag;Upper left corner X;Upper left corner Y;Lower right corner X;"
        "Lower right corner Y\nday/a.jpg;cat;10;20;40,5;30\nb.jpg;;;;;\n",
    ],
    ids=[
        "retinanet", "semicolons", "tensorflow", "any order", "tabs", "bars", "tabs and commas",
        "quotes behind spaces", "corner and sides", "sides called as a picture's", "gtsrb",
        "sku-110k", "centres", "centres and the picture's sides", "centres with any sides",
        "corners 0 and 1", "start and end", "upper left and lower right", "lisa",
    ],
)  # fmt: skip
def test_columns_are_found_and_rows_without_a_box_are_pictures_without_objects(tmp_path, text):
    source = read(make(tmp_path, {"boxes.csv": text}, "images/a.jpg images/b.jpg"), "csv")[""]
    assert [*objects(source).values()] == [[_CAT], []]
    sizes = {(example.height, example.width) for example in source.examples}
    assert sizes == ({(50, 60)} if "60,50" in text else {(-1, -1)})
    assert not source.tally.problems


def test_retinanets_second_file_gives_the_ids(tmp_path):
    files = {
        "train.csv": "a.jpg,10,20,40.5,30,cat\na.jpg,0,0,2,1,eel\n",
        "classes.csv": "dog,0\ncat,1\n",
    }
    source = read(make(tmp_path, files, "a.jpg"), "csv")["train"]
    assert source.labels == {1: "cat"} and objects(source) == {"a.jpg": [_CAT]}
    assert source.tally.boxes == {"dropped: class not in the labels": 1}


def test_a_class_is_the_same_number_beside_rows_without_one(tmp_path):
    """Where pandas has a column with gaps, it writes 3 as 3.0."""
    header, box = "filename,xmin,ymin,xmax,ymax,class\n", "10,20,40.5,30"
    files = {
        "train.csv": f"{header}a.jpg,{box},3.0\nb.jpg,,,,,\n", "val.csv": f"{header}c.jpg,{box},3\n"
    }  # fmt: skip
    sets = read(make(tmp_path, files, "a.jpg b.jpg c.jpg"), "csv")
    assert sets["train"].labels == sets["val"].labels == {1: "3"}


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


def test_widths_in_place_of_corners_are_refused(tmp_path):
    text = "filename,width,height,class,xmin,ymin,xmax,ymax\na.jpg,60,50,cat,10,20,30,10\n"
    with pytest.raises(UserError, match=r"look like \[x, y, width, height\]"):
        read(make(tmp_path, {"a.csv": text}, "a.jpg"), "csv")


@pytest.mark.parametrize(
    "row",
    [
        "xmin,ymin,xmax,ymax\na.jpg,cat,0.25,0.5,0.75,1",
        "xc,yc,w,h\na.jpg,cat,0.5,0.75,0.5,0.5",
        "left,top,width,height\na.jpg,cat,0.25,0.5,0.5,0.5",
    ],
)
def test_boxes_of_which_no_number_is_above_1_are_shares_of_the_picture(tmp_path, row):
    source = read(make(tmp_path, {"a.csv": f"image,class,{row}\n"}, "a.jpg"), "csv")[""]
    assert objects(source) == {"a.jpg": [("cat", 0.5, 0.25, 1, 0.75)]}
    assert source.examples[0].relative


def test_a_column_says_of_which_split_a_row_is(tmp_path):
    header = "filename,xmin,ymin,xmax,ymax,class,split\n"
    rows = "a.jpg,10,20,40.5,30,cat,Train\nb.jpg,,,,,,validation\na.jpg,0,0,2,1,cat,Train\n"
    found = read(make(tmp_path, {"all.csv": header + rows}, "a.jpg b.jpg"), "csv")
    assert {split: objects(one) for split, one in found.items()} == {
        "train": {"a.jpg": [_CAT, ("cat", 0, 0, 1, 2)]}, "val": {"b.jpg": []},
    }  # fmt: skip
    other = header + "a.jpg,10,20,40.5,30,cat,3\n"  # a number of something else
    assert list(read(make(tmp_path / "2", {"all.csv": other}, "a.jpg"), "csv")) == [""]


def test_googles_automl_has_splits_and_shares_without_a_header(tmp_path):
    """Of two corners, or of four, the first and the third are taken; bucket's names are local."""
    text = (
        "TRAIN,gs://bucket/img/a.jpg,cat,0.25,0.5,,,0.75,1,,\n"
        "TRAIN,gs://bucket/img/a.jpg,dog,0,0,0.5,0,0.5,0.5,0,0.5\n"
        "UNASSIGNED,gs://bucket/img/b.jpg,,,,,,,,,\n"
    )
    found = read(make(tmp_path, {"data.csv": text}, "img/a.jpg img/b.jpg"), "csv")
    assert {split: list(objects(one).values()) for split, one in found.items()} == {
        "train": [[("cat", 0.5, 0.25, 1, 0.75), ("dog", 0, 0, 0.5, 0.5)]], "": [[]],
    }  # fmt: skip


def test_a_table_may_be_a_text_file_as_the_one_of_gtsdb(tmp_path):
    files = {"gt.txt": "a.ppm;10;20;40;30;11\n", "ReadMe.txt": "Signs of Germany\n"}
    (source,) = read(make(tmp_path, files, "a.ppm"), "csv").values()
    assert objects(source) == {"a.ppm": [("11", 20, 10, 30, 40)]}


def test_boxes_without_a_column_of_classes_are_of_one_and_it_is_said(tmp_path, caplog):
    text = "image,xmin,ymin,xmax,ymax\na.jpg,10,20,40.5,30\n"
    source = read(make(tmp_path, {"boxes.csv": text}, "a.jpg"), "csv")[""]
    assert objects(source) == {"a.jpg": [("object", *_CAT[1:])]}
    assert "boxes.csv has no column that edet knows as one of classes" in caplog.text
    assert "begins with 'image,xmin,ymin,xmax,ymax'" in caplog.text


def test_of_a_column_of_numbers_and_one_of_names_that_of_names_counts(tmp_path):
    text = "image,label,label_name,xmin,ymin,xmax,ymax\na.jpg,7,cat,10,20,40.5,30\n"
    source = read(make(tmp_path, {"boxes.csv": text}, "a.jpg"), "csv")[""]
    assert objects(source) == {"a.jpg": [_CAT]}


_KAGGLE = "image_id,width,height,bbox,source\n"
_NO_ROW = "without a row (taken as without objects)"


def test_a_box_in_one_column_is_x_y_width_and_height(tmp_path):
    """10 + 30 is 40, 20 + 10.5 is 30.5; the only class has no column, and test no table."""
    rows = '"[10.0, 20.0, 30.0, 10.5]"', '"[0, 0, 5, 4]"'
    text = _KAGGLE + "".join(f"a,60,50,{row},usask_1\n" for row in rows)
    folder = make(tmp_path, {"train.csv": text}, "train/a.jpg train/b.jpg test/a.jpg test/c.jpg")
    source = read(folder, "csv")["train"]
    assert source.labels == {1: "object"}
    assert objects(source) == {
        "a": [("object", 20, 10, 30.5, 40), ("object", 0, 0, 4, 5)], "train/b.jpg": [],
    }  # fmt: skip
    assert (source.examples[0].height, source.examples[0].width) == (50, 60)
    assert [(p["file"], p["what"]) for p in source.tally.problems] == [("train/b.jpg", _NO_ROW)]


def test_a_column_of_classes_counts_beside_boxes_in_one_column(tmp_path):
    text = 'class;image;bbox\ncat;a.jpg;10,20,30,10.5\ndog;"a.jpg";( 0, 0, 5, 4 )\n;b.jpg;[]\n'
    source = read(make(tmp_path, {"boxes.csv": text}, "a.jpg b.jpg"), "csv")[""]
    assert objects(source) == {
        "a.jpg": [("cat", 20, 10, 30.5, 40), ("dog", 0, 0, 4, 5)], "b.jpg": [],
    }  # fmt: skip
    assert not source.tally.problems


def test_a_picture_without_rows_is_left_out_where_another_split_may_have_it(tmp_path):
    files = {
        f"{split}.csv": f'{_KAGGLE}{name},60,50,"[1, 2, 3, 4]",x\n'
        for split, name in (("train", "a"), ("val", "b"))
    }
    found = read(make(tmp_path, files, "images/a.jpg images/b.jpg images/c.jpg"), "csv")
    assert {split: list(objects(one)) for split, one in found.items()} == {
        "train": ["a"], "val": ["b"],
    }  # fmt: skip


def test_four_columns_of_corners_count_before_one_of_the_box(tmp_path):
    text = (
        "image_id,class,bbox,xmin,ymin,xmax,ymax\n"
        'a,cat,"[10, 20, 30.5, 10]",10,20,40.5,30\n'
    )  # fmt: skip
    source = read(make(tmp_path, {"boxes.csv": text}, "a.jpg b.jpg"), "csv")[""]
    assert objects(source) == {"a": [_CAT]}


@pytest.mark.parametrize(
    ("box", "words"),
    [
        ("[1, 2, 3]", "its box '[1, 2, 3]' is not [x, y, width, height]"),
        ("[1, 2, 3, 4, 5]", "is not [x, y, width, height]"),
        ("1 2 3 4", "its box '1 2 3 4' is not"),
        ("[one, 2, 3, 4]", "'one'"),
        ("nan", "its box 'nan' is not"),
    ],
)
def test_a_box_that_is_not_four_numbers_is_named(tmp_path, box, words):
    text = f'{_KAGGLE}a,60,50,"[1, 2, 3, 4]",x\na,60,50,"{box}",x\n'
    source = read(make(tmp_path, {"train.csv": text}, "train/a.jpg"), "csv")["train"]
    assert objects(source) == {"a": [("object", 2, 1, 6, 4)]}
    (problem,) = source.tally.problems
    assert (problem["file"], problem["what"]) == ("a", DAMAGED)
    assert problem["detail"].startswith("object 2: ") and words in problem["detail"]


def test_corners_in_the_column_of_the_box_are_refused_by_the_set(tmp_path):
    text = _KAGGLE + 'a,60,50,"[30, 20, 55, 45]",x\na,60,50,"[20, 30, 50, 48]",x\n'
    with pytest.raises(UserError, match=r"look like corners \[xmin, ymin, xmax, ymax\]"):
        read(make(tmp_path, {"train.csv": text}, "train/a.jpg"), "csv")


def test_a_table_without_rows_has_no_pictures(tmp_path):
    source = read(make(tmp_path, {"train.csv": _KAGGLE}, "train/a.jpg"), "csv")["train"]
    assert objects(source) == {}


def test_a_picture_of_a_row_that_is_not_there_is_named(tmp_path):
    text = _KAGGLE + 'a,60,50,"[1, 2, 3, 4]",x\ngone,60,50,"[1, 2, 3, 4]",x\n'
    source = read(make(tmp_path, {"train.csv": text}, "train/a.jpg"), "csv")["train"]
    assert list(objects(source)) == ["a"] and [p["file"] for p in source.tally.problems] == ["gone"]


def test_tables_of_one_split_with_other_columns_are_refused_by_name(tmp_path):
    files = {
        "a.csv": _KAGGLE + 'a,60,50,"[1, 2, 3, 4]",x\n',
        "b.csv": "filename,class,xmin,ymin,xmax,ymax\nb.jpg,cat,1,2,3,4\n",
    }
    with pytest.raises(UserError, match=r"a.csv and .*b.csv are of one split"):
        read(make(tmp_path, files, "a.jpg b.jpg"), "csv")


_MAKESENSE = "label_name,bbox_x,bbox_y,bbox_width,bbox_height,image_name,image_width,image_height\n"


@pytest.mark.parametrize("header", ["", _MAKESENSE])
def test_makesense_has_a_corner_and_sides(tmp_path, header):
    """With a header or, as its older exports, without one: 10 + 30 is 40, 20 + 11 is 31."""
    text = f"{header}cat,10,20,30,11,a.jpg,100,50\ndog,0,0,5,6,a.jpg,100,50\n"
    (found,) = read(make(tmp_path, {"labels_set.csv": text}, "images/a.jpg"), "csv").values()
    assert objects(found) == {"a.jpg": [("cat", 20, 10, 31, 40), ("dog", 0, 0, 6, 5)]}
    assert (found.examples[0].height, found.examples[0].width) == (50, 100)


def test_a_damaged_first_row_is_named_where_others_tell_the_columns(tmp_path):
    text = "a.jpg,ten,20,40.5,30,cat\na.jpg,10,20,40.5,30,cat\na.jpg,0,0,2,1,cat\n"
    (found,) = read(make(tmp_path, {"boxes.csv": text}, "a.jpg"), "csv").values()
    assert objects(found) == {"a.jpg": [_CAT, ("cat", 0, 0, 1, 2)]}
    assert found.tally.boxes == {DAMAGED: 1}


def test_a_header_in_words_that_edet_does_not_know_is_no_damaged_row(tmp_path):
    text = "Datei;oben;links;unten;rechts;Klasse\n" + "a.jpg;20;10;30;40;cat\n" * 3
    with pytest.raises(UserError, match=r"boxes.csv begins with 'Datei;oben;links"):
        read(make(tmp_path, {"boxes.csv": text}, "a.jpg"), "csv")


def test_a_row_of_makesense_that_cannot_be_read_is_named(tmp_path):
    text = (
        "cat,10,20,30,11,a.jpg,100,50\n" * 20 + ",10,20,30,11,a.jpg,100,50\ncat,x,2,3,4,a.jpg,9,9"
    )
    (found,) = read(make(tmp_path, {"labels_set.csv": text}, "a.jpg"), "csv").values()
    assert found.tally.boxes == {DAMAGED: 2}


def test_corners_and_sides_are_no_one_set(tmp_path):
    files = {"a.csv": "a.jpg,10,20,40,31,cat\n", "b.csv": "cat,10,20,30,11,a.jpg,100,50\n"}
    with pytest.raises(UserError, match="their boxes are written in two ways; give each a folder"):
        read(make(tmp_path, files, "a.jpg"), "csv")
