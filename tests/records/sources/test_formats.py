"""A format is recognised however its files are written, and whatever comes first in them."""

import json

import pytest

from tests.records.sources.small_folders import make, objects, read

_LONG = 70_000  # signs; a format is recognised by the first 65,536 bytes of a file
_NAMES = [f"class {k}" for k in range(9_000)]  # 114,892 bytes of YAML
_YOLO = {"labels/a.txt": "0 0.5 0.5 0.5 0.5"}
_VOC_OBJECT = (
    "<object><name>cat</name><bndbox><xmin>10</xmin><ymin>20</ymin><xmax>40</xmax>"
    "<ymax>30</ymax></bndbox></object>"
)
_VOC = f"<annotation>{_VOC_OBJECT}</annotation>"
_LABELME = {
    "imageData": "A" * _LONG,
    "imagePath": "a.jpg",
    "shapes": [{"label": "cat", "points": [[10, 20], [40, 30]], "shape_type": "rectangle"}],
}
_COCO = {
    "annotations": [
        {
            "segmentation": [[10, 20, 40, 30, *[25.123, 25.123] * (_LONG // 16)]],
            "image_id": 1, "category_id": 1, "bbox": [10, 20, 30, 10],
        }
    ],
    "images": [{"id": 1, "file_name": "a.jpg", "height": 50, "width": 60}],
    "categories": [{"id": 1, "name": "cat"}],
}  # fmt: skip
_REGION = {"x": 10, "y": 20, "width": 30, "height": 10, "rectanglelabels": ["cat"]}
_SIZE = {"original_width": 100, "original_height": 100, "image_rotation": 0}
_RESULTS = [_SIZE | {"value": _REGION, "id": "r"}] + [
    _SIZE | {"type": "choices", "value": {"choices": ["x" * 100]}, "id": f"c{k}"}
    for k in range(_LONG // 100)
]
_VIA = {
    "filename": "a.jpg", "base64_img_data": "A" * _LONG, "file_attributes": {},
    "regions": {"0": {
        "shape_attributes": {"name": "rect", "x": 10, "y": 20, "width": 30, "height": 10},
        "region_attributes": {"class": "cat"},
    }},
}  # fmt: skip
_CVAT_META = f"<meta><project>{'<label>dog</label>' * (_LONG // 18)}</project></meta>"
_CVAT_IMAGE = (
    "<image id='0' name='a.jpg'\n  subset='Train' width='60' height='50'>"
    "<box label='cat' xtl='10' ytl='20' xbr='40' ybr='30'/></image>"
)
_CVAT = f"<annotations><version>1.1</version>{_CVAT_META}{_CVAT_IMAGE}</annotations>"
_KITTI = "cat 0.00 0 -1.57 10 20 40 30 1.65 1.67 3.64 -0.65 1.71 46.70 -1.59"
_OPEN_IMAGES = "ImageID,LabelName,XMin,YMin,XMax,YMax\na,/m/0,0.1,0.2,0.4,0.3\n"
_TABLE = "filename\tclass\txmin\tymin\txmax\tymax\na.jpg\tcat\t10\t20\t40\t30\n"


@pytest.mark.parametrize(
    ("name", "files"),
    [
        ("yolo", _YOLO | {"data.yaml": '"train": images\n"names": ["cat"]\n'}),
        ("yolo", _YOLO | {"data.yaml": "'names' : {0: cat}\n'train' : images\n"}),
        ("yolo", _YOLO | {"data.yaml": json.dumps({"train": "images", "names": ["cat"]})}),
        ("yolo", _YOLO | {"data.yaml": "names: [cat]\nvalid: images\n"}),
        ("yolo", _YOLO | {"data.yaml": json.dumps({"names": ["cat", *_NAMES], "nc": 9_001})}),
        ("yolo", _YOLO | {"classes.txt": "\ufeffcat\ndog\n"}),
        ("coco", {"a.json": json.dumps(_COCO)}),
        ("coco", {"a.json": json.dumps({"licenses": [{"id": 1}] * (_LONG // 8)} | _COCO)}),
        ("coco", {"a.json": json.dumps(_COCO).encode("utf-16")}),
        ("voc", {"a.xml": f'<annotation verified="yes">{_VOC_OBJECT}</annotation>'}),
        ("voc", {"a.xml": _VOC.encode("utf-16")}),
        ("voc", {"0.xml": "", "a.xml": _VOC}),  # of a disk that was full
        ("voc", {"0/project.xml": "<project/>", "a.xml": _VOC}),
        ("labelme", {"a.json": json.dumps(_LABELME)}),
        ("label_studio", {"a.json": json.dumps(
            [{"id": 1, "annotations": [{"result": _RESULTS}], "data": {"image": "a.jpg"}}])}),
        ("label_studio", {"a.json": json.dumps(
            [{"image": "a.jpg", "label": [_REGION | one for one in _RESULTS], "annotator": 1}])}),
        ("cvat", {"a.xml": _CVAT}),
        ("cvat", {"a.xml": _CVAT.encode("utf-16")}),
        ("via", {"a.json": json.dumps({"a.jpg9": _VIA})}),
        ("kitti", {f"images/0{k:02}.txt": "" for k in range(25)} | {"images/a.txt": _KITTI}),
        ("open_images", {
            "boxes.csv": _OPEN_IMAGES.encode("utf-8-sig"),
            "class-descriptions.csv": "\ufeff/m/0,cat\n",
        }),
        ("open_images", {
            "boxes.csv": _OPEN_IMAGES.replace("\n", "\r"), "class-descriptions.csv": "/m/0,cat\r",
        }),
        ("csv", {"boxes.tsv": _TABLE.replace("\n", "\r")}),  # Excel's "CSV (Macintosh)"
        ("csv", {"boxes.tsv": _TABLE.encode("utf-16")}),  # Excel's "Unicode text"
        ("csv", {"boxes.csv": "a.jpg,10,20,40,30,cat\n", "classes.csv": "\ufeffcat,0\n"}),
    ],
)  # fmt: skip
def test_what_is_written_otherwise_is_recognised_and_read(tmp_path, name, files):
    """Quotes, attributes, marks, other orders of keys, line ends, empty files, long beginnings."""
    (source,) = read(make(tmp_path, files, "images/a.jpg"), name).values()
    (found,) = filter(None, objects(source).values())
    assert found[0][0] == "cat"
    assert found[0][1:] == pytest.approx(
        (0.25, 0.25, 0.75, 0.75) if name == "yolo"
        else (0.2, 0.1, 0.3, 0.4) if name == "open_images" else (20, 10, 30, 40)
    )  # fmt: skip
