"""Sets that lie unusually in their folders: every box stays with its own picture and class.

A case has a box of its own for each picture, told by its left side, so that one that is given to
another picture shows.
"""

import json
import os

import pytest

from edet.errors import UserError
from edet.records.sources.formats import OF_OTHERS, open_folder
from tests.records.sources.small_folders import make

PICTURE = "<filename>{name}</filename><size><width>100</width><height>80</height></size>"


def voc(left: int, name: str = "") -> str:
    corners = f"<xmin>{left}</xmin><ymin>10</ymin><xmax>{left + 20}</xmax><ymax>30</ymax>"
    thing = f"<object><name>cat</name><bndbox>{corners}</bndbox></object>"
    return f"<annotation>{PICTURE.format(name=name)}{thing}</annotation>"


def coco(boxes: dict[str, int], categories: tuple[str, ...] = ("cat",)) -> str:
    """Of {file name: left side}; ids count from 1, the class is the first category."""
    images = [
        {"id": i, "file_name": name, "width": 100, "height": 80}
        for i, name in enumerate(boxes, start=1)
    ]
    annotations = [
        {"id": i, "image_id": i, "category_id": 1, "bbox": [left, 10, 20, 20]}
        for i, left in enumerate(boxes.values(), start=1)
    ]
    names = [{"id": i, "name": name} for i, name in enumerate(categories, start=1)]
    return json.dumps({"images": images, "annotations": annotations, "categories": names})


def cvat(name: str, left: int) -> str:
    box = f'<box label="cat" xtl="{left}" ytl="10" xbr="{left + 20}" ybr="30"/>'
    image = f'<image id="0" name="{name}" width="100" height="80">{box}</image>'
    return f"<annotations>{image}</annotations>"


def track(mode: str, size: int, lefts: list[int]) -> str:
    """A video of a box that moves, as CVAT exports a task for video."""
    task = f"<task><size>{size}</size><mode>{mode}</mode></task>"
    boxes = "".join(
        f'<box frame="{k}" xtl="{left}" ytl="10" xbr="{left + 20}" ybr="30" outside="0"/>'
        for k, left in enumerate(lefts)
    )
    return f'<annotations><meta>{task}</meta><track label="cat">{boxes}</track></annotations>'


def label_studio(task_id: int, name: str, left: int) -> str:
    value = {"x": left, "y": 10, "width": 20, "height": 20, "rectanglelabels": ["cat"]}
    size = {"original_width": 100, "original_height": 80}
    annotation = {"result": [{"value": value, "type": "rectanglelabels", **size}]}
    return json.dumps([{"id": task_id, "data": {"image": name}, "annotations": [annotation]}])


def yolo(left: int, class_id: int = 0) -> str:
    """A box of 20 pixels of 100."""
    return f"{class_id} {(left + 10) / 100} 0.5 0.2 0.2\n"


CSV = "filename,class,xmin,ymin,xmax,ymax\n"
KITTI = "Car 0 0 0 {} 10 {} 30 0 0 0 0 0 0 0\n"
YAML = "train: images/train\nval: images/val\nnames: [cat, dog]\n"

CASES = {  # {name: (format, files, pictures without content, {split: {picture: [left sides]}})}
    "VOC, two cameras": (
        "voc",
        {"cam1/Annotations/1.xml": voc(10), "cam2/Annotations/1.xml": voc(50)},
        "cam1/JPEGImages/1.jpg cam2/JPEGImages/1.jpg",
        {"": {"cam1/JPEGImages/1.jpg": [10], "cam2/JPEGImages/1.jpg": [50]}},
    ),
    "VOC, a folder for each split": (
        "voc",
        {"train/annotations/1.xml": voc(10), "test/annotations/1.xml": voc(50)},
        "train/images/1.png test/images/1.png",
        {"train": {"train/images/1.png": [10]}, "test": {"test/images/1.png": [50]}},
    ),
    "VOC, two years with lists": (
        "voc",
        {
            f"VOC{year}/{name}": content
            for year, left in ((2007, 10), (2012, 50))
            for name, content in (
                (f"Annotations/{left}.xml", voc(left)), ("ImageSets/Main/train.txt", f"{left}\n"),
            )
        },
        "VOC2007/JPEGImages/10.jpg VOC2012/JPEGImages/50.jpg",
        {"train": {"VOC2007/JPEGImages/10.jpg": [10], "VOC2012/JPEGImages/50.jpg": [50]}},
    ),
    "VOC, lists of other names with endings": (
        "voc",
        {
            "Annotations/a.xml": voc(10), "Annotations/b.xml": voc(50),
            "ImageSets/Train.txt": "a.jpg\n", "ImageSets/Validation.txt": "b.jpg\n",
        },
        "JPEGImages/a.jpg JPEGImages/b.jpg",
        {"train": {"JPEGImages/a.jpg": [10]}, "val": {"JPEGImages/b.jpg": [50]}},
    ),
    "VOC, masks beside the annotations": (
        "voc", {"annotations/a.xml": voc(10)}, "annotations/a.png images/a.jpg",
        {"": {"images/a.jpg": [10]}},
    ),
    "COCO, a folder that is not unpacked": (
        "coco", {"a.json": coco({"cam1/0.jpg": 10, "cam2/0.jpg": 50})}, "cam1/0.jpg",
        {"": {"cam1/0.jpg": [10]}},
    ),
    "COCO, two tasks": (
        "coco",
        {"t1/a.json": coco({"0.jpg": 10}), "t2/a.json": coco({"0.jpg": 50}, ("cat", "dog"))},
        "t1/0.jpg t2/0.jpg",
        {"": {"t1/0.jpg": [10], "t2/0.jpg": [50]}},
    ),
    "COCO, its own annotations": (
        "coco",
        {
            "annotations/captions_train2017.json": coco({"1.jpg": 50}),
            "annotations/instances_train2017.json": coco({"1.jpg": 10}),
            "annotations/person_keypoints_train2017.json": coco({"1.jpg": 50}),
            "annotations/categories.json": json.dumps({"categories": [{"id": 1, "name": "a"}]}),
        },
        "train2017/1.jpg",
        {"train": {"train2017/1.jpg": [10]}},
    ),
    "COCO, classes.txt beside it": (
        "coco", {"a.json": coco({"0.jpg": 10}), "classes.txt": "cat\n"}, "0.jpg",
        {"": {"0.jpg": [10]}},
    ),
    "CVAT, two tasks": (
        "cvat", {"t1/a.xml": cvat("0.jpg", 10), "t2/a.xml": cvat("0.jpg", 50)},
        "t1/0.jpg t2/0.jpg",
        {"": {"t1/0.jpg": [10], "t2/0.jpg": [50]}},
    ),
    "CVAT, pictures exported as a video": (
        "cvat", {"annotations.xml": track("annotation", 2, [10, 50])},
        "images/000001.jpg images/000002.jpg",
        {"": {"images/000001.jpg": [10], "images/000002.jpg": [50]}},
    ),
    "CVAT, two videos": (
        "cvat",
        {f"v{k}.xml": track("interpolation", 1, [left]) for k, left in ((1, 10), (2, 50))},
        "v1/frame_000000.png v2/frame_000000.png",
        {"": {"v1/frame_000000.png": [10], "v2/frame_000000.png": [50]}},
    ),
    "Label Studio, two projects of equal ids": (
        "label_studio",
        {"anna.json": label_studio(1, "a.jpg", 10), "bob.json": label_studio(1, "b.jpg", 50)},
        "a.jpg b.jpg",
        {"": {"a.jpg": [10], "b.jpg": [50]}},
    ),
    "CSV, a file for each class": (
        "csv",
        {
            "cars.csv": f"{CSV}a.jpg,car,10,10,30,30\n",
            "men.csv": f"{CSV}a.jpg,man,50,10,70,30\n",
        },
        "a.jpg",
        {"": {"a.jpg": [10, 50]}},
    ),
    "CSV, the folder of a name missing": (
        "csv", {"a.csv": f"{CSV}0.jpg,car,10,10,30,30\nnight/0.jpg,car,50,10,70,30\n"}, "0.jpg",
        {"": {"0.jpg": [10]}},
    ),
    "KITTI, lists": (
        "kitti",
        {
            "training/label_2/1.txt": KITTI.format(10, 30),
            "training/label_2/2.txt": KITTI.format(50, 70),
            "ImageSets/train.txt": "1\n", "ImageSets/val.txt": "2\n3\n",
        },
        "training/image_2/1.png training/image_2/2.png training/image_2/3.png",
        {
            "train": {"training/image_2/1.png": [10]},
            "val": {"training/image_2/2.png": [50], "training/image_2/3.png": []},
        },
    ),
    "KITTI, a picture missing": (
        "kitti",
        {"a/label_2/1.txt": KITTI.format(10, 30), "b/label_2/1.txt": KITTI.format(50, 70)},
        "a/image_2/1.png",
        {"": {"a/image_2/1.png": [10]}},
    ),
    "LabelMe, pictures in a folder beside": (
        "labelme",
        {
            f"{day}/ann/a.json": json.dumps(
                {"version": "5", "imagePath": "a.jpg", "imageWidth": 100, "imageHeight": 80,
                 "shapes": [{"label": "cat", "shape_type": "rectangle",
                             "points": [[left, 10], [left + 20, 30]]}]}
            )
            for day, left in (("day1", 10), ("day2", 50))
        },
        "day1/img/a.jpg day2/img/a.jpg",
        {"": {"day1/img/a.jpg": [10], "day2/img/a.jpg": [50]}},
    ),
    "YOLO, folders of other names": (
        "yolo",
        {
            "data.yaml": "train: train_images\nval: val_images\nnames: [cat]\n",
            "train_labels/1.txt": yolo(10), "val_labels/1.txt": yolo(50),
        },
        "train_images/1.jpg val_images/1.jpg",
        {"train": {"train_images/1.jpg": [10]}, "val": {"val_images/1.jpg": [50]}},
    ),
    "YOLO, lists of another machine": (
        "yolo",
        {
            "data.yaml": "train: train.txt\nval: val.txt\nnames: [cat]\n",
            "train.txt": "/home/me/set/images/0.jpg\n", "val.txt": "C:\\set\\images\\1.jpg\n",
            "labels/0.txt": yolo(10), "labels/1.txt": yolo(50),
        },
        "images/0.jpg images/1.jpg",
        {"train": {"images/0.jpg": [10]}, "val": {"images/1.jpg": [50]}},
    ),
    "YOLO, Darknet's description": (
        "yolo",
        {
            "obj.data": "train = data/train.txt\nvalid=data/valid.txt\nnames = data/obj.names\n",
            "data/obj.names": "cat\n", "data/train.txt": "data/obj/0.jpg\n",
            "data/valid.txt": "data/obj/1.jpg\n",
            "data/obj/0.txt": yolo(10), "data/obj/1.txt": yolo(50),
        },
        "data/obj/0.jpg data/obj/1.jpg",
        {"train": {"data/obj/0.jpg": [10]}, "val": {"data/obj/1.jpg": [50]}},
    ),
    "YOLO, a word of splits above": (
        "yolo",
        {"training/classes.txt": "cat\n", "training/val/0.txt": yolo(10)}, "training/val/0.jpg",
        {"val": {"training/val/0.jpg": [10]}},
    ),
    "YOLO, key points and a track": (
        "yolo",
        {
            "data.yaml": f"{YAML}kpt_shape: [4, 2]\n",
            "labels/train/0.txt": f"{yolo(10).strip()} .65 .65 .75 .65 .75 .75 .65 .75\n",
            "labels/train/1.txt": f"{yolo(50).strip()} 0.9 7\n",
        },
        "images/train/0.jpg images/train/1.jpg",
        {"train": {"images/train/0.jpg": [10], "images/train/1.jpg": [50]}},
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", CASES)
def test_every_box_stays_with_its_picture(tmp_path, name):
    format_name, files, pictures, expected = CASES[name]
    folder = make(tmp_path, files, pictures)
    sentences = []
    found = open_folder(folder.root, log=sentences.append)
    assert f"of the format {format_name}:" in sentences[0]
    scale = {"yolo": 100}.get(format_name, 1)
    assert {
        split: {
            os.path.relpath(example.image, folder.root): [
                round(left * scale) for left in example.boxes[:, 1].tolist()
            ]
            for example in source.examples
        }
        for split, source in found.items()
    } == expected


def test_lists_of_names_that_differ_count_for_their_own_folders(tmp_path):
    files = {
        "train/classes.txt": "cat\ndog\n", "train/a.txt": yolo(10, 0),
        "val/classes.txt": "dog\ncat\n", "val/b.txt": yolo(10, 0),
    }  # fmt: skip
    found = open_folder(make(tmp_path, files, "train/a.jpg val/b.jpg").root)
    names = {
        split: [source.labels[k] for e in source.examples for k in e.class_ids.tolist()]
        for split, source in found.items()
    }
    assert names == {"train": ["cat"], "val": ["dog"]}


HALVES = {"classes.txt": "cat\n", "0.txt": yolo(10), "1.xml": voc(50, "1.jpg")}
ALONE = "pictures such as 1.jpg (1 in all) have labels of the format voc alone"
LIKENESS = {"annotations/labels.json": coco({"0.jpg": 10}), "images/0.xml": voc(10, "0.jpg")}


@pytest.mark.parametrize(
    ("files", "pictures", "warned"),
    [
        (HALVES, "0.jpg 1.jpg", ALONE),
        (HALVES | {"1.txt": yolo(50)}, "0.jpg 1.jpg", ""),  # all in YOLO, one of it in VOC too
        (HALVES | {"1.xml": "<annotation></annotation>"}, "0.jpg 1.jpg", ""),  # without objects
        ({"labels.json": coco({"0.jpg": 10}), "1.xml": voc(50, "1.jpg")}, "0.jpg 1.jpg", ALONE),
        # The same set twice beside a picture of nothing; names that are found by likeness.
        (LIKENESS, "images/0.jpg logo.png", ""),
        (
            {"classes.txt": "cat\n", "a b.txt": yolo(10), "c.txt": "",
             "export.json": label_studio(1, "/data/upload/1/1a2b3c4d-a%20b.jpg", 10)},
            ("a b.jpg", "c.jpg"), "",
        ),
        (
            {"classes.txt": "cat\n", "cam.001.txt": yolo(10), "t.csv": CSV + "cam.001,cat,1,1,9,9"},
            "cam.001.jpg c.jpg", "",
        ),
        # Two folders have a picture of one name.
        (
            {"classes.txt": "cat\n", "a/0.txt": yolo(10), "b/0.xml": voc(50, "0.jpg")},
            "a/0.jpg b/0.jpg", "such as b/0.jpg (1 in all) have labels of the format voc alone",
        ),
    ],
)  # fmt: skip
def test_pictures_with_labels_of_a_second_format_alone_are_named_and_left_out(
    tmp_path, files, pictures, warned
):
    """They would be background; nothing else of the first is read otherwise for it."""
    pictures = pictures if isinstance(pictures, tuple) else pictures.split()
    folder = make(tmp_path, dict.fromkeys(pictures, "") | files)
    sentences: list[str] = []
    found = open_folder(folder.root, log=sentences.append)
    warnings = [sentence for sentence in sentences if sentence.startswith("warning")]
    assert len(warnings) == bool(warned) and all(warned in sentence for sentence in warnings)
    assert not (warned and any("taken as without objects" in one for one in sentences))
    name = sentences[0].partition("of the format ")[2].partition(":")[0]
    alone = open_folder(folder.root, format_name=name, log=sentences.append)
    problems = (problem for source in found.values() for problem in source.tally.problems)
    left_out = {folder.path(one["file"]) for one in problems if one["what"] == OF_OTHERS}
    # No entry of the JSON is for 1.jpg, and b/0.jpg would be a copy of a/0.jpg.
    assert left_out == ({folder.path("1.jpg")} if warned == ALONE and name == "yolo" else set())
    assert {k: repr(v.examples) for k, v in found.items()} == {
        k: repr([e for e in v.examples if e.image not in left_out]) for k, v in alone.items()
    }


def test_one_picture_under_two_ids_is_told(tmp_path):
    text = coco({"a.jpg": 10, "./a.jpg": 50})
    (source,) = open_folder(make(tmp_path, {"a.json": text}, "a.jpg").root).values()
    assert len(source.examples) == 2
    ((what, count),) = source.tally.images.items()
    assert "two ids" in what and count == 1


def test_names_of_classes_are_one_line(tmp_path):
    """A list has ids, a CSV names alone."""
    folders = [tmp_path / name for name in ("a", "b")]
    make(folders[0], {"a.json": coco({"0.jpg": 10}, ("big\n cat ",))}, "0.jpg")
    make(folders[1], {"a.csv": f'{CSV}0.jpg,"big\ncat",10,10,30,30\n'}, "0.jpg")
    for folder in folders:
        (source,) = open_folder(str(folder)).values()
        assert list(source.labels.values()) == ["big cat"] and len(source.examples[0].boxes) == 1


def test_what_is_of_no_split_has_a_name_beside_those_that_are(tmp_path):
    files = {f"{name}/{name}.xml": voc(10) for name in ("bus", "train")}
    sentences = []
    folder = make(tmp_path, files, "bus/bus.jpg train/train.jpg")
    found = open_folder(folder.root, log=sentences.append)
    assert {split: len(source) for split, source in found.items()} == {"train": 1, "rest": 1}
    assert any("such as bus/bus.jpg, are of no split" in sentence for sentence in sentences)


@pytest.mark.parametrize(
    ("name", "files", "pictures"),
    [
        ("data.yaml", {"data.yaml": YAML, "labels/train/0.txt": yolo(10)}, "images/train/0.jpg"),
        ("annotations/a.json", {"annotations/a.json": coco({"0.jpg": 10})}, "train/0.jpg"),
        ("labels/det/a.json", {"labels/det/a.json": coco({"0.jpg": 10})}, "images/100k/0.jpg"),
        ("a.xml", {"a.xml": voc(10), "b.xml": voc(50)}, "a.jpg b.jpg"),
    ],
)  # fmt: skip
def test_one_annotation_file_is_read_with_its_pictures_alone(tmp_path, name, files, pictures):
    folder = make(tmp_path, files, pictures)
    (source,) = open_folder(os.path.join(folder.root, name)).values()
    assert [len(example.boxes) for example in source.examples] == [1]


@pytest.mark.parametrize(
    ("files", "pictures", "words"),
    [
        ({"data.yaml": YAML}, "images/train/0.jpg", "not one of its pictures has labels"),
        (
            {"classes.txt": "cat\n\ndog\n", "0.txt": yolo(10)}, "0.jpg",
            "classes.txt: line 2 is empty",
        ),
        (
            {"data.yaml": YAML.replace("dog", "yes"), "labels/train/0.txt": yolo(10)},
            "images/train/0.jpg", "among the names is True",
        ),
        (
            {f"{k}/data.yaml": f"train: images\nnames: [{k}]\n" for k in ("a", "b")},
            "a/images/0.jpg b/images/0.jpg", "two sets of different classes",
        ),
        (
            {"a.xml": track("annotation", 3, [10])}, "1.jpg 2.jpg",
            "2 are in the folder instead of 3",
        ),
        (
            {"a.json": coco({"0.jpg": 10}, ())}, "0.jpg", "has annotations but no categories",
        ),
        (
            {"readme.txt": "a set", "b.csv": "ant,bee\n1,2\n"}, "0.jpg",
            r"\(1 pictures of 3 files; b\.csv begins with 'ant,bee'\)",
        ),
        (
            {"data.yaml": "train: images\nval: images\nnc: 2\n", "labels/0.txt": yolo(10)},
            "images/0.jpg", r"0\.txt is a label of YOLO's, and no file has names of the classes",
        ),
        (
            {"classes.txt": "cat\n", "labels/0.txt": "0 10 20 40 30\n"}, "images/0.jpg",
            r"labels/0\.txt begins with '0 10 20 40 30'",
        ),
        ({"set.zip": "PK"}, "", r"set\.zip is packed; unpack it"),
        (
            {"a.json": coco({"0.jpg": 10}), "train2017.zip": "PK"}, "",
            r"0\.jpg is not in .*; train2017\.zip is packed, so unpack it",
        ),
        (
            {"classes.txt": "cat\n", "0.txt": yolo(10)}, "0.HEIC 1.heic",
            r"the 2 pictures of .*, such as 0\.HEIC, are HEIC, which edet does not read",
        ),
        ({}, "0.jpg cat/1.jpg", r"no annotations that edet knows \(2 pictures of 2 .*label them"),
        (
            {"coco/2017/1.1.0/features.json": "{}", "coco/2017/1.1.0/dataset_info.json":
             json.dumps({"name": "coco", "configName": "2017", "version": "1.1.0"})}, "",
            r"--tfds_name=coco/2017:1\.1\.0 --tfds_dir=/\S+[^/] --split=train\.$",
        ),
    ],
)  # fmt: skip
def test_what_cannot_be_known_is_refused_in_a_sentence(tmp_path, files, pictures, words):
    with pytest.raises(UserError, match=words):
        open_folder(make(tmp_path, files, pictures).root)


def test_labels_and_places_without_pictures_are_named(tmp_path, caplog):
    files = {"data.yaml": YAML, "labels/train/0.txt": yolo(10), "labels/train/1.txt": yolo(50)}
    found = open_folder(make(tmp_path, files, "images/train/0.jpg").root)
    (problem,) = found["train"].tally.problems
    assert problem["file"] == "labels/train/1.txt" and problem["what"].startswith("dropped")
    assert "no picture is at val: images/val" in caplog.text


def test_names_that_differ_in_letters_size_are_said(tmp_path):
    files = {"0.xml": voc(10), "1.xml": voc(50).replace("cat", "Cat")}
    sentences = []
    (source,) = open_folder(
        make(tmp_path, files, "0.jpg 1.jpg").root, log=sentences.append
    ).values()
    assert source.labels == {1: "Cat", 2: "cat"}
    assert any("the classes 'Cat' and 'cat' are called almost alike" in one for one in sentences)


def test_pictures_that_nothing_names_are_counted_by_folder(tmp_path):
    """Such as those of a split whose file is empty."""
    files = {"train/a.json": coco({"0.jpg": 10}), "val/a.json": ""}
    sentences = []
    root = make(tmp_path, files, "train/0.jpg val/0.jpg val/1.jpg 7.jpg").root
    open_folder(root, log=sentences.append)
    assert sentences[-1] == (
        f"pictures that no annotation of the format coco names are left out: 2 in val, 1 in {root}."
    )


def boxes_by_picture(source) -> dict[str, list[float]]:
    return {
        os.path.basename(example.image): example.boxes[:, 1].tolist() for example in source.examples
    }


def test_splits_may_share_pictures_each_with_a_file_in_its_own_folder(tmp_path):
    files = {f"{split}/labels.json": coco({"1.jpg": 10}) for split in ("train", "val")}
    found = open_folder(make(tmp_path, files, "images/1.jpg").root)
    assert {k: boxes_by_picture(v) for k, v in found.items()} == {
        "train": {"1.jpg": [10]}, "val": {"1.jpg": [10]},
    }  # fmt: skip


def test_a_file_that_is_there_twice_gives_nothing_twice(tmp_path):
    """COCO's copy has other ids, the CSV's the same rows and one more."""
    copy = {"a.json": coco({"1.jpg": 10, "2.jpg": 50}), "b.json": coco({"2.jpg": 50, "1.jpg": 10})}
    rows = f"{CSV}1.jpg,car,10,10,30,30\n"
    more = {"a.csv": rows, "b.csv": f"{rows}1.jpg,car,50,10,70,30\n"}
    for name, files, pictures, expected in (
        ("coco", copy, "1.jpg 2.jpg", {"1.jpg": [10], "2.jpg": [50]}),
        ("csv", more, "1.jpg", {"1.jpg": [10, 50]}),
    ):
        (source,) = open_folder(make(tmp_path / name, files, pictures).root).values()
        assert boxes_by_picture(source) == expected
        problems = source.tally.images + source.tally.boxes
        assert sum(n for what, n in problems.items() if "another file has too" in what) in (1, 2)


def test_the_newer_export_of_one_project_counts(tmp_path):
    files = {
        "old/p.json": label_studio(7, "/data/upload/1/0aaaaaaa-a.jpg", 10),
        "new/p.json": label_studio(7, "/data/upload/1/0bbbbbbb-a.jpg", 50),
    }
    (source,) = open_folder(make(tmp_path, files, "a.jpg").root).values()
    assert len(source.examples) == 1
    assert any("other annotations of the same picture" in what for what in source.tally.images)


def test_the_name_of_an_xml_is_nearer_than_the_one_in_it(tmp_path):
    """Photos were renamed, and their xmls with them."""
    files = {"x/Annotations/a.xml": voc(10, "b.jpg"), "x/Annotations/b.xml": voc(50, "a.jpg")}
    (source,) = open_folder(
        make(tmp_path, files, "JPEGImages/a.jpg JPEGImages/b.jpg").root
    ).values()
    assert boxes_by_picture(source) == {"a.jpg": [10], "b.jpg": [50]}


def test_labels_of_kittis_training_folder_are_never_a_test_list_s(tmp_path):
    files = {
        "training/label_2/0.txt": KITTI.format(10, 30),
        "training/label_2/1.txt": KITTI.format(50, 70),
        "ImageSets/train.txt": "0\n", "ImageSets/val.txt": "1\n", "ImageSets/test.txt": "0\n1\n",
    }  # fmt: skip
    pictures = "training/image_2/0.png training/image_2/1.png testing/image_2/0.png"
    found = open_folder(make(tmp_path, files, pictures).root)
    assert {k: boxes_by_picture(v) for k, v in found.items()} == {
        "train": {"0.png": [10]}, "val": {"1.png": [50]},
    }  # fmt: skip


def test_a_number_that_no_category_has_is_no_class_of_another_file(tmp_path):
    other = json.loads(coco({"b.jpg": 50}, ("cow",)))
    other["annotations"][0]["category_id"] = 2
    files = {"a.json": coco({"a.jpg": 10}, ("cat", "dog")), "b.json": json.dumps(other)}
    (source,) = open_folder(make(tmp_path, files, "a.jpg b.jpg").root).values()
    assert boxes_by_picture(source) == {"a.jpg": [10], "b.jpg": []}
    assert source.tally.boxes == {"dropped: class not in the labels": 1}


def test_lists_of_names_beside_the_labels_count_for_these(tmp_path):
    files = {
        "labels/train/classes.txt": "cat\ndog\n", "labels/train/a.txt": yolo(10),
        "labels/val/classes.txt": "dog\ncat\n", "labels/val/b.txt": yolo(10),
    }  # fmt: skip
    found = open_folder(make(tmp_path, files, "images/train/a.jpg images/val/b.jpg").root)
    names = {k: v.labels[int(v.examples[0].class_ids[0])] for k, v in found.items()}
    assert names == {"train": "cat", "val": "dog"}


def test_missing_pictures_cost_no_more_than_those_that_are_there(tmp_path, monkeypatch):
    """Looking for the nearest name goes through all of them."""
    asked = []
    monkeypatch.setattr("difflib.get_close_matches", lambda *_: asked.append(1) or [])
    names = {f"{k:03}.jpg": 10 for k in range(100)}
    with pytest.raises(UserError, match="no picture was found"):
        open_folder(make(tmp_path, {"a.json": coco(names)}, "other.jpg").root)
    assert len(asked) == 20


def test_pictures_without_a_file_are_said_where_they_are_more_than_a_tenth(tmp_path):
    """Half of a set may be labelled so far, and the other half would be background."""
    files = {"classes.txt": "cat\n"} | {f"{k}.txt": yolo(10) for k in range(10)}
    for count, expected in ((1, []), (2, ["2 of the 12 pictures have no file"])):
        pictures = " ".join(f"{k}.jpg" for k in range(10 + count))
        sentences: list[str] = []
        open_folder(make(tmp_path / str(count), files, pictures).root, log=sentences.append)
        found = [one for one in sentences if "no file of labels" in one]
        assert len(found) == len(expected) and all(map(str.startswith, found, expected))


@pytest.mark.parametrize(
    "yaml",
    [
        "Train: Train.txt\nValidation: Validation.txt\nnames: {0: cat}\npath: .\n",  # CVAT's
        "names: [cat]\n",
    ],
)
def test_data_yaml_names_splits_in_any_letters_or_none(tmp_path, yaml):
    files = {"data.yaml": yaml, "labels/Train/0.txt": yolo(10), "labels/Validation/1.txt": yolo(50)}
    if "Train.txt" in yaml:
        files |= {
            "Train.txt": "images/Train/0.jpg\n",
            "Validation.txt": "images/Validation/1.jpg\n",
        }
    found = open_folder(make(tmp_path, files, "images/Train/0.jpg images/Validation/1.jpg").root)
    assert {split: [len(e.boxes) for e in one.examples] for split, one in found.items()} == {
        "train": [1], "val": [1],
    }  # fmt: skip
