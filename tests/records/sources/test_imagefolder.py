"""Hugging Face's imagefolder: lines and CSV, numbers of classes and names, splits, Parquet."""

import csv
import io
import json

import pytest

from edet.errors import UserError
from edet.records.sources.formats import open_folder
from edet.records.sources.shapes import BAD_IMAGE, DAMAGED
from tests.records.sources.small_folders import make, objects, read

_BOX = [10, 20, 30, 10.5]  # x, y, width, height: x 10 to 40, y 20 to 30.5
_README = """---
license: mit
dataset_info:
  features:
  - name: image
    dtype: image
  - name: objects
    sequence:
    - name: shape
      dtype:
        class_label:
          names:
            '0': round
    - name: {key}
      dtype:
        class_label:
          names: {names}
---
# Cats and dogs
"""


def line(name="a.jpg", boxes=(_BOX,), classes=("cat",), **more) -> str:
    """A line as the documentation of `datasets` has it."""
    found = {"bbox": list(boxes), "categories": list(classes)}
    return json.dumps({"file_name": name, "objects": found} | more)


def entry(objects, name="a.jpg") -> str:
    return json.dumps({"file_name": name, "objects": objects})


def one(tmp_path, *lines, pictures="a.jpg b.jpg", **files):
    files = {"metadata.jsonl": "\n".join(lines)} | files
    (found,) = read(make(tmp_path, files, pictures), "imagefolder").values()
    return found


def test_a_box_is_its_corner_and_its_sides(tmp_path):
    found = one(tmp_path, line(boxes=[_BOX, [0, 0, 5, 5]], classes=["cat", "dog"]),
                line("b.jpg", [], []))  # fmt: skip
    assert found.labels == {1: "cat", 2: "dog"}
    assert objects(found) == {
        "a.jpg": [("cat", 20, 10, 30.5, 40), ("dog", 0, 0, 5, 5)], "b.jpg": [],
    }  # fmt: skip


@pytest.mark.parametrize(
    "found",
    [
        {"bbox": [_BOX], "category": ["cat"]},
        {"bbox": [_BOX], "label": ["cat"]},
        {"bboxes": [_BOX], "labels": ["cat"]},
        {"id": [7], "area": [315.0], "bbox": [_BOX], "categories": ["cat"]},
        {"bbox": [_BOX], "categories": ["cat"], "of_the_picture": "sunny"},
        [{"bbox": _BOX, "category": "cat"}],
        [{"bbox": _BOX, "label": "cat", "area": 315}],
    ],
)
def test_fields_go_by_several_names_and_objects_may_be_a_list(tmp_path, found):
    assert objects(one(tmp_path, entry(found))) == {"a.jpg": [("cat", 20, 10, 30.5, 40)]}


@pytest.mark.parametrize("nothing", [None, [], {}, {"bbox": None, "categories": None}])
def test_a_picture_may_have_no_objects(tmp_path, nothing):
    """{} says neither what is in the picture nor that nothing is."""
    found = one(tmp_path, line(), entry(nothing, "b.jpg"))
    assert objects(found).get("b.jpg") == (None if nothing == {} else [])
    assert bool(found.tally.problems) == (nothing == {})


@pytest.mark.parametrize("key", ["category", "categories", "label"])
@pytest.mark.parametrize("names", ["{'0': cat, '1': dog}", "[cat, dog]"])
def test_numbers_are_named_by_the_readme(tmp_path, key, names):
    """Of the feature that is the class, not of another; a name in a line is that of its number."""
    readme = _README.format(key=key, names=names)
    found = one(tmp_path, line(boxes=[_BOX] * 3, classes=[1, 1.0, "dog"]), **{"README.md": readme})
    assert found.labels == {1: "dog"}
    assert [name for name, *_ in objects(found)["a.jpg"]] == ["dog"] * 3


def test_numbers_without_names_are_called_by_their_numbers(tmp_path):
    found = one(tmp_path, line(boxes=[_BOX] * 2, classes=[3, 0]))
    assert found.labels == {0: "class 0", 3: "class 3"}


def test_a_number_that_has_no_name_is_no_class(tmp_path):
    readme = _README.format(key="categories", names="[cat]")
    found = one(tmp_path, line(boxes=[_BOX] * 2, classes=[0, 1]), **{"README.md": readme})
    assert found.tally.boxes == {"dropped: class not in the labels": 1}


@pytest.mark.parametrize(
    ("names", "words"),
    [
        ("{zero: cat}", "must be a list, or a map of whole numbers"),
        ("{'0': no}", "False is no name"),
        ("cat", "must be a list, or a map of whole numbers"),
        ("{'0': cat", "is not YAML.*line 17"),
        ("[cat]\nlicense: mit", "'license' twice, in lines 2 and 18"),
    ],
)
def test_names_that_cannot_be_read_are_refused(tmp_path, names, words):
    readme = _README.format(key="categories", names=names)
    with pytest.raises(UserError, match=f"README.md.*{words}"):
        one(tmp_path, line(classes=[0]), **{"README.md": readme})


def test_splits_are_the_folders_of_the_lines(tmp_path):
    """Both have a picture of one name; the names of classes lie above."""
    files = {
        "train/metadata.jsonl": line(classes=[0]),
        "validation/metadata.jsonl": line(classes=[1]),
        "README.md": _README.format(key="categories", names="[cat, dog]"),
    }
    found = read(make(tmp_path, files, "train/a.jpg validation/a.jpg"), "imagefolder")
    assert {split: objects(each)["a.jpg"][0][0] for split, each in found.items()} == {
        "train": "cat", "val": "dog",
    }  # fmt: skip
    assert found["val"].examples[0].image == str(tmp_path / "validation/a.jpg")


def test_splits_are_the_pictures_folders_where_one_file_has_all_lines(tmp_path):
    lines = "\n".join([line("train/a.jpg"), line("test/b.jpg", classes=["dog"]), "{"])
    folder = make(tmp_path, {"metadata.jsonl": lines}, "train/a.jpg test/b.jpg")
    found = read(folder, "imagefolder")
    assert {split: list(objects(each)) for split, each in found.items()} == {
        "train": ["train/a.jpg"], "test": ["test/b.jpg"],
    }  # fmt: skip


def test_a_csv_has_json_within_a_field(tmp_path):
    """A field left out is no picture without objects, an empty one is."""
    rows = io.StringIO()
    found = json.dumps({"bbox": [_BOX], "categories": ["cat"]})
    csv.writer(rows).writerows(
        [["file_name", "objects"], ["a.jpg", found], ["b.jpg", ""], ["c.jpg"], ["d.jpg", "[{"]]
    )
    folder = make(tmp_path, {"metadata.csv": rows.getvalue()}, "a.jpg b.jpg c.jpg d.jpg")
    (found,) = read(folder, "imagefolder").values()
    assert objects(found) == {"a.jpg": [("cat", 20, 10, 30.5, 40)], "b.jpg": []}
    assert [(p["file"], p["what"], p["detail"][:20]) for p in found.tally.problems] == [
        ("line 4 of metadata.csv", BAD_IMAGE, "it has fewer fields "),
        ("line 5 of metadata.csv", BAD_IMAGE, "it is not JSON: Expe"),
    ]


def test_a_csv_with_the_number_of_objects_is_a_table(tmp_path):
    table = "file_name,class,xmin,ymin,xmax,ymax,objects\na.jpg,cat,10,20,40,30,1\n"
    (found,) = read(make(tmp_path, {"metadata.csv": table}, "a.jpg"), "csv").values()
    assert objects(found) == {"a.jpg": [("cat", 20, 10, 30, 40)]}


def test_lines_come_before_a_csv_of_the_same_pictures(tmp_path):
    found = one(tmp_path, line(), **{"metadata.csv": "file_name,objects\na.jpg,\n"})
    assert objects(found) == {"a.jpg": [("cat", 20, 10, 30.5, 40)]}
    assert found.tally.images == {"dropped: image id is given twice": 1}


def test_ids_sizes_areas_and_crowds_are_taken(tmp_path):
    """As detection-datasets and conversions of COCO have them beside what is needed."""
    more = {"bbox": [_BOX], "category": ["cat"], "area": [99.5], "iscrowd": [1]}
    fields = {"image_id": 17, "image_file_name": "a.jpg", "width": 100, "height": 50}
    (example,) = one(tmp_path, json.dumps(fields | {"objects": more})).examples
    assert (example.source_id, example.height, example.width) == ("17", 50, 100)
    assert (example.areas.tolist(), example.is_crowd.tolist()) == ([99.5], [True])


@pytest.mark.parametrize(
    ("broken", "words"),
    [
        ({"bbox": [1, 2, 3], "category": "cat"}, "[1, 2, 3] is not [x, y, width, height]"),
        ({"bbox": 7, "category": "cat"}, "its bbox 7 is not"),
        ({"bbox": ["left", 2, 3, 4], "category": "cat"}, "could not convert"),
        ({"category": "cat"}, "it has no 'bbox'"),
        ({"bbox": _BOX}, "it has no 'categories'"),
        ({"bbox": _BOX, "category": ""}, "'' is no name"),
        ({"bbox": _BOX, "category": -1}, "-1 is no number of a class"),
        ({"bbox": _BOX, "category": 2**70}, "is no number of a class"),
        ({"bbox": _BOX, "category": True}, "True is no number of a class"),
        ({"bbox": _BOX, "category": None}, "None is no number of a class"),
        (3, "not iterable"),
    ],
)
def test_an_object_that_cannot_be_read_is_named(tmp_path, broken, words):
    found = one(tmp_path, entry([{"bbox": _BOX, "category": "cat"}, broken]))
    assert len(objects(found)["a.jpg"]) == 1
    (problem,) = found.tally.problems
    assert (problem["file"], problem["what"]) == ("a.jpg", DAMAGED)
    assert problem["detail"].startswith("object 2: ") and words in problem["detail"]


@pytest.mark.parametrize(
    ("broken", "words"),
    [
        ("{", "it is not JSON"),
        ("[" * 100_000, "it is not JSON"),
        ("3", "it is no object"),
        ('{"objects": []}', "it has no 'file_name'"),
        ('{"file_name": "b.jpg"}', "it has no 'objects'"),
        ('{"file_name": "", "objects": []}', "'' is no name"),
        (entry(3, "b.jpg"), "its objects are no list and no object"),
        (line("b.jpg", [_BOX] * 3, ["cat"]), "it has 3 boxes and 1 categories"),
    ],
)
def test_a_line_that_cannot_be_read_is_named(tmp_path, broken, words):
    found = one(tmp_path, line(), broken)
    assert list(objects(found)) == ["a.jpg"]
    (problem,) = found.tally.problems
    assert (problem["file"], problem["what"]) == ("line 2 of metadata.jsonl", BAD_IMAGE)
    assert words in problem["detail"]


def test_corners_where_sides_belong_are_refused_by_the_set(tmp_path):
    """As Fashionpedia has them: no box of a width of 300 lies in a picture of 320."""
    more = {"width": 320, "height": 240}
    boxes = [[200 + 5 * k, 20, 300, 100 + 5 * k] for k in range(4)]
    with pytest.raises(UserError, match=r"look like corners \[xmin, ymin, xmax, ymax\], where"):
        one(tmp_path, line(boxes=boxes, classes=["cat"] * 4, **more))


def test_lines_of_captions_are_no_set(tmp_path):
    text = json.dumps({"file_name": "a.jpg", "text": "three objects: a cat, a cat and a dog"})
    with pytest.raises(UserError, match="holds no annotations"):
        open_folder(make(tmp_path, {"metadata.jsonl": text}, "a.jpg").root)


@pytest.mark.parametrize(
    ("file", "words"),
    [
        (
            "train/metadata.parquet",
            r"Hugging Face's metadata as Parquet.* python -c .*from_parquet\('",
        ),
        ("data/train-00000-of-00001.parquet", "Parquet, as Hugging Face .* docs/data.md"),
    ],
)
def test_parquet_is_refused_with_what_to_do(tmp_path, file, words):
    folder = make(tmp_path, {file: b"PAR1"}, "train/a.jpg")
    with pytest.raises(UserError, match=f"{file} is .*{words}") as refused:
        open_folder(folder.root)
    assert "\n" not in str(refused.value)


def test_parquet_beside_labels_is_no_matter(tmp_path):
    found = one(tmp_path, line(), **{"table.parquet": b"PAR1"})
    assert list(objects(found)) == ["a.jpg"]
