"""Reads a Pascal VOC folder: Annotations/*.xml, JPEGImages/, ImageSets/Main/<split>.txt.

Folders below these two, several such sets in one folder, and sets of pictures with an xml beside
each are read too; of an object that has a polygon or a turned box instead, the bounds.

Coordinates stay as the xml has them. VOC's own files count pixels from 1 and include the last
one, which would be [ymin - 1, xmin - 1, ymax, xmax] here; the tools that write VOC xml today
(labelImg and its like) count from 0, and the file does not say which. The reference keeps them
too, so that AP can be compared; at worst a box is one pixel short at its upper left.
"""

from __future__ import annotations

import concurrent.futures
import functools
import math
import posixpath
import re
from collections.abc import Iterator
from dataclasses import dataclass
from xml.etree.ElementTree import Element

from edet.errors import UserError
from edet.files import read_bytes, read_text
from edet.records.sources.annotations import (
    AnnotatedImage,
    AnnotatedObject,
    Annotations,
    common_labels,
)  # fmt: skip
from edet.records.sources.example_set import ExampleSet, Tally
from edet.records.sources.folder import Folder, by_split, is_picture, split_of_list
from edet.records.sources.joining import examples_of
from edet.records.sources.shapes import (
    BAD_FILE,
    NO_FILE,
    Seen,
    bounds,
    flag,
    pixels,
    read_objects,
    rotated_bounds,
)
from edet.records.sources.xml_text import XML_ERRORS, xml_root

_ROOMS = ("annotations", "jpegimages", "images")
_LISTS = "imagesets/"
_SECOND_COLUMN = re.compile(r"\s+(-1|0|1)$")
_CORNERS = ("xmin", "ymin", "xmax", "ymax")


_Object = tuple[str, tuple[float, ...] | None, bool, bool]


@dataclass(frozen=True)
class _Annotation:
    """One xml file: the size and, for each object, a name, a box (or None), difficult, crowd.

    In the place of an object that cannot be read stands why.
    """

    filename: str
    height: int
    width: int
    objects: tuple[_Object | ValueError, ...]


def read_voc(
    root: str,
    split: str = "",
    labels: dict[int, str] | None = None,
    skip_difficult: bool = False,
) -> ExampleSet:
    """Returns the images of one split, named by the stem of their files.

    Args:
      root: the folder that holds Annotations and JPEGImages, or pictures with an xml beside each;
        gs:// works.
      split: a file of ImageSets/Main without ".txt"; empty takes every annotation.
      labels: {id: name}. None numbers the names of all annotations, sorted, from 1, so that each
        split of a set gets the same ids. Boxes of other names are dropped and reported.
      skip_difficult: leaves out the boxes that are marked as difficult.

    Raises:
      UserError: a folder or the split is missing or empty, or not one picture is there.
    """
    folder = Folder(root)
    xmls = _xmls(folder)
    if not xmls:
        raise UserError(
            f"{root}/Annotations is missing or has no .xml file, and no picture has one beside it; "
            "give the folder of a VOC set."
        )
    found = read(folder, split, tuple(xmls), skip_difficult)
    if labels is None and split:
        labels = common_labels([read(folder, "", tuple(xmls), skip_difficult)])[0]
    return examples_of([found], folder, labels)[0]


def splits(folder: Folder) -> dict[str, tuple[str, ...]]:
    """Returns {split: its xml files} of a folder; {} where it has none of VOC's."""
    xmls = _xmls(folder)
    if not folder.alike(xmls, is_voc):
        return {}
    listed = dict.fromkeys(split for name in _lists(folder) if (split := _split_of(name)))
    if listed:
        whole = {"trainval"} if "train" in listed else set()
        return {split: tuple(xmls) for split in listed if split not in whole}
    return by_split(xmls, posixpath.dirname)


def _xmls(folder: Folder) -> list[str]:
    """The xml files; Stanford Dogs' have no ending."""
    return folder.matching("*.xml") or [
        name for name in folder.matching("*annotation*/*") if "." not in posixpath.basename(name)
    ]


def _lists(folder: Folder) -> list[str]:
    """The files that list pictures for detection: of ImageSets/Main, else of ImageSets."""
    beside = folder.matching(f"*{_LISTS}*.txt", beside=True)
    names = [name for name in beside if name.lower().rpartition("/")[0].endswith("imagesets/main")]
    return names or [n for n in beside if n.lower().rpartition("/")[0].endswith("imagesets")]


def _split_of(name: str) -> str:
    """As `split_of_list`, and the list of training and validation pictures together."""
    return "trainval" if _is_named(name, "trainval") else split_of_list(name)


def is_voc(head: str) -> bool:
    """Whether the head of an xml is VOC's, whose root may have attributes, as labelImg's has."""
    return bool(re.search(r"<annotation[\s>]", head))


def read(
    folder: Folder, split: str, files: tuple[str, ...], skip_difficult: bool = False
) -> Annotations:
    """Returns the annotations of one split.

    Pictures that the split names, or that lie there, without an xml are those without objects.

    Args:
      folder: of the set.
      split: a list of ImageSets/Main names its pictures; where there is none, they are those of
        `files`.
      files: the xml files, of all splits or of this one.
      skip_difficult: leaves out the boxes that are marked as difficult.
    """
    xmls: dict[str, str] = {}
    for name in files:  # one in Annotations, and one beside the picture
        key = _key(name)
        xmls[posixpath.splitext(name)[0] if key in xmls else key] = name
    every = _lists(folder) if split else []
    lists = [n for n in every if _is_named(n, split)] or [n for n in every if _split_of(n) == split]
    if every and not lists:
        lists = [f"ImageSets/Main/{split}.txt"]  # reading it says that it is missing
    # Where several pictures have a key, one beside the annotations is a mask: it comes last.
    pictures: dict[str, str] = {}
    for name in sorted(folder.pictures, key=lambda name: "annotations/" in name.lower()):
        pictures.setdefault(_key(name), name)
    known = set(xmls) | set(pictures)
    listed = [_read_split(folder, name, known) for name in lists]
    keys = list(dict.fromkeys(key for part in listed for key in part)) if lists else sorted(xmls)
    with concurrent.futures.ThreadPoolExecutor(16) as pool:
        paths = {key: folder.path(xmls[key]) for key in keys if key in xmls}
        parsed = dict(zip(paths, pool.map(_try_parse, paths.values()), strict=True))
    found = Annotations(folder.root, [], "xyxy", split=split)
    folder.claim(("", pictures[key]) for key in keys if key in pictures)
    named = {k: _picture(folder, k, parsed.get(k), pictures, split) for k in keys}
    if not lists and not folder.only:  # those without an xml lie where those with one do
        taken = set(named.values())
        own = {posixpath.dirname(name) for name in taken}
        rest = {key: name for key, name in pictures.items() if posixpath.dirname(name) in own}
        named |= {k: rest[k] for k in sorted(rest) if rest[k] not in taken}
    for key, name in named.items():
        annotation = parsed.get(key) or _without_xml(key, pictures, found.tally)
        if isinstance(annotation, str):
            found.tally.image_problem(f"{key}.xml", BAD_FILE, annotation)
            continue
        see = functools.partial(_seen, skip_difficult=skip_difficult)
        objects = read_objects(f"{key}.xml", annotation.objects, see, found.tally)
        size = annotation.height, annotation.width
        room = posixpath.dirname(xmls.get(key, ""))
        found.images.append(AnnotatedImage(name, key, objects, *size, file=room))
    return found


def _picture(
    folder: Folder, key: str, annotation: _Annotation | str | None, pictures: dict[str, str],
    split: str,
) -> str:  # fmt: skip
    """Returns the picture of an xml: that of its stem, or the one that a renamed xml names."""
    for own in (key, _key(key)):
        if own in pictures:
            return pictures[own]
    within = annotation.filename if isinstance(annotation, _Annotation) else ""
    base, last = posixpath.split(key)
    for name in filter(None, (last, within)):
        try:  # what is called so without ending may be the annotation
            return folder.locate(name if "." in name else f"{name}.jpg", base, split)
        except LookupError:
            continue
    return f"{key}.jpg"


def _key(name: str) -> str:
    """Returns a file's path without Annotations or JPEGImages and without ending."""
    stem = posixpath.splitext(name)[0]
    parts = stem.split("/")
    for k, part in enumerate(parts[:-1]):
        if part.lower() in _ROOMS:
            return "/".join([*parts[:k], *parts[k + 1 :]])
    return stem


def _is_named(name: str, split: str) -> bool:
    return posixpath.basename(name)[:-4].lower() == split.lower()


def _read_split(folder: Folder, name: str, known: set[str]) -> list[str]:
    """Returns the keys that a list names, from the folder that ImageSets lies in."""
    lines = read_text(folder.path(name), "the split").splitlines()
    names = [line.strip() for line in lines if line.strip()]
    base = name[: max(name.lower().find(_LISTS), 0)]
    # The files of one class ("cat_train.txt") have a second column, which is not for detection.
    # Names may hold spaces, and end in what looks like that column ("blood cell 1"); or in .jpg.
    keys = []
    for line in names:
        ways = (line, _SECOND_COLUMN.sub("", line))
        stems = [*ways, *(posixpath.splitext(way)[0] for way in ways if is_picture(way))]
        meant = (base + stem for stem in (*stems, *_within(stems[-1])))
        keys.append(next((key for key in meant if key in known), base + stems[-1]))
    if not keys:
        raise UserError(f"{folder.path(name)} names no image; choose another split.")
    return keys


def _within(stem: str) -> Iterator[str]:
    """Yields the keys that a path means; one from the root may be of another machine."""
    path = posixpath.normpath(stem.replace("\\", "/"))
    *before, last = _key(path).split("/")
    is_from_root = posixpath.isabs(path) or path[1:2] == ":"
    for k in range(len(before) + 1 if is_from_root else 1):
        yield "/".join([*before[k:], last])


def _without_xml(key: str, pictures: dict[str, str], tally: Tally) -> _Annotation | str:
    if key not in pictures:
        return "there is no such file"
    tally.image_problem(pictures[key], NO_FILE)
    return _Annotation("", -1, -1, ())


def _try_parse(path: str) -> _Annotation | str:
    """Returns one annotation, or in words why it cannot be read."""
    try:
        return _parse(xml_root(read_bytes(path, "annotation")))
    except (UserError, *XML_ERRORS) as error:
        return str(error)


def _number(element: Element, path: str) -> float:
    return float(element.findtext(path, "nan"))


def _corners(item: Element) -> tuple[float, ...] | None:
    """Returns the box of an object, or the bounds of what other tools write instead of one.

    Not of the object's parts, which have boxes of their own.
    """
    if (box := item.find("bndbox")) is not None:
        return tuple(_number(box, corner) for corner in _CORNERS)
    if (turned := item.find("robndbox")) is not None:  # of roLabelImg, in radians
        x, y, w, h, angle = (_number(turned, key) for key in ("cx", "cy", "w", "h", "angle"))
        return rotated_bounds((x - w / 2, y - h / 2, x + w / 2, y + h / 2), math.degrees(angle))
    points = [(_number(pt, "x"), _number(pt, "y")) for pt in item.findall("polygon/pt")]
    return bounds(points) if points else None


def _parse(root: Element) -> _Annotation:
    height, width = (pixels(root.findtext(f"size/{side}")) for side in ("height", "width"))
    objects = tuple(map(_object, root.iter("object")))
    return _Annotation(root.findtext("filename", "").strip(), height, width, objects)


def _object(item: Element) -> _Object | ValueError:
    try:
        name, is_difficult = item.findtext("name", "").strip(), flag(item.findtext("difficult"))
        return name, _corners(item), is_difficult, _is_crowd(item)
    except ValueError as error:
        return error


def _is_crowd(item: Element) -> bool:
    """Whether an object has the flag of fiftyone, or the attribute of datumaro."""
    flags = [item.findtext("iscrowd", "")]
    flags += [
        attribute.findtext("value", "")
        for attribute in item.iter("attribute")
        if attribute.findtext("name", "").strip() in ("is_crowd", "iscrowd")
    ]
    return any(map(flag, flags))


def _seen(thing: _Object | ValueError, skip_difficult: bool) -> Seen:
    if isinstance(thing, ValueError):
        raise thing
    name, corners, is_difficult, is_crowd = thing
    if skip_difficult and is_difficult:
        return Seen(None, "dropped: marked as difficult")
    if corners is None:
        return Seen(None, "dropped: object without a bndbox")
    return Seen(AnnotatedObject(name, corners, is_crowd))
