"""The truth on the disk, and the formats that no package writes: VIA, VoTT, CSV, VisDrone.

Nothing but the standard library: it also runs in the environments of others.
"""

from __future__ import annotations

import csv
import hashlib
import json
import pathlib
import shutil
from typing import Any
from urllib.parse import quote

_VIA_HEADER = (
    "filename,file_size,file_attributes,region_count,region_id,region_shape_attributes,"
    "region_attributes"
)


class Source:
    """What tools/checks/annotation_truth.py wrote, and the shapes in which writers take it."""

    def __init__(self, folder: pathlib.Path):
        self.photos = folder / "photos"
        self.coco = folder / "coco.json"
        truth = json.loads((folder / "truth.json").read_text())
        self.classes: dict[int, str] = {int(key): name for key, name in truth["classes"].items()}
        self.truth: list[dict[str, Any]] = truth["photos"]

    def copy_photos(self, folder: pathlib.Path) -> None:
        """Puts the photos where a format has them."""
        shutil.copytree(self.photos, folder, dirs_exist_ok=True)

    def objects(self, photo: dict[str, Any]) -> list[tuple[str, list[float], dict[str, Any]]]:
        """(class name, [xmin, ymin, xmax, ymax], the object itself) of each object of a photo."""
        return [
            (self.classes[item["class"]], [item["box"][side] for side in (1, 0, 3, 2)], item)
            for item in photo["objects"]
        ]


def via(source: Source, form: str, output: pathlib.Path) -> None:
    """VGG Image Annotator 2.0.10: a saved project, or annotations exported as JSON or CSV.

    A project has the option's id of a drop-down in its regions, and the names apart.
    """
    source.copy_photos(output)
    photos = {}
    for photo in source.truth:
        size = (source.photos / photo["file"]).stat().st_size
        photos[f"{photo['file']}{size}"] = {
            "filename": photo["file"],
            "size": size,
            "regions": [
                _via_region(corners, str(item["class"]) if form == "project" else name, item)
                for name, corners, item in source.objects(photo)
            ],
            "file_attributes": {},
        }
    if form == "csv":
        (output / "via_export_csv.csv").write_text(_via_csv(list(photos.values())))
    elif form == "json":
        (output / "via_export_json.json").write_text(json.dumps(photos))
    else:
        options = {str(key): name for key, name in source.classes.items()}
        dropdown = {"type": "dropdown", "description": "", "options": options}
        project = {
            "_via_settings": {"core": {"buffer_size": 18, "filepath": {}, "default_filepath": ""}},
            "_via_img_metadata": photos,
            "_via_attributes": {"region": {"class": dropdown}, "file": {}},
            "_via_data_format_version": "2.0.10",
            "_via_image_id_list": list(photos),
        }
        (output / "via_project.json").write_text(json.dumps(project))


def _via_region(corners: list[float], value: str, item: dict[str, Any]) -> dict[str, Any]:
    """A rectangle; around the parts of one object, a polygon."""
    xmin, ymin, xmax, ymax = corners
    shape = {"name": "rect", "x": xmin, "y": ymin, "width": xmax - xmin, "height": ymax - ymin}
    if "outline" in item:
        xs, ys = [xmin, xmax, xmax, xmin], [ymin, ymin, ymax, ymax]
        shape = {"name": "polygon", "all_points_x": xs, "all_points_y": ys}
    return {"shape_attributes": shape, "region_attributes": {"class": value}}


def _via_csv(photos: list[dict[str, Any]]) -> str:
    """A line for each region; a photo without has one too."""

    def text(attributes: dict[str, Any]) -> str:
        return '"' + json.dumps(attributes, separators=(",", ":")).replace('"', '""') + '"'

    lines = [_VIA_HEADER]
    for photo in photos:
        start, regions = f"{photo['filename']},{photo['size']},{text({})}", photo["regions"]
        lines += [
            f"{start},{len(regions)},{index},{text(region['shape_attributes'])},"
            f"{text(region['region_attributes'])}"
            for index, region in enumerate(regions)
        ] or [f"{start},0,0,{text({})},{text({})}"]
    return "\n".join(lines)


def vott(source: Source, form: str, output: pathlib.Path) -> None:
    """VoTT 2.2: a file for each photo beside the project's, an export of all, or one as CSV."""
    assets = {}
    for photo in source.truth:
        path = f"file:C:/photos/{quote(photo['file'])}"
        size = {"width": photo["width"], "height": photo["height"]}
        asset = {"format": "jpg", "id": hashlib.md5(path.encode()).hexdigest(), "size": size}
        regions = [_vott_region(*each) for each in source.objects(photo)]
        state = {"name": photo["file"], "path": path, "state": 2 if regions else 1, "type": 1}
        assets[asset["id"]] = {"asset": asset | state, "regions": regions, "version": "2.2.0"}
    tags = [{"name": name, "color": "#5db300"} for name in source.classes.values()]
    project = {"name": "set", "securityToken": "set Token", "tags": tags, "version": "2.2.0"}
    source.copy_photos(output)
    if form == "json_assets":
        for key, each in assets.items():
            (output / f"{key}-asset.json").write_text(json.dumps(each, indent=4))
        project["assets"] = {key: each["asset"] for key, each in assets.items()}
        (output / "set.vott").write_text(json.dumps(project, indent=4))
    elif form == "json_export":
        (output / "set-export.json").write_text(json.dumps(project | {"assets": assets}, indent=4))
    else:
        rows = [
            [photo["file"], *corners, name]
            for photo in source.truth
            for name, corners, _ in source.objects(photo)
        ]
        header = ["image", "xmin", "ymin", "xmax", "ymax", "label"]
        write_csv(output / "set-export.csv", [header, *rows])


def _vott_region(name: str, corners: list[float], item: dict[str, Any]) -> dict[str, Any]:
    """A rectangle; around the parts of one object, a polygon."""
    xmin, ymin, xmax, ymax = corners
    points = [(xmin, ymin), (xmax, ymin), (xmax, ymax), (xmin, ymax)]
    return {
        "id": f"{xmin}-{ymin}",
        "type": "POLYGON" if "outline" in item else "RECTANGLE",
        "tags": [name],
        "boundingBox": {"height": ymax - ymin, "width": xmax - xmin, "left": xmin, "top": ymin},
        "points": [{"x": x, "y": y} for x, y in points],
    }


def plain_csv(source: Source, form: str, output: pathlib.Path) -> None:
    """keras-retinanet's columns, those of TF's tutorials, Kaggle's wheat heads, or makesense.ai's.

    The first have no header, and empty fields where a photo has no objects; the second and the last
    have no way to name such a photo; the third have one class, which they do not name, and a box in
    one field; the last have no header either, and whole pixels.
    """
    rows: list[list[Any]] = []
    if form == "retinanet":
        source.copy_photos(output / "images")
        for photo in source.truth:
            found = [[*corners, name] for name, corners, _ in source.objects(photo)]
            rows += [[f"images/{photo['file']}", *row] for row in found or [[""] * 5]]
        classes = [[name, number] for number, name in enumerate(source.classes.values())]
        write_csv(output / "classes.csv", classes)
        write_csv(output / "annotations.csv", rows)
    elif form == "kaggle":
        source.copy_photos(output / "train")
        for photo in source.truth:
            start = [pathlib.Path(photo["file"]).stem, photo["width"], photo["height"]]
            for _, (xmin, ymin, xmax, ymax), _ in source.objects(photo):
                rows.append([*start, str([xmin, ymin, xmax - xmin, ymax - ymin]), "usask_1"])
        write_csv(output / "train.csv", [["image_id", "width", "height", "bbox", "source"], *rows])
    elif form == "makesense":
        source.copy_photos(output / "images")
        for photo in source.truth:
            end = [photo["file"], photo["width"], photo["height"]]
            for name, (xmin, ymin, xmax, ymax), _ in source.objects(photo):
                sides = map(round, (xmin, ymin, xmax - xmin, ymax - ymin))
                rows.append([name, *sides, *end])
        write_csv(output / "labels_set_2000-01-01.csv", rows)
    else:
        source.copy_photos(output)
        for photo in source.truth:
            sides = [photo["width"], photo["height"]]
            found = [[name, *corners] for name, corners, _ in source.objects(photo)]
            rows += [[photo["file"], *sides, *row] for row in found]
        header = ["filename", "width", "height", "class", "xmin", "ymin", "xmax", "ymax"]
        write_csv(output / "_annotations.csv", [header, *rows])


def visdrone(source: Source, form: str, output: pathlib.Path) -> None:
    """The folders and lines of VisDrone-DET: whole pixels, three of its ten classes.

    The crowd has a score of 0. Each file ends with a region without labels and one of "others".
    """
    folder = output / "VisDrone2019-DET-train"
    (folder / "annotations").mkdir(parents=True)
    source.copy_photos(folder / "images")
    categories = {"person": 1, "traffic light": 10, "dog": 2}
    for photo in source.truth:
        lines = []
        for name, corners, item in source.objects(photo):
            xmin, ymin, xmax, ymax = map(int, corners)
            score = int(not item["crowd"])
            lines.append([xmin, ymin, xmax - xmin, ymax - ymin, score, categories[name], 0, 1])
        lines += [[0, 0, 9, 9, 0, 0, 0, 0], [2, 3, 8, 7, 0, 11, 0, 0]]
        path = folder / "annotations" / f"{pathlib.Path(photo['file']).stem}.txt"
        write_csv(path, lines)


def write_csv(path: pathlib.Path, rows: list[list[Any]]) -> None:
    """Writes rows as a CSV without a header of its own."""
    with path.open("w", newline="") as file:
        csv.writer(file).writerows(rows)
