"""Reads a Pascal VOC folder: Annotations/*.xml, JPEGImages/, ImageSets/Main/<split>.txt.

Coordinates stay as the xml has them. VOC's own files count pixels from 1 and include the last
one, which would be [ymin - 1, xmin - 1, ymax, xmax] here; the tools that write VOC xml today
(labelImg and its like) count from 0, and the file does not say which. The reference keeps them
too, so that AP can be compared; at worst a box is one pixel short at its upper left.
"""

from __future__ import annotations

import codecs
import concurrent.futures
import os
import re
from dataclasses import dataclass
from xml.etree.ElementTree import Element, ParseError

import numpy as np
from defusedxml import DefusedXmlException
from defusedxml.ElementTree import fromstring

from edet.errors import UserError
from edet.files import list_filled_folder, read_bytes, read_text
from edet.records.schema import Example
from edet.records.sources.example_set import ExampleSet, Tally

_SECOND_COLUMN = re.compile(r"\s+(-1|0|1)$")
_DECLARATION = re.compile(rb"""<\?xml\s[^>]*?encoding\s*=\s*["']([\w.:-]+)["'][^>]*\?>""")
_UNREADABLE = (
    UserError, ParseError, DefusedXmlException, ValueError, LookupError, OverflowError,
)  # fmt: skip
_CORNERS = ("ymin", "xmin", "ymax", "xmax")


@dataclass(frozen=True)
class _Annotation:
    """One xml file: the size and, for each object, a name, a box (or None) and a flag."""

    filename: str
    height: int
    width: int
    objects: tuple[tuple[str, tuple[float, ...] | None, bool], ...]


def read_voc(
    root: str,
    split: str = "",
    labels: dict[int, str] | None = None,
    skip_difficult: bool = False,
) -> ExampleSet:
    """Returns the images of one split, named by the stem of their files.

    Args:
      root: the folder that holds Annotations and JPEGImages; gs:// works.
      split: a file of ImageSets/Main without ".txt"; empty takes every annotation.
      labels: {id: name}. None numbers the names of all annotations, sorted, from 1, so that each
        split of a set gets the same ids. Boxes of other names are dropped and reported.
      skip_difficult: leaves out the boxes that are marked as difficult.

    Raises:
      UserError: a folder or the split is missing or empty.
    """
    annotations, images = (
        list_filled_folder(os.path.join(root, name), "a VOC set has it, check the folder")
        for name in ("Annotations", "JPEGImages")
    )
    xmls = {name[:-4]: name for name in annotations if name.lower().endswith(".xml")}
    if not xmls:
        raise UserError(f"{root}/Annotations has no .xml file; give the folder of a VOC set.")
    stems = _read_split(root, split, set(xmls)) if split else sorted(xmls)
    needed = sorted(xmls) if labels is None else [stem for stem in stems if stem in xmls]
    with concurrent.futures.ThreadPoolExecutor(16) as pool:
        paths = (os.path.join(root, "Annotations", xmls[stem]) for stem in needed)
        parsed = dict(zip(needed, pool.map(_try_parse, paths), strict=True))
    if labels is None:
        found = {o[0] for a in parsed.values() if isinstance(a, _Annotation) for o in a.objects}
        labels = dict(enumerate(sorted(found), start=1))
    images = {image.rsplit(".", 1)[0]: image for image in sorted(images, reverse=True)}
    tally = Tally()
    examples = []
    for stem in stems:
        annotation = parsed.get(stem, "there is no such file")
        if isinstance(annotation, str):
            what = "dropped: annotation missing or unreadable"
            tally.image_problem(f"{stem}.xml", what, annotation)
            continue
        path = os.path.join(root, "JPEGImages", _image_name(stem, annotation.filename, images))
        examples.append(_example(stem, path, annotation, labels, skip_difficult, tally))
    return ExampleSet(examples, labels, tally)


def _read_split(root: str, split: str, known: set[str]) -> list[str]:
    path = os.path.join(root, "ImageSets", "Main", f"{split}.txt")
    lines = read_text(path, "the split").removeprefix("\ufeff").splitlines()
    names = [line.strip() for line in lines if line.strip()]
    # The files of one class ("cat_train.txt") have a second column, which is not for detection.
    # Names may hold spaces, and end in what looks like that column ("blood cell 1").
    stems = [name if name in known else _SECOND_COLUMN.sub("", name) for name in names]
    if not stems:
        raise UserError(f"{path} names no image; choose another split.")
    return list(dict.fromkeys(stems))


def _try_parse(path: str) -> _Annotation | str:
    """Returns one annotation, or in words why it cannot be read."""
    try:
        return _parse(_root_of(read_bytes(path, "annotation")))
    except _UNREADABLE as error:
        return str(error)


def _root_of(data: bytes) -> Element:
    """Parses xml in the encoding that it declares; without a declaration it is UTF-8 or UTF-16.

    Python decodes, because expat lacks the encodings of several bytes a character (gb2312).
    """
    data = data.removeprefix(codecs.BOM_UTF8)
    declaration = _DECLARATION.match(data)
    if not declaration:
        return fromstring(data)
    encoding = declaration[1].decode()
    # Some writers declare UTF-16 and save UTF-8. Here one byte is one letter: it is not UTF-16.
    encoding = "utf-8" if encoding.lower().startswith("utf-16") else encoding
    return fromstring(data[declaration.end() :].decode(encoding))


def _parse(root: Element) -> _Annotation:
    def number(element: Element, path: str) -> float:
        return float(element.findtext(path, "nan"))

    size = [number(root, f"size/{side}") for side in ("height", "width")]
    height, width = (int(side) if side > 0 else -1 for side in size)
    objects = []
    for item in root.iter("object"):
        box = item.find("bndbox")  # Not of the item's parts, which have boxes of their own.
        corners = None if box is None else tuple(number(box, corner) for corner in _CORNERS)
        name = item.findtext("name", "").strip()
        objects.append((name, corners, item.findtext("difficult", "0").strip() == "1"))
    return _Annotation(root.findtext("filename", "").strip(), height, width, tuple(objects))


def _image_name(stem: str, filename: str, images: dict[str, str]) -> str:
    """The image of an xml file has its stem; a renamed xml still tells the name within.

    `images` maps stems to file names. An image that is not among them is reported when written.
    """
    return images.get(stem) or images.get(filename.rsplit(".", 1)[0]) or f"{stem}.jpg"


def _example(
    stem: str,
    path: str,
    annotation: _Annotation,
    labels: dict[int, str],
    skip_difficult: bool,
    tally: Tally,
) -> Example:
    ids = {name: class_id for class_id, name in labels.items() if name}
    boxes, class_ids = [], []
    for name, corners, difficult in annotation.objects:
        if skip_difficult and difficult:
            tally.box_problem(f"{stem}.xml", "dropped: marked as difficult")
        elif name not in ids:
            tally.box_problem(f"{stem}.xml", "dropped: class not in the labels", detail=name)
        elif corners is None:
            tally.box_problem(f"{stem}.xml", "dropped: object without a bndbox")
        else:
            boxes.append(corners)
            class_ids.append(ids[name])
    return Example(
        image=path,
        source_id=stem,
        boxes=np.array(boxes, np.float32).reshape(-1, 4),
        class_ids=np.array(class_ids, np.int64),
        height=annotation.height,
        width=annotation.width,
    )
