"""Reads COCO instances JSON, and LVIS and Objects365, which are written like it.

Sparse category ids, crowds, mask areas, images without objects. COCO boxes are [x, y, width,
height] in pixels; where an annotation has an outline alone, its bounds are its box.
"""

from __future__ import annotations

import math
import posixpath
import re
from collections import defaultdict
from typing import Any

from pycocotools import mask as rle

from edet.errors import UserError
from edet.files import read_json
from edet.records.sources.annotations import (
    AnnotatedImage,
    AnnotatedObject,
    Annotations,
)  # fmt: skip
from edet.records.sources.example_set import ExampleSet, Tally
from edet.records.sources.folder import Folder, by_split
from edet.records.sources.joining import examples_of, joined
from edet.records.sources.shapes import BAD_IMAGE, WRONG, flag, in_words, pixels

_UNREADABLE = "dropped: bbox of four numbers, class or iscrowd missing or unreadable"
_LIST = re.compile(r'"(images|categories|annotations)"\s*:\s*\[')
_FIRST = re.compile(r'\s*\{\s*"(info|licenses)"')  # what COCO's own files begin with
_OTHER_TASKS = ("captions", "keypoints", "panoptic", "stuff", "image_info")  # COCO's own names
_NAMES = ("file_name", "coco_url", "flickr_url", "filename", "path")  # LVIS has a coco_url alone


def read_coco(
    annotations_json: str, images_dir: str, labels: dict[int, str] | None = None,
    keep_unused: bool = False,
) -> ExampleSet:  # fmt: skip
    """Returns every image of the file, in its order, named by its id.

    Args:
      annotations_json: an instances file, such as instances_train2017.json; gs:// works.
      images_dir: the folder that the `file_name` of each image is relative to.
      labels: {id: name} of the set, matched by name; None takes the file's own ids and names.
      keep_unused: keeps the categories that no box has.

    Raises:
      UserError: the file is not JSON, lacks images or categories, has two images or categories of
        one id, or a category without, boxes that are not COCO's, or pictures that are not there.
    """
    found = read_annotations(annotations_json)
    return examples_of([found], Folder(images_dir), labels, keep_unused)[0]


def splits(folder: Folder) -> dict[str, tuple[str, ...]]:
    """Returns {split: its instances files} of a folder; {} where there is none.

    Captions, key points and lists of the same pictures are left out where a split has instances.
    """
    found = by_split(name for name in folder.matching("*.json") if _is_instances(folder, name))
    return {split: _best(names) for split, names in found.items()}


def _best(names: tuple[str, ...]) -> tuple[str, ...]:
    lasts = {name: posixpath.basename(name).lower() for name in names}
    named = [name for name in names if "instances" in lasts[name]]
    others = [name for name in names if not any(word in lasts[name] for word in _OTHER_TASKS)]
    return tuple(named or others or names[:1])


def _is_instances(folder: Folder, name: str) -> bool:
    head = folder.head(name)
    if _FIRST.match(head) and not _LIST.search(head):  # a licence for each of many pictures
        head = folder.head(name, 2**24)
    lists = set(_LIST.findall(head))
    if lists == {"categories"} and len(head) < 65536:  # which is all of it
        return False
    is_labelled = '"image_id"' in head and '"category_id"' in head
    is_outlined = "annotations" in lists and '"segmentation"' in head  # which may be all of it
    is_known = bool(lists & {"images", "categories"}) or is_labelled or is_outlined
    return head.lstrip().startswith("{") and is_known


def read(folder: Folder, split: str, files: tuple[str, ...]) -> Annotations:
    """Returns the annotations of one split that `splits` has found."""
    parts = []
    for file in files:
        part = read_annotations(folder.path(file))
        part.base, part.split = posixpath.dirname(file), split
        parts.append(part)
    return joined(parts)


def read_annotations(path: str) -> Annotations:
    """Returns what one instances file says; raises as `read_coco`."""
    data = read_json(path, "COCO annotations")
    if not isinstance(data, dict) or not {"images", "categories"} <= set(data):
        raise UserError(
            f"{path} has no images and categories; give a COCO instances file, such as "
            "instances_train2017.json."
        )
    if data.get("annotations") and not data["categories"]:
        raise UserError(f"{path} has annotations but no categories; add the names of the classes.")
    tally = Tally()
    labels = _labels(data["categories"], path)
    images = _images(data["images"], path, tally)
    things = _objects_by_image(data.pop("annotations", None) or [], images, path, tally)
    read_images = [image._replace(objects=things.get(image.source_id, [])) for image in images]
    return Annotations(path, read_images, "xywh", labels=labels, tally=tally)


def _images(items: Any, path: str, tally: Tally) -> list[AnnotatedImage]:
    """Returns the images, without objects; an entry that is none is reported.

    Raises:
      UserError: not one of them is an image.
    """
    images, wrong = [], []
    for number, item in enumerate(_entries(items, "images", path), start=1):
        try:
            size = pixels(item.get("height")), pixels(item.get("width"))
            images.append(AnnotatedImage(_file_name(item), _image_id(item["id"]), [], *size))
        except WRONG as error:
            wrong.append(f"image {number}: {in_words(error)}")
            name = f"image {number} of {posixpath.basename(path)}"
            tally.image_problem(name, BAD_IMAGE, in_words(error))
    if wrong and not images:
        raise UserError(f"{path} is not a COCO instances file; {wrong[0]}.")
    return images


def _entries(value: Any, key: str, path: str) -> list[Any]:
    if not isinstance(value, list):
        raise UserError(f"{path} is not a COCO instances file: its {key} are no list.")
    return value


def _file_name(item: dict[str, Any]) -> str:
    for key in _NAMES:
        if name := str(item.get(key) or ""):
            name.encode()  # refuses half of a letter ("\ud83d"), which is in no file's name
            return name
    raise KeyError("file_name")


def _labels(categories: Any, path: str) -> dict[int, str]:
    """Returns {id: name}."""
    labels: dict[int, str] = {}
    for number, item in enumerate(_entries(categories, "categories", path), start=1):
        try:
            category, name = _category(item["id"]), item["name"]
            name = "" if name is None else str(name).strip()
        except WRONG as error:
            raise UserError(
                f"{path} is not a COCO instances file; category {number}: {in_words(error)}."
            ) from error
        if category < 0:
            raise UserError(f"{path} has the category id {category}; ids are 0 or more.")
        _set_name(labels, category, name, f"{path} has two categories", "each")
    return labels


def _set_name(names: dict[Any, str], key: int | str, name: str, two: str, each: str) -> None:
    """Sets the name of an id. Of two names for one id, nobody knows which its boxes mean."""
    if names.setdefault(key, name) != name:
        raise UserError(
            f"{two} of id {key}, {names[key]!r} and {name!r}; give {each} an id of its own."
        )


def _objects_by_image(
    annotations: Any, images: list[AnnotatedImage], path: str, tally: Tally
) -> dict[str, list[AnnotatedObject]]:
    """Returns {image id: its objects} of the annotations that are whole."""
    objects = defaultdict(list)
    files: dict[str, str] = {}
    for image in images:
        two, each = f"{path} has two images", "each, and its annotations,"
        _set_name(files, image.source_id, image.name, two, each)
    for number, item in enumerate(_entries(annotations, "annotations", path), start=1):
        if not isinstance(item, dict):
            tally.box_problem(f"annotation {number}", _UNREADABLE, detail=f"it is {item!r:.40}")
            continue
        image_id = _known(item.get("image_id"), files)
        if image_id is None:
            file = f"annotation {item.get('id')}"
            tally.box_problem(file, "dropped: its image is not in the file")
            continue
        file = files[image_id]
        try:
            box = _box(item, file, tally)
            # Open Images' groups are crowds.
            is_crowd = flag(item.get("iscrowd")) or flag(item.get("group_of"))
            area = _area(item, box, file, tally)
            objects[image_id].append(
                AnnotatedObject(_category(item["category_id"]), box, is_crowd, area)
            )
        except WRONG as error:
            detail = f"annotation {item.get('id')}: {in_words(error)}"
            tally.box_problem(file, _UNREADABLE, detail=detail)
    return objects


def _box(item: dict[str, Any], file: str, tally: Tally) -> tuple[float, float, float, float]:
    """Returns x, y, width, height; of an annotation without bbox those of its outline's bounds."""
    if not any(item.get("bbox") or ()) and item.get("segmentation"):  # some write four zeros
        box = outline_bounds(item["segmentation"])
        tally.box_problem(file, "without bbox (bounds of the outline taken)")
        return box
    x, y, width, height = (float(value) for value in item["bbox"])
    return x, y, width, height


def outline_bounds(outline: Any) -> tuple[float, float, float, float]:
    """Returns x, y, width, height around a COCO segmentation: polygons, or an RLE of either kind.

    Raises:
      ValueError: it is neither, or empty, or pixels do not lie in its own size.
    """
    if isinstance(outline, dict):
        rows, columns = (int(side) for side in outline.get("size") or ())
        if rows < 1 or columns < 1:  # pycocotools does not look, and may end the process
            raise ValueError(f"the mask has the size {rows} x {columns}")
        if isinstance(outline["counts"], list):
            outline = rle.frPyObjects(outline, rows, columns)
        x, y, width, height = (float(value) for value in rle.toBbox(outline))
        if x + width > columns or y + height > rows:
            raise ValueError(f"the mask has pixels outside of its {rows} x {columns}")
    else:
        parts = [outline] if isinstance(outline[0], (int, float)) else outline
        points = [float(value) for part in parts for value in part]
        if len(points) < 6 or any(len(part) % 2 for part in parts):
            raise ValueError("the segmentation is no polygon of three points or more")
        xs, ys = points[0::2], points[1::2]
        x, y, width, height = min(xs), min(ys), max(xs) - min(xs), max(ys) - min(ys)
    if not (width > 0 and height > 0):
        raise ValueError("the segmentation is empty")
    return x, y, width, height


def _id(value: Any) -> int:
    """Returns an id that the file gives as a number or as text; both are one id."""
    if isinstance(value, float) and not value.is_integer():
        raise ValueError(f"id {value}")
    return int(value)


def _image_id(value: Any) -> str:
    """Returns an image's id as text; where it is no number it is a name."""
    if isinstance(value, str) and not value.strip().lstrip("-").isdigit():
        if not value:
            raise ValueError("id ''")
        return value
    return str(_id(value))


def _area(
    item: dict[str, Any], box: tuple[float, float, float, float], file: str, tally: Tally
) -> float:
    """Returns the area that is given, or 0: the box stands for one that cannot be the object's."""
    try:
        area = float(item.get("area") or 0)
    except (TypeError, ValueError, OverflowError):
        area = math.nan
    width, height = map(abs, box[2:])  # negative where it is drawn from another corner
    # A pixel on each side is left to tools that count or paint the edges.
    is_larger = width > 0 and height > 0 and area > (width + 2) * (height + 2)
    if math.isfinite(area) and not is_larger:
        return area
    what = "larger than the box" if math.isfinite(area) else "unreadable"
    detail = f"annotation {item.get('id')}: area {item['area']!r}"
    tally.box_problem(file, f"area {what} (that of the box taken)", detail=detail)
    return 0.0


def _category(value: Any) -> int:
    """Returns the id of a category, which records hold in 64 bits."""
    category = _id(value)
    if abs(category) >= 2**63 - 1:
        raise ValueError(f"category id {category} is too large")
    return category


def _known(value: Any, images: dict[str, Any]) -> str | None:
    """Returns the id of an image of the file, or None where there is no such image."""
    try:
        image_id = _image_id(value)
    except (TypeError, ValueError, OverflowError):
        return None
    return image_id if image_id in images else None
