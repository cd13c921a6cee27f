"""Writes one data set in a format, by a tool of others: a function for each tool.

  python -m tools.checks.annotation_writers TOOL FORMAT SOURCE OUTPUT

It runs in the tool's own environment, so it imports nothing but that tool. SOURCE is the folder of
tools/checks/annotation_truth.py, OUTPUT a new folder. A tool gets the truth as COCO where it reads
that, which is how its users come, and as its own objects otherwise.
"""

from __future__ import annotations

import hashlib
import json
import pathlib
import sys
from typing import Any
from urllib.parse import quote

from tools.checks.annotation_layouts import Source, plain_csv, via, visdrone, vott
from tools.checks.annotation_libraries import huggingface, scalabel

_LABEL_STUDIO = """<View><Image name="image" value="$image"/>
<RectangleLabels name="label" toName="image">{}</RectangleLabels></View>"""


def labelme(source: Source, form: str, output: pathlib.Path) -> None:
    """What File > Save writes: a JSON beside each photo; the two parts share a group."""
    from labelme._label_file import LabelFile

    source.copy_photos(output)
    for photo in source.truth:
        shapes = []
        for name, (xmin, ymin, xmax, ymax), item in source.objects(photo):
            # Corners come as they were drawn: here from the lower right to the upper left.
            for part in item.get("outline", [[xmax, ymax, xmin, ymin]]):
                points = [list(point) for point in zip(part[::2], part[1::2], strict=True)]
                shape = {"label": name, "points": points, "description": "", "flags": {}}
                shape["shape_type"] = "polygon" if "outline" in item else "rectangle"
                shape["group_id"] = 1 if "outline" in item else None
                shapes.append(shape | {"mask": None})
        file = (output / photo["file"]).with_suffix(".json")
        LabelFile().save(str(file), shapes, photo["file"], photo["height"], photo["width"])


def labelimg(source: Source, form: str, output: pathlib.Path) -> None:
    """The list of classes grows while one draws; YOLO's classes.txt lies among the labels."""
    from libs.labelFile import LabelFile
    from PyQt5.QtCore import Qt
    from PyQt5.QtGui import QImage

    source.copy_photos(output)
    classes: list[str] = []
    for photo in source.truth:
        shapes = [
            {"label": name, "points": [(x0, y0), (x1, y0), (x1, y1), (x0, y1)], "difficult": False}
            for name, (x0, y0, x1, y1), _ in source.objects(photo)
        ]
        path = output / photo["file"]
        displayed = QImage(photo["width"], photo["height"], QImage.Format_RGB32)
        displayed.fill(Qt.red)  # it asks whether the photo is grey
        file = str(path.with_suffix(".xml" if form == "voc" else ".txt"))
        if form == "voc":
            LabelFile().save_pascal_voc_format(file, shapes, str(path), displayed)
        elif form == "createml":
            file = str(output / "annotations.json")
            LabelFile().save_create_ml_format(file, shapes, str(path), displayed, classes)
        else:
            LabelFile().save_yolo_format(file, shapes, str(path), displayed, classes)


def label_studio(source: Source, form: str, output: pathlib.Path) -> None:
    """Converts the tasks as the server stores them: boxes in percent of the displayed photo."""
    from label_studio_sdk.converter import Converter

    tasks = []
    for number, photo in enumerate(source.truth, 1):
        height, width = photo["height"], photo["width"]
        results = [
            {
                "id": f"box{index}", "type": "rectanglelabels", "from_name": "label",
                "to_name": "image", "image_rotation": 0, "original_width": width,
                "original_height": height,
                "value": {
                    "x": 100 * xmin / width, "y": 100 * ymin / height,
                    "width": 100 * (xmax - xmin) / width, "height": 100 * (ymax - ymin) / height,
                    "rotation": 0, "rectanglelabels": [name],
                },
            }
            for index, (name, (xmin, ymin, xmax, ymax), _) in enumerate(source.objects(photo))
        ]  # fmt: skip
        # The server puts a random number before the names of uploads.
        digest = hashlib.sha256(photo["file"].encode()).hexdigest()[:8]
        image = f"/data/upload/1/{digest}-{photo['file'].replace(' ', '_')}"
        if form == "json_local":
            image = f"/data/local-files/?d=images/{quote(photo['file'])}"
        annotation = {"id": number, "result": results, "was_cancelled": False, "completed_by": 1}
        tasks.append({"id": number, "data": {"image": image}, "annotations": [annotation]})
    labels = "".join(f'<Label value="{name}"/>' for name in source.classes.values())
    file = output.with_suffix(".tasks")
    file.write_text(json.dumps(tasks))
    source.copy_photos(output / "images")
    converter = Converter(_LABEL_STUDIO.format(labels), None, download_resources=False)
    name = form.removesuffix("_local").upper()
    converter.convert(str(file), str(output), name, is_dir=False)
    file.unlink()


def supervision(source: Source, form: str, output: pathlib.Path) -> None:
    """Reads COCO, outlines included."""
    from supervision import DetectionDataset

    dataset = DetectionDataset.from_coco(str(source.photos), str(source.coco))
    images = str(output / "images")
    if form == "coco":
        dataset.as_coco(str(output), str(output / "_annotations.coco.json"))
    elif form == "voc":
        dataset.as_pascal_voc(images, str(output / "annotations"))
    else:
        dataset.as_yolo(images, str(output / "labels"), str(output / "data.yaml"))


def datumaro(source: Source, form: str, output: pathlib.Path) -> None:
    """Exports boxes alone: an outline and its box would be two objects in CVAT's format.

    Datumaro's own JSON gets the outline too: there the two are one object by their group.
    """
    from datumaro import AnnotationType, Dataset
    from datumaro.components.annotation import Bbox, LabelCategories, Polygon
    from datumaro.components.dataset_base import DatasetItem
    from datumaro.components.media import Image

    names = {"coco": "coco_instances", "voc": "voc_detection", "kitti": "kitti_detection"}
    names |= {"ultralytics": "yolo_ultralytics", "json": "datumaro"}
    classes = list(source.classes.values())
    items = []
    for index, photo in enumerate(source.truth):
        boxes = [
            Bbox(
                xmin, ymin, xmax - xmin, ymax - ymin, label=classes.index(name), id=number,
                group=number, attributes={"is_crowd": item["crowd"]},
            )
            for number, found in enumerate(source.objects(photo), 1)
            for name, (xmin, ymin, xmax, ymax), item in [found]
        ]  # fmt: skip
        outlines = [
            Polygon(part, label=classes.index(name), id=number, group=number)
            for number, (name, _, item) in enumerate(source.objects(photo), 1)
            for part in item.get("outline", ())
            if form == "json"
        ]
        items.append(
            DatasetItem(
                pathlib.Path(photo["file"]).stem,
                subset="val" if form == "ultralytics" and index % 2 else "train",
                media=Image.from_file(str(source.photos / photo["file"])),
                annotations=outlines + boxes,
            )
        )
    categories = {AnnotationType.label: LabelCategories.from_iterable(classes)}
    dataset = Dataset.from_iterable(items, categories=categories)
    dataset.export(str(output), names.get(form, form), save_media=True)


def globox(source: Source, form: str, output: pathlib.Path) -> None:
    """Writes annotations alone; the photos are put where its users have them."""
    from globox import AnnotationSet

    annotations = AnnotationSet.from_coco(source.coco)
    beside = form in ("voc", "labelme", "via")
    source.copy_photos(output if beside else output / "images")
    if form == "coco":
        annotations.save_coco(output / "annotations.json", auto_ids=True)
    elif form == "voc":
        annotations.save_pascal_voc(output)
    elif form == "labelme":
        annotations.save_labelme(output)
    elif form == "cvat":
        annotations.save_cvat(output / "annotations.xml")
    elif form == "open_images":
        annotations.save_openimage(output / "train-annotations-bbox.csv")
    else:
        annotations.save_via_json(output / "via_region_data.json", image_folder=source.photos)


def pylabel(source: Source, form: str, output: pathlib.Path) -> None:
    """Reads COCO; the photos are put where it says in data.yaml that they are."""
    from pylabel import importer

    source.copy_photos(output / "images")
    export = importer.ImportCoco(str(source.coco), path_to_images=str(source.photos)).export
    if form == "coco":
        export.ExportToCoco(str(output / "annotations.json"))
    elif form == "voc":
        export.ExportToVoc(str(output / "annotations"))
    else:
        export.ExportToYoloV5(str(output / "labels"), cat_id_index=0)


def fiftyone(source: Source, form: str, output: pathlib.Path) -> None:
    """Gives the exporter every photo, as Dataset.export does, without the database."""
    from fiftyone.core.labels import Detection, Detections
    from fiftyone.core.metadata import ImageMetadata
    from fiftyone.utils import coco, cvat, kitti, voc, yolo

    exporters = {
        "coco": coco.COCODetectionDatasetExporter,
        "voc": voc.VOCDetectionDatasetExporter,
        "yolo": yolo.YOLOv5DatasetExporter,
        "kitti": kitti.KITTIDetectionDatasetExporter,
        "cvat": cvat.CVATImageDatasetExporter,
    }
    more = {"split": "train", "classes": list(source.classes.values())} if form == "yolo" else {}
    with exporters[form](str(output), export_media=True, **more) as exporter:
        for photo in source.truth:
            found = []
            for name, (xmin, ymin, xmax, ymax), item in source.objects(photo):
                shares = [xmin / photo["width"], ymin / photo["height"]]
                shares += [(xmax - xmin) / photo["width"], (ymax - ymin) / photo["height"]]
                crowd = int(item["crowd"])
                found.append(Detection(label=name, bounding_box=shares, iscrowd=crowd))
            path, labels = str(source.photos / photo["file"]), Detections(detections=found)
            exporter.export_sample(path, labels, metadata=ImageMetadata.build_for(path))


def sahi(source: Source, form: str, output: pathlib.Path) -> None:
    """Reads COCO."""
    from sahi.utils.coco import Coco
    from sahi.utils.file import save_json

    coco = Coco.from_coco_dict_or_path(str(source.coco), image_dir=str(source.photos))
    if form == "coco":
        source.copy_photos(output / "images")
        save_json(coco.json, str(output / "annotations.json"))
    else:
        coco.export_as_yolo(output_dir=str(output), train_split_rate=1, disable_symlink=True)


def labelformat(source: Source, form: str, output: pathlib.Path) -> None:
    """Reads COCO and writes labels alone."""
    from labelformat import formats

    writers: dict[str, tuple[Any, ...]] = {
        "coco": (formats.COCOObjectDetectionOutput, output / "annotations.json"),
        "voc": (formats.PascalVOCObjectDetectionOutput, output),
        "yolo": (formats.YOLOv8ObjectDetectionOutput, output / "data.yaml", "train"),
        "kitti": (formats.KittiObjectDetectionOutput, output / "labels"),
        "cvat": (formats.CVATObjectDetectionOutput, output),
    }
    source.copy_photos(output if form == "voc" else output / "images")
    writer, *arguments = writers[form]
    writer(*arguments).save(formats.COCOObjectDetectionInput(source.coco))


def supervisely(source: Source, form: str, output: pathlib.Path) -> None:
    """A project of one data set, as its SDK downloads one: whole pixels."""
    import supervisely as sly

    classes = {
        name: sly.ObjClass(name, sly.AnyGeometry, color=[0, 0, 255])
        for name in source.classes.values()
    }
    project = sly.Project(str(output), sly.OpenMode.CREATE)
    project.set_meta(sly.ProjectMeta(sly.ObjClassCollection(list(classes.values()))))
    dataset = project.create_dataset("photos")
    for photo in source.truth:
        labels = [
            sly.Label(sly.Rectangle(ymin, xmin, ymax - 1, xmax - 1), classes[name])
            for name, (xmin, ymin, xmax, ymax), _ in source.objects(photo)
        ]
        annotation = sly.Annotation((photo["height"], photo["width"]), labels)
        dataset.add_item_file(photo["file"], str(source.photos / photo["file"]), ann=annotation)


def darwin(source: Source, form: str, output: pathlib.Path) -> None:
    """As V7's library writes an item when it splits a video; the folders are those of its pull."""
    from darwin import datatypes as types
    from darwin.exporter.formats.darwin import build_image_annotation

    source.copy_photos(output / "images")
    (output / "releases" / "latest" / "annotations").mkdir(parents=True)
    for photo in source.truth:
        things = []
        for name, (xmin, ymin, xmax, ymax), item in source.objects(photo):
            box = {"x": xmin, "y": ymin, "w": xmax - xmin, "h": ymax - ymin}
            paths = [
                [{"x": x, "y": y} for x, y in zip(part[::2], part[1::2], strict=True)]
                for part in item.get("outline", ())
            ]
            things.append(
                types.make_polygon(name, paths, box)
                if paths
                else types.make_bounding_box(name, **box)
            )
        slot = types.Slot("0", "image", [{"file_name": photo["file"], "url": None}])
        slot.height, slot.width = photo["height"], photo["width"]
        file = output / "releases" / "latest" / "annotations" / photo["file"]
        item = types.AnnotationFile(file, photo["file"], set(), things, slots=[slot])
        file.with_suffix(".json").write_text(json.dumps(build_image_annotation(item, "edet")))


_TOOLS = (
    labelme, labelimg, label_studio, supervision, datumaro, globox, pylabel, fiftyone, sahi,
    labelformat, supervisely, darwin, huggingface, scalabel, via, plain_csv, visdrone,
    vott,
)  # fmt: skip


def main() -> None:
    """Runs the writer that the command line names."""
    tool, form, source, output = sys.argv[1:]
    pathlib.Path(output).mkdir(parents=True)
    writers = {writer.__name__: writer for writer in _TOOLS}
    writers[tool](Source(pathlib.Path(source)), form, pathlib.Path(output))


if __name__ == "__main__":
    main()
