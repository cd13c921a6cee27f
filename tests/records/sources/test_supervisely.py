"""Supervisely's projects: whole pixels and fractions, outlines, masks, and what has no box."""

import base64
import io
import json
import math
import zlib

import numpy as np
import pytest
from PIL import Image

from edet.records.sources.formats import open_folder
from edet.records.sources.shapes import BAD_FILE, DAMAGED, NO_BOX, OUTLINE, ROTATED
from tests.records.sources.small_folders import make, objects, read


def drawn(*points, kind="rectangle", **more) -> dict:
    shape = {"points": {"exterior": points, "interior": []}}
    return {"classTitle": "cat", "geometryType": kind, **shape, **more}


def file(*things) -> str:
    size = {"height": 50, "width": 100}
    return json.dumps({"description": "", "tags": [], "size": size, "objects": things})


def mask(mode="L", origin=(30, 10)) -> dict:
    """A mask of 10 x 30 pixels, with a free row above them and two free columns before them."""
    pixels = np.zeros((11, 32), np.uint8)
    pixels[1:, 2:] = 255
    png = io.BytesIO()
    image = Image.fromarray(pixels)
    if mode == "RGBA":  # white everywhere: what is drawn is opaque
        image = Image.merge("RGBA", [Image.new("L", (32, 11), 255)] * 3 + [image])
    image.convert(mode).save(png, "PNG")
    data = base64.b64encode(zlib.compress(png.getvalue())).decode()
    shape = {"bitmap": {"origin": origin, "data": data}}
    return {"classTitle": "cat", "geometryType": "bitmap", **shape}


@pytest.mark.parametrize(
    ("thing", "box", "note"),
    [
        (drawn([20, 10], [40, 30]), [10, 20, 31, 41], None),  # 21 x 21 pixels, as its SDK counts
        (drawn([20.5, 10], [40.25, 30]), [10, 20.5, 30, 40.25], None),
        (drawn([40, 30], [20, 10]), [10, 20, 31, 41], None),
        (drawn([2, 1], [20, 10], [30, 5], kind="polygon"), [1, 2, 11, 31], OUTLINE),
        ({"classTitle": "cat", "geometryType": "multipolygon", "parts": [
            {"exterior": [[2, 1], [9, 1], [9, 4]]}, {"exterior": [[20, 10], [30, 5], [25, 9]]},
        ]}, [1, 2, 11, 31], OUTLINE),
        (mask(), [11, 32, 21, 62], OUTLINE),
        (mask("RGBA"), [11, 32, 21, 62], OUTLINE),
        (mask("1"), [11, 32, 21, 62], OUTLINE),
        # 20 x 10 about (30, 15), turned by a quarter: 10 x 20
        ({"classTitle": "cat", "geometryType": "oriented_bbox", "angle": math.pi / 2,
          "points": [[20.0, 10.0], [40.0, 20.5]]}, [5.25, 24.75, 25.25, 35.25], ROTATED),
        ({"classTitle": "cat", "geometryType": "cuboid_2d", "vertices": {
            "face1-topleft": {"loc": [2, 1]}, "face2-bottomright": {"loc": [30, 10]},
        }}, [1, 2, 11, 31], OUTLINE),
        (drawn([3, 4], kind="point"), None, NO_BOX),
        (drawn([3, 4], [5, 6], kind="line"), None, NO_BOX),
        ({"classTitle": "cat", "geometryType": "graph", "nodes": {}}, None, NO_BOX),
        (drawn(["left", 1], [2, 3]), None, DAMAGED),
        (drawn([2, 3]), None, DAMAGED),
        ({**mask(), "bitmap": {"origin": [0, 0], "data": "bm90IGEgUE5H"}}, None, DAMAGED),
        ({"classTitle": "", "geometryType": "rectangle"}, None, DAMAGED),
        (7, None, DAMAGED),
    ],
)  # fmt: skip
def test_an_object_is_its_bounds_or_named(tmp_path, thing, box, note):
    dog = drawn([1, 1], [2, 2]) | {"classTitle": "dog"}
    files = {"photos/ann/a.jpg.json": file(thing, dog), "photos/ann/b.jpg.json": file()}
    folder = make(tmp_path, files, "photos/img/a.jpg photos/img/b.jpg")
    (found,) = read(folder, "supervisely").values()
    seen = objects(found)
    assert {key.rpartition("/")[2]: len(things) for key, things in seen.items()} == {
        "a": 1 + bool(box), "b": 0,
    }  # fmt: skip
    if box:
        first = seen["photos/a"][0]
        assert first[0] == "cat"
        np.testing.assert_allclose(first[1:], box, atol=1e-4)
    assert found.tally.boxes == ({note: 1} if note else {})


def test_data_sets_of_a_project_are_its_splits(tmp_path):
    """Dataset Ninja's layout; meta.json is no picture's file."""
    files = {f"{name}/ann/a.jpg.json": file(drawn([1, 1], [2, 2])) for name in ("train", "val")}
    folder = make(
        tmp_path, {"meta.json": '{"classes": []}', **files}, "train/img/a.jpg val/img/a.jpg"
    )
    found = read(folder, "supervisely")
    assert {split: one.examples[0].image for split, one in found.items()} == {
        "train": str(tmp_path / "train/img/a.jpg"), "val": str(tmp_path / "val/img/a.jpg"),
    }  # fmt: skip
    assert (found["train"].examples[0].height, found["train"].examples[0].width) == (50, 100)


def test_what_is_not_there_or_something_else_is_named(tmp_path):
    """A picture without its file is no picture without objects: it may not have been annotated."""
    files = {
        "p/ann/a.jpg.json": file(drawn([1, 1], [2, 2])),
        "p/ann/b.jpg.json": "[]",
        "p/ann/c.jpg.json": "{",
    }
    folder = make(tmp_path, files, "p/img/a.jpg p/img/b.jpg p/img/c.jpg p/img/d.jpg")
    (found,) = read(folder, "supervisely").values()
    assert list(objects(found)) == ["p/a"]
    assert {p["file"]: p["what"] for p in found.tally.problems} == {
        "p/ann/b.jpg.json": BAD_FILE, "p/ann/c.jpg.json": BAD_FILE,
        "p/img/d.jpg": "dropped: picture without its annotation file",
    }  # fmt: skip


def test_one_file_of_a_project_is_a_set_too(tmp_path):
    files = {f"p/ann/{name}.jpg.json": file(drawn([1, 1], [2, 2])) for name in "ab"}
    make(tmp_path, files, "p/img/a.jpg p/img/b.jpg")
    (found,) = open_folder(str(tmp_path / "p/ann/a.jpg.json")).values()
    assert [one.image for one in found.examples] == [str(tmp_path / "p/img/a.jpg")]


def test_a_name_in_macos_letters_is_the_same_name(tmp_path):
    """An u and two dots for an ü, as a copied folder has it, beside annotations in one sign."""
    files = {"p/ann/\u00fcber.jpg.json": file(drawn([1, 1], [2, 2]))}
    (found,) = read(make(tmp_path, files, "p/img/u\u0308ber.jpg"), "supervisely").values()
    assert [one.image for one in found.examples] == [str(tmp_path / "p/img/u\u0308ber.jpg")]
    assert found.tally.problems == []


def test_pictures_of_one_name_are_told_apart_in_the_report(tmp_path):
    files = {f"{name}/ann/0.jpg.json": file(drawn([1, 1], [2, 2])) for name in ("day1", "day2")}
    (found,) = read(make(tmp_path, files, "day1/img/0.jpg day2/img/0.jpg"), "supervisely").values()
    assert [one.filename for one in found.examples] == ["day1/img/0.jpg", "day2/img/0.jpg"]
