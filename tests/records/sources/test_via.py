"""VIA: projects, annotations as JSON and CSV, and which region attribute is the class."""

import csv
import io
import json

import pytest

from edet.errors import UserError
from edet.records.sources.shapes import BAD_IMAGE, DAMAGED, NO_BOX, OUTLINE
from tests.records.sources.small_folders import make, objects, read


def region(attributes=None, **shape) -> dict:
    shape = {"name": "rect", "x": 10, "y": 20, "width": 30, "height": 10} | shape
    attributes = {"class": "cat"} if attributes is None else attributes
    return {"shape_attributes": shape, "region_attributes": attributes}


def entries(*regions, name="a.jpg") -> dict:
    entry = {"filename": name, "size": 9, "regions": regions, "file_attributes": {}}
    return {f"{name}9": entry}


def as_csv(*regions) -> str:
    header = ["filename", "file_size", "file_attributes", "region_count", "region_id"]
    text = io.StringIO()
    writer = csv.writer(text)
    writer.writerow([*header, "region_shape_attributes", "region_attributes"])
    for number, one in enumerate(regions):
        shape, attributes = (
            json.dumps(one[key]) for key in ("shape_attributes", "region_attributes")
        )
        writer.writerow(["a.jpg", 9, "{}", len(regions), number, shape, attributes])
    writer.writerow(["empty.jpg", 9, "{}", 0, 0, "{}", "{}"])
    return text.getvalue()


@pytest.mark.parametrize(
    ("drawn", "box", "note"),
    [
        (region(), [20, 10, 30, 40], None),
        (region(name="polygon", all_points_x=[10, 40, 15], all_points_y=[20, 25, 30]),
         [20, 10, 30, 40], OUTLINE),
        (region(name="polyline", all_points_x=[10, 40], all_points_y=[20, 30]),
         [20, 10, 30, 40], OUTLINE),
        (region(name="circle", cx=20, cy=20, r=5), [15, 15, 25, 25], OUTLINE),
        (region(name="ellipse", cx=25, cy=25, rx=15, ry=5), [20, 10, 30, 40], OUTLINE),
        (region(name="point", cx=25, cy=25), None, NO_BOX),
        (region(name="polygon", all_points_x=[10, 40], all_points_y=[20]), None, DAMAGED),
        (region(x="left"), None, DAMAGED),
        (region({}), None, DAMAGED),
    ],
)  # fmt: skip
def test_a_region_is_its_bounds_or_named(tmp_path, drawn, box, note):
    dog = region({"class": "dog"})
    for name, text in (
        ("via.json", json.dumps(entries(drawn, dog) | entries(name="empty.jpg"))),
        ("via.csv", as_csv(drawn, dog)),
    ):
        folder = make(tmp_path / name[4:], {name: text}, "a.jpg empty.jpg")
        source = read(folder, "via")[""]
        first = [("cat", *box)] if box else []
        assert objects(source) == {"a.jpg": [*first, ("dog", 20, 10, 30, 40)], "empty.jpg": []}
        assert dict(source.tally.boxes) == ({note: 1} if note else {})


def test_a_drop_down_of_numbers_in_a_project_gives_the_ids(tmp_path):
    options = {"0": "cat", "17": "dog"}
    attributes = {"region": {"class": {"type": "dropdown", "options": options}}, "file": {}}
    metadata = entries(region({"class": "17"}), region({"class": "5"}), region({"class": "0"}))
    metadata["damaged"] = {"filename": "b.jpg"}
    project = {"_via_settings": {}, "_via_img_metadata": metadata, "_via_attributes": attributes}
    # The same set again, with a picture that is not in the project.
    files = {"project.json": json.dumps(project), "export.csv": as_csv(region({"class": "17"}))}
    source = read(make(tmp_path, files, "a.jpg empty.jpg"), "via")[""]
    assert source.labels == {0: "cat", 17: "dog"}
    assert objects(source)["empty.jpg"] == []
    assert [name for name, *_ in objects(source)["a.jpg"]] == ["dog", "cat"]
    assert source.tally.boxes == {DAMAGED: 1} and source.tally.images == {BAD_IMAGE: 1}


@pytest.mark.parametrize(
    ("attributes", "classes"),
    [
        ([{"fruit": "pear", "ripe": "yes"}, {"fruit": "fig"}], ["pear", "fig"]),  # on all
        ([{"class": "cat", "side": "left"}, {"class": "dog", "side": "left"}], ["cat", "dog"]),
        ([{"kind": {"cat": True, "dog": False}}, {"kind": {"dog": True}}], ["cat", "dog"]),
    ],
)
def test_the_class_is_the_attribute_of_all_regions(tmp_path, attributes, classes):
    text = json.dumps(entries(*map(region, attributes)))
    source = read(make(tmp_path, {"via.json": text}, "a.jpg"), "via")[""]
    assert [name for name, *_ in objects(source)["a.jpg"]] == classes


@pytest.mark.parametrize(
    ("attributes", "words"),
    [
        ([{"fruit": "pear", "ripe": "yes"}], "may be any of the region attributes fruit, ripe"),
        (
            [{"class": "cat", "note": "x"}, {"note": "y"}],
            "any of the region attributes class, note",
        ),
    ],
)
def test_where_no_one_attribute_can_be_the_class_the_set_is_refused(tmp_path, attributes, words):
    text = json.dumps(entries(*map(region, attributes)))
    with pytest.raises(UserError, match=rf"via\.json: .*{words}"):
        read(make(tmp_path, {"via.json": text}, "a.jpg"), "via")


def test_regions_without_an_attribute_are_of_one_class_and_it_is_said(tmp_path, caplog):
    text = json.dumps(entries(region({}), region({})))
    source = read(make(tmp_path, {"via.json": text}, "a.jpg"), "via")[""]
    assert objects(source) == {"a.jpg": [("object", 20, 10, 30, 40)] * 2}
    assert "no region has an attribute; all are of one class, 'object'" in caplog.text


def via_3(*drawn, options=None, value="1") -> str:
    """A project of two pictures, of which the second has no regions, and a film."""
    files = {
        str(k): {"fid": k, "fname": name, "type": kind, "loc": 1, "src": source}
        for k, (name, kind, source) in enumerate(
            [
                ("a.jpg", 2, "photos/a.jpg"),
                ("b.jpg", 2, "data:image/jpeg;base64,x"),
                ("c.mp4", 4, ""),
            ]
        )
    }
    kinds = {"1": {"aname": "kind", "type": 4, "options": options or {"0": "dog", "1": "cat"}}}
    regions = {f"0_{k}": {"vid": "0", "z": [], "xy": xy, "av": {"1": value}}
               for k, xy in enumerate(drawn)}  # fmt: skip
    project = {"pid": "x", "rev": "1", "data_format_version": "3.1.1", "vid_list": list(files)}
    views = {key: {"fid_list": [key]} for key in files}
    return json.dumps({
        "project": project, "attribute": kinds, "file": files, "view": views, "metadata": regions,
    })  # fmt: skip


@pytest.mark.parametrize("value", ["1", "cat"])
def test_a_project_of_via_3_is_read(tmp_path, value):
    """The option 1 is cat, as is that text; the circle's radius is 5; a film is no picture."""
    text = via_3([2, 10, 20, 30, 10], [3, 20, 20, 5], [7, 1, 2, 9, 2, 5, 8], [1, 4, 4], [9, 1],
                 value=value)  # fmt: skip
    source = read(make(tmp_path, {"p.json": text}, "photos/a.jpg b.jpg"), "via")[""]
    cat = [("cat", *box) for box in ((20, 10, 30, 40), (15, 15, 25, 25), (2, 1, 8, 9))]
    assert objects(source) == {"photos/a.jpg": cat, "b.jpg": []}
    assert source.tally.boxes == {OUTLINE: 2, NO_BOX: 1, DAMAGED: 1}
    (problem,) = (one for one in source.tally.problems if one["what"] == BAD_IMAGE)
    assert (problem["file"], problem["detail"]) == ("view 2 of p.json", "it is no picture")
