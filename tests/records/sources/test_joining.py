"""Files of a class each over the same pictures: a picture is there once, with all objects."""

import dataclasses
import json

import pytest

from edet.records.sources.annotations import AnnotatedImage, AnnotatedObject, Annotations
from edet.records.sources.folder import Folder
from edet.records.sources.formats import open_folder
from edet.records.sources.joining import joined, settle
from tests.records.sources.small_folders import make, objects


def part(labels, used, where="train"):
    things = [AnnotatedObject(label, (0, 0, 5, 5)) for label in used]
    return Annotations(where, [AnnotatedImage("a.jpg", "a", things)], "xywh", labels=labels)


def together(parts, root):
    found = joined(parts)
    settle([found], Folder(str(root)))
    return found


def test_objects_of_other_classes_are_added_and_copies_are_not(tmp_path):
    ant, bee = part({1: "ant"}, [1]), part({1: "bee"}, [1], "bee.json")
    copies = part({1: "ant", 2: "bee"}, [1, 2], "copy.json"), part({1: "bee"}, [1], "bee2.json")
    found = together([ant, bee, *copies], tmp_path)
    assert found.labels == {1: "ant", 2: "bee"}
    assert [[o.label for o in image.objects] for image in found.images] == [[1, 2]]
    assert found.tally.images == {
        "objects of several files, of a class each (joined)": 1,
        "dropped: picture that another file has too": 2,
    }


def test_a_file_of_another_class_may_list_a_picture_for_each_object(tmp_path):
    """Under an id each, or again under one id, which then has the same objects."""
    ant, bee = part({1: "ant"}, [1]), part({1: "bee"}, [1], "bee.json")
    (image,) = bee.images
    images = [image, image._replace(source_id="b", objects=image.objects * 2), image]
    (image,) = together([ant, dataclasses.replace(bee, images=images)], tmp_path).images
    assert [o.label for o in image.objects] == [1, 2, 2, 2]


def createml(name: str) -> str:
    box = {"x": 20, "y": 20, "width": 20, "height": 20}
    entry = {"image": "0.jpg", "annotations": [{"label": name, "coordinates": box}]}
    return json.dumps([entry])


def cvat(name: str) -> str:
    box = f'<box label="{name}" xtl="10" ytl="10" xbr="30" ybr="30"/>'
    return f'<annotations><image name="0.jpg" width="100" height="80">{box}</image></annotations>'


def via(name: str) -> str:
    shape = {"name": "rect", "x": 10, "y": 10, "width": 20, "height": 20}
    region = {"shape_attributes": shape, "region_attributes": {"class": name}}
    return json.dumps({"0.jpg9": {"filename": "0.jpg", "regions": [region]}})


def labelme(name: str) -> str:
    shape = {"label": name, "points": [[10, 10], [30, 30]], "shape_type": "rectangle"}
    return json.dumps({"version": "5", "flags": {}, "shapes": [shape], "imagePath": "0.jpg"})


def voc(name: str) -> str:
    box = "<xmin>10</xmin><ymin>10</ymin><xmax>30</xmax><ymax>30</ymax>"
    thing = f"<object><name>{name}</name><bndbox>{box}</bndbox></object>"
    return f"<annotation><filename>0.jpg</filename>{thing}</annotation>"


def coco(name: str) -> str:
    image = {"id": 1, "file_name": "0.jpg"}
    thing = {"id": 1, "image_id": 1, "category_id": 1, "bbox": [10, 10, 20, 20]}
    classes = [{"id": 1, "name": name}]
    return json.dumps({"images": [image], "annotations": [thing], "categories": classes})


@pytest.mark.parametrize("place", ["{}.{}", "{}/0.{}", "x/annotations/{}/0.{}"])
@pytest.mark.parametrize("write", [createml, cvat, via, labelme, voc, coco])
def test_files_or_folders_of_a_class_each_are_of_one_picture(tmp_path, write, place):
    ending = "xml" if write in (cvat, voc) else "json"
    room = "x/images/" if "/" in place else ""
    if not room and write in (labelme, voc):  # whose files are one for each picture
        return
    files = {place.format(name, ending): write(name) for name in ("ant", "bee")}
    (found,) = open_folder(make(tmp_path, files, f"{room}0.jpg {room}1.jpg").root).values()
    box = (10, 10, 30, 30)
    (things,) = (things for things in objects(found).values() if things)
    assert things == [("ant", *box), ("bee", *box)]
    assert found.tally.images["objects of several files, of a class each (joined)"] == 1


def test_a_class_without_a_name_is_called_by_its_number_in_a_folder_too(tmp_path):
    (found,) = open_folder(make(tmp_path, {"a.json": coco("")}, "0.jpg").root).values()
    assert found.labels == {1: "class 1"}
