"""VoTT: a file for each picture, the export of all, its CSV, regions and states."""

import json

import pytest

from edet.errors import UserError
from edet.records.sources.formats import open_folder
from edet.records.sources.shapes import BAD_FILE, BAD_IMAGE, DAMAGED, NO_BOX, OUTLINE
from tests.records.sources.small_folders import make, objects, read

_UNSEEN = "dropped: picture that nobody has visited"
_POINTS = [{"x": 2, "y": 1}, {"x": 30, "y": 5}, {"x": 20, "y": 11}]  # x 2 to 30, y 1 to 11


def region(*tags, **more) -> dict:
    """A region from x 10 to 40 and y 20 to 30.5."""
    box = {"left": 10, "top": 20, "width": 30, "height": 10.5}
    corners = [{"x": 10, "y": 20}, {"x": 40, "y": 30.5}]
    found = {"id": "x", "type": "RECTANGLE", "tags": list(tags or ("cat",)), "points": corners}
    return found | {"boundingBox": box} | more


def entry(name="a.jpg", *regions, **asset) -> dict:
    size = {"width": 100, "height": 50}
    asset = {"name": name, "path": f"file:C:/p/{name}", "size": size, "state": 2, "type": 1} | asset
    return {"asset": asset, "regions": list(regions), "version": "2.2.0"}


def export(*entries) -> str:
    assets = {f"id{number}": each for number, each in enumerate(entries, start=1)}
    return json.dumps({"name": "set", "tags": [{"name": "cat"}], "assets": assets})


def one(tmp_path, *entries, pictures="a.jpg b.jpg"):
    (found,) = read(
        make(tmp_path, {"set-export.json": export(*entries)}, pictures), "vott"
    ).values()
    return found


def test_a_box_is_its_corner_and_its_sides(tmp_path):
    """A region of two tags is an object of each, as in VoTT's CSV; one visited has none."""
    found = one(tmp_path, entry("a.jpg", region("cat"), region("dog", "pet")),
                entry("b.jpg", state=1))  # fmt: skip
    assert objects(found) == {
        "a.jpg": [(name, 20, 10, 30.5, 40) for name in ("cat", "dog", "pet")], "b.jpg": [],
    }  # fmt: skip
    assert (found.examples[0].height, found.examples[0].width) == (50, 100)


def test_a_picture_that_nobody_has_visited_is_left_out(tmp_path):
    found = one(tmp_path, entry("a.jpg", region()), entry("b.jpg", state=0))
    assert list(objects(found)) == ["a.jpg"]
    assert found.tally.images == {_UNSEEN: 1}


def test_files_for_each_picture_come_before_an_export(tmp_path):
    """The export is of another day, and would hold the same pictures once more."""
    files = {
        "1a-asset.json": json.dumps(entry("a.jpg", region("cat"))),
        "2b-asset.json": json.dumps(entry("b.jpg", region("dog"))),
        "set.vott": json.dumps({"name": "set", "assets": {"1a": entry()["asset"]}}),
        "vott-json-export/set-export.json": export(entry("a.jpg", region("old"))),
    }
    (found,) = read(make(tmp_path, files, "vott-json-export/a.jpg b.jpg"), "vott").values()
    assert {name: things[0][0] for name, things in objects(found).items()} == {
        "a.jpg": "cat", "b.jpg": "dog",
    }  # fmt: skip


def test_an_export_gives_what_has_no_file_of_its_own(tmp_path):
    """Such as another project's; an id that has a file is not read twice."""
    files = {
        "one/id1-asset.json": json.dumps(entry("a.jpg", region("cat"))),
        "one/vott-json-export/set-export.json": export(entry("a.jpg", region("old"))),
        "two/set-export.json": json.dumps(
            {"assets": {"id7": entry("b.jpg", region("dog")), "id8": entry("c.jpg", state=1)}}
        ),
    }
    (found,) = read(make(tmp_path, files, "one/a.jpg two/b.jpg two/c.jpg"), "vott").values()
    assert objects(found) == {
        "a.jpg": [("cat", 20, 10, 30.5, 40)], "b.jpg": [("dog", 20, 10, 30.5, 40)], "c.jpg": [],
    }  # fmt: skip
    assert not found.tally.images


def test_equal_names_are_told_apart_by_their_paths(tmp_path):
    """Paths are those of the annotator's machine, with signs as in addresses."""
    make(tmp_path, {"day 1/a b.jpg": "", "day 2/a b.jpg": ""})
    found = one(
        tmp_path,
        entry("a b.jpg", region("cat"), path="file:C:/photos/day%201/a%20b.jpg"),
        entry("a b.jpg", region("dog"), path="file:C:/photos/day%202/a%20b.jpg"),
        pictures="",
    )
    assert [e.image[len(str(tmp_path)) + 1 :] for e in found.examples] == [
        "day 1/a b.jpg", "day 2/a b.jpg",
    ]  # fmt: skip
    assert [found.labels[int(e.class_ids[0])] for e in found.examples] == ["cat", "dog"]


def test_a_picture_of_a_bucket_is_found_by_its_name(tmp_path):
    address = "https://ann.blob.core.windows.net/photos/a.jpg?sv=2020&sig=b%2Fc.jpg"
    assert objects(one(tmp_path, entry("a.jpg", region(), path=address)))["a.jpg"]


def test_a_frame_of_a_video_is_the_file_that_vott_saves(tmp_path):
    """It is called by its time, without the ending of a picture."""
    name = "street.mp4#t=1.5"
    frame = entry(name, region(), path=f"file:C:/p/{name}", type=3)
    folder = make(tmp_path, {name: b"", "set-export.json": export(frame)})
    (found,) = read(folder, "vott").values()
    assert [e.image for e in found.examples] == [str(tmp_path / name)]


@pytest.mark.parametrize(
    ("drawn", "box", "note"),
    [
        (region(type="SQUARE"), (20, 10, 30.5, 40), None),
        (region(type="POLYGON"), (20, 10, 30.5, 40), OUTLINE),
        (region(type="POLYGON", boundingBox=None, points=_POINTS), (1, 2, 11, 30), OUTLINE),
        (region(boundingBox=None), (20, 10, 30.5, 40), None),
        (region(type="POLYLINE"), None, NO_BOX),
        (region(type="POINT"), None, NO_BOX),
        (region(tags=[]), None, DAMAGED),
        (region(tags=None), None, DAMAGED),
        (region(tags=[""]), None, DAMAGED),
        (region(boundingBox={"left": 1, "top": 2, "width": 3}), None, DAMAGED),
        (region(boundingBox={"left": "x", "top": 2, "width": 3, "height": 4}), None, DAMAGED),
        (region(boundingBox=[1, 2, 3, 4]), None, DAMAGED),
        (region(boundingBox=None, points=[{"x": 1, "y": 2}]), None, DAMAGED),
        (region(boundingBox=None, points=None), None, DAMAGED),
        (7, None, DAMAGED),
    ],
)
def test_a_region_is_its_bounds_or_named(tmp_path, drawn, box, note):
    found = one(tmp_path, entry("a.jpg", drawn, region("dog")))
    assert objects(found)["a.jpg"][:-1] == ([("cat", *box)] if box else [])
    assert found.tally.boxes == ({note: 1} if note else {})


@pytest.mark.parametrize(
    ("broken", "words"),
    [
        (3, "not subscriptable"),
        ({"regions": []}, "it has no 'asset'"),
        ({"asset": {"name": "b.jpg"}}, "it has no 'regions'"),
        ({"asset": {}, "regions": []}, "it has no 'name'"),
        ({"asset": {"name": "b.jpg"}, "regions": {}}, "its regions are no list"),
        (entry("b.mp4", type=2), "it is no picture but a video"),
    ],
)
def test_a_picture_that_cannot_be_read_is_named(tmp_path, broken, words):
    found = one(tmp_path, entry("a.jpg", region()), broken)
    assert list(objects(found)) == ["a.jpg"]
    (problem,) = found.tally.problems
    assert (problem["file"], problem["what"]) == ("id2 of set-export.json", BAD_IMAGE)
    assert words in problem["detail"]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("{", "is not JSON"),
        ("[]", "holds no object"),
        ("{}", "it has no 'assets'"),
        ('{"assets": []}', "its assets are no object"),
    ],
)
def test_a_file_that_cannot_be_read_is_named(tmp_path, text, words):
    files = {"a-asset.json": json.dumps(entry("a.jpg", region())), "b-asset.json": text}
    (found,) = read(make(tmp_path, files, "a.jpg"), "vott").values()
    assert list(objects(found)) == ["a.jpg"]
    (problem,) = found.tally.problems
    assert (problem["file"], problem["what"]) == ("b-asset.json", BAD_FILE)
    assert words in problem["detail"]


def test_a_picture_that_is_not_there_is_named(tmp_path):
    folder = make(tmp_path, {"a-asset.json": json.dumps(entry("gone.jpg", region()))})
    with pytest.raises(UserError, match="no picture was found; the first: C:/p/gone.jpg is not in"):
        open_folder(folder.root)


def test_its_csv_is_a_table_with_a_header(tmp_path):
    text = '"image","xmin","ymin","xmax","ymax","label"\n"a.jpg",10,20,40,30.5,"cat"\n'
    (found,) = read(make(tmp_path, {"set-export.csv": text}, "a.jpg"), "csv").values()
    assert objects(found) == {"a.jpg": [("cat", 20, 10, 30.5, 40)]}
