"""Writes a data set as annotation tools read it: COCO JSON, YOLO text or Pascal VOC xml.

COCO: annotations/instances_<split>.json, images/<split>/. YOLO, as Ultralytics has it: data.yaml,
labels/<split>/, images/<split>/. VOC: Annotations/, JPEGImages/, ImageSets/Main/<split>.txt.

Numbers are those of the examples to a ten-thousandth of a pixel, in YOLO to 1e-8 of a side; VOC's
count from 0, as the tools of today do. A picture without objects has an empty YOLO file, or an xml
without objects. Crowds, and areas other than those of boxes, are in COCO alone.
"""

from __future__ import annotations

import concurrent.futures
import functools
import itertools
import os
import re
from collections.abc import Iterable, Iterator
from typing import Any, Protocol
from xml.etree import ElementTree

import numpy as np
import tensorflow as tf
import yaml

from edet.config.labels import distinct_names
from edet.config.yaml_text import parse_yaml
from edet.errors import UserError
from edet.files import PICTURE_ENDINGS, read_text, write_bytes, write_json, write_text
from edet.geometry.boxes import yxyx_to_xywh
from edet.image.header import PNG
from edet.records.schema import Example, box_areas
from edet.records.sources.folder import Folder

_WINDOW = 64  # pictures written side by side
_UNSAFE = re.compile(r'[\x00-\x1f\x7f<>:"|?*\ud800-\udfff\ufffe\uffff]')  # in names of files
_NOT_XML = re.compile("[^\t\n\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_LONGEST = 150  # bytes of a name without ending


class LabelFormat(Protocol):
    """One format. Paths are from the folder of the set, with "/".

    Attributes:
      pictures: the folder of the pictures.
      list_file: what the split has one of, which may not be there yet; "" where there is none.
      keeps_crowds: objects that stand for a group have a mark of their own.
      notes: sentences on what the format cannot hold as it is.
    """

    pictures: str
    list_file: str
    keeps_crowds: bool
    notes: list[str]

    def add(self, name: str, example: Example) -> dict[str, bytes]:
        """Takes a picture that is called so, and returns its own label file, if it has one."""

    def finish(self) -> None:
        """Writes the files of the whole set."""


class Coco:
    """One JSON for the split. Ids of pictures stay, if all are numbers, each its own."""

    keeps_crowds = True

    def __init__(self, output: str, split: str, labels: dict[int, str]):
        self._output, self.pictures = output, f"images/{split}"
        self.notes: list[str] = []
        self.list_file = f"annotations/instances_{split}.json"
        self._categories = [{"id": k, "name": name} for k, name in labels.items()]
        self._images: list[tuple[str, dict[str, Any]]] = []  # source id, entry
        self._annotations: list[tuple[int, dict[str, Any]]] = []  # number of the image, entry

    def add(self, name: str, example: Example) -> dict[str, bytes]:
        """Keeps the entries of one picture; there is no file of its own."""
        boxes = yxyx_to_xywh(example.boxes.astype(np.float64)).round(4).tolist()
        areas = example.areas.astype(np.float64).round(4).tolist()
        rows = zip(boxes, example.class_ids.tolist(), areas, example.is_crowd, strict=True)
        self._annotations += [
            (
                len(self._images),
                {"category_id": k, "bbox": box, "area": area, "iscrowd": int(is_crowd)},
            )
            for box, k, area, is_crowd in rows
        ]
        entry = {"file_name": name, "height": example.height, "width": example.width}
        self._images.append((example.source_id, entry))
        return {}

    def finish(self) -> None:
        """Writes the JSON."""
        ids = [_number(source_id) for source_id, _ in self._images]
        if None in ids or len(set(ids)) < len(ids):
            ids = list(range(1, len(ids) + 1))
            self.notes.append(
                "COCO's pictures have numbers, and not all source ids are such; numbered from 1."
            )
        entries = zip(ids, self._images, strict=True)
        images = [{"id": image_id, **entry} for image_id, (_, entry) in entries]
        annotations = [
            {"id": number, "image_id": ids[image], **entry}
            for number, (image, entry) in enumerate(self._annotations, start=1)
        ]
        value = {"images": images, "annotations": annotations, "categories": self._categories}
        write_json(os.path.join(self._output, self.list_file), value)


class Yolo:
    """A line `class x y width height` for each object: its class's line in data.yaml, shares.

    Raises:
      UserError: the data.yaml that is there has other classes, or this split.
    """

    keeps_crowds = False

    def __init__(self, output: str, split: str, labels: dict[int, str]):
        self.pictures, self.list_file = f"images/{split}", ""
        names = distinct_names(labels)
        self.notes = _renamed("YOLO", labels, names)
        self._path, self._split = os.path.join(output, "data.yaml"), split
        own = {"nc": len(names), "names": dict(enumerate(names.values()))}
        data: Any = {split: self.pictures, **own}
        if tf.io.gfile.exists(self._path):
            data = parse_yaml(read_text(self._path, "the YOLO set"), self._path)
            if not isinstance(data, dict) or not data.items() >= own.items() or split in data:
                raise UserError(
                    f"{self._path} has the split {split} already, or is of a set with other "
                    "classes; give another --output, or --labels that both have."
                )
        self._data = {split: self.pictures} | data
        self._lines = {class_id: line for line, class_id in enumerate(labels)}
        moved = [f"{k} {labels[k]!r} is {line}" for k, line in self._lines.items() if k != line]
        if moved:
            more = f" and {len(moved) - 5} more" if moved[5:] else ""
            self.notes.append(
                f"YOLO numbers classes from 0 without gaps: {', '.join(moved[:5])}{more}; names "
                "stay."
            )

    def add(self, name: str, example: Example) -> dict[str, bytes]:
        """Returns the text file of one picture."""
        size = (example.height, example.width)
        corners = np.clip(example.boxes.astype(np.float64) / (size * 2), 0, 1)
        low, high = corners[:, 1::-1], corners[:, :1:-1]  # x, y
        lines = [
            " ".join([str(self._lines[class_id]), *(_text(value, 8) for value in box)])
            for class_id, box in zip(
                example.class_ids.tolist(),
                np.concatenate([(low + high) / 2, high - low], axis=1).tolist(),
                strict=True,
            )
        ]
        path = f"labels/{self._split}/{os.path.splitext(name)[0]}.txt"
        return {path: "".join(f"{line}\n" for line in lines).encode()}

    def finish(self) -> None:
        """Writes data.yaml with the splits that it has already."""
        write_text(self._path, yaml.safe_dump(self._data, allow_unicode=True, sort_keys=False))


class Voc:
    """An xml for each picture, and a list of them. Classes are names."""

    keeps_crowds = False

    def __init__(self, output: str, split: str, labels: dict[int, str]):
        self._output, self.pictures = output, "JPEGImages"
        self.list_file = f"ImageSets/Main/{split}.txt"
        plain = {k: _NOT_XML.sub("_", name).strip() for k, name in labels.items()}
        self._names = distinct_names(plain)
        self.notes = _renamed("VOC", labels, self._names)
        self._stems: list[str] = []

    def add(self, name: str, example: Example) -> dict[str, bytes]:
        """Returns the xml of one picture."""
        stem = os.path.splitext(name)[0]
        self._stems.append(stem)
        root = ElementTree.Element("annotation")
        _children(root, folder="JPEGImages", filename=name)
        size = ElementTree.SubElement(root, "size")
        _children(size, width=example.width, height=example.height, depth=3)
        _children(root, segmented=0)
        for class_id, box in zip(example.class_ids.tolist(), example.boxes.tolist(), strict=True):
            item = ElementTree.SubElement(root, "object")
            named = self._names[class_id]
            _children(item, name=named, pose="Unspecified", truncated=0, difficult=0)
            ymin, xmin, ymax, xmax = (_text(side, 4) for side in box)
            corners = {"xmin": xmin, "ymin": ymin, "xmax": xmax, "ymax": ymax}
            _children(ElementTree.SubElement(item, "bndbox"), **corners)
        ElementTree.indent(root)
        return {f"Annotations/{stem}.xml": ElementTree.tostring(root, "utf-8") + b"\n"}

    def finish(self) -> None:
        """Writes the list of the split."""
        lines = "".join(f"{stem}\n" for stem in self._stems)
        write_text(os.path.join(self._output, self.list_file), lines)


LABEL_FORMATS: dict[str, type[Coco | Yolo | Voc]] = {"coco": Coco, "yolo": Yolo, "voc": Voc}


def write_labels(
    examples: Iterable[Example], labels: dict[int, str], kind: str, output: str,
    split: str = "train", pictures: bool = True,
) -> tuple[int, int, list[str]]:  # fmt: skip
    """Writes the labels of examples and, if asked, their pictures; nothing is written over.

    Names of pictures are those of the examples, made safe: without folders and signs that a system
    does not allow, each with the ending of what it is, and numbered where two have one name.

    Args:
      examples: `image` holds encoded bytes, height and width are known, and boxes lie inside.
      labels: {id: name} of all classes, in rising order of the ids.
      kind: "coco", "yolo" or "voc".
      output: a folder; gs:// works. It may hold other splits of the set.
      split: "train", "val" or "test".
      pictures: whether they are written, too.

    Returns:
      (pictures, objects, sentences on what the format could not hold as it was).

    Raises:
      UserError: a file of that name is there already, or cannot be written.
    """
    target: LabelFormat = LABEL_FORMATS[kind](output, split, labels)
    there, taken = set(Folder(output).files), {}
    count = boxes = crowds = areas = 0
    rest = iter(examples)
    with concurrent.futures.ThreadPoolExecutor(16) as pool:
        while window := list(itertools.islice(rest, _WINDOW)):
            files: dict[str, bytes] = {}
            for example in window:
                if not target.keeps_crowds:
                    crowds += int(example.is_crowd.sum())
                    example = _without_crowds(example)
                    areas += int(np.sum(~np.isclose(example.areas, box_areas(example.boxes), 0.01)))
                name = _safe_name(example, taken)
                files |= target.add(name, example)
                if pictures:
                    files[f"{target.pictures}/{name}"] = example.image
                count, boxes = count + 1, boxes + len(example.boxes)
            if old := sorted(there & {*files, target.list_file}):
                raise UserError(
                    f"{os.path.join(output, old[0])} is there already, and may have been corrected "
                    "by hand; give another --output, or move it away."
                )
            paths = (os.path.join(output, name) for name in files)
            write = functools.partial(write_bytes, is_one_of_many=True)
            list(pool.map(write, paths, files.values()))
    target.finish()
    return count, boxes, target.notes + list(_left_out(kind.upper(), crowds, areas))


def _renamed(kind: str, labels: dict[int, str], names: dict[int, str]) -> list[str]:
    changed = [f"{labels[k]!r} is {names[k]!r}" for k in labels if names[k] != labels[k]]
    words = f"{kind} cannot hold some class names as they are: {', '.join(changed)}."
    return [words] if changed else []


def _left_out(name: str, crowds: int, areas: int) -> Iterator[str]:
    if crowds:
        yield f"{name} has no mark for crowds: {crowds} left out."
    if areas:
        yield f"{name} has no areas: those of {areas} objects' outlines will be those of boxes."


def _without_crowds(example: Example) -> Example:
    if not example.is_crowd.any():
        return example
    return Example(
        image=example.image, source_id=example.source_id, height=example.height,
        width=example.width, filename=example.filename, **example.keep(~example.is_crowd),
    )  # fmt: skip


def _safe_name(example: Example, taken: dict[str, int]) -> str:
    """Returns a name without folders that no other picture has.

    Args:
      example: `filename` is the name it would have; `image` tells the ending.
      taken: {name without ending, in small letters: how often it was asked for}; added to.
    """
    parts = example.filename.replace("\\", "/").split("/")
    name = "_".join(filter(None, (_UNSAFE.sub("_", part).strip(" .") for part in parts)))
    stem, ending = os.path.splitext(name)
    kind = ".png" if example.image.startswith(PNG) else ".jpg"
    if ending.lower() not in (*PICTURE_ENDINGS, ".tif", ".tiff", ".avif", ".jfif"):
        stem = name
    if ending.lower() in {".jpg": (".jpg", ".jpeg")}.get(kind, (kind,)):
        kind = ending
    stem = stem.encode()[:_LONGEST].decode(errors="ignore").strip(" .") or "picture"
    chosen, number = stem, taken.get(stem.casefold(), 1)
    while chosen.casefold() in taken:  # as on the disks of Windows and macOS
        number += 1
        chosen = f"{stem}-{number}"
    taken[stem.casefold()] = number
    taken.setdefault(chosen.casefold(), 1)
    return chosen + kind


def _number(source_id: str) -> int | None:
    """Returns an id that is a whole number and comes back as it was, or None."""
    is_number = source_id.isascii() and source_id.isdigit() and len(source_id) < 19
    return int(source_id) if is_number and str(int(source_id)) == source_id else None


def _text(value: float, digits: int) -> str:
    """A number without zeros at its end: "33", "0.125"."""
    return f"{value:.{digits}f}".rstrip("0").rstrip(".")


def _children(parent: ElementTree.Element, **texts: str | int) -> None:
    for tag, text in texts.items():
        ElementTree.SubElement(parent, tag).text = str(text)
