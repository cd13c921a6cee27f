"""Reads CVAT XML 1.1: pictures ("CVAT for images") and, where its frames lie there, a video.

Classes have names alone. Shapes are turned clockwise about their centre. Frames of a video are
found by the number in the picture's name (frame_000012.png), as CVAT saves them; those of a task of
pictures, exported as a video, by their order.
"""

from __future__ import annotations

import posixpath
import re
from typing import NamedTuple
from xml.etree.ElementTree import Element

from edet.errors import UserError
from edet.files import decoded, read_bytes
from edet.records.sources.annotations import AnnotatedImage, AnnotatedObject, Annotations
from edet.records.sources.folder import Folder, usual_split
from edet.records.sources.shapes import (
    BAD_IMAGE,
    NO_BOX,
    OUTLINE,
    ROTATED,
    Box,
    Seen,
    bounds,
    ellipse_bounds,
    flag,
    pixels,
    read_objects,
    rotated_bounds,
    text,
)  # fmt: skip
from edet.records.sources.voc import is_voc
from edet.records.sources.xml_text import XML_ERRORS, xml_root

_SHAPES = ("box", "polygon", "ellipse", "mask", "cuboid", "polyline", "points", "skeleton")
_SUBSET = re.compile(r"""<image\s[^>]*\ssubset\s*=\s*["']([^"']*)["']""")
_CORNER = re.compile(r"x(\w+)")  # of a cuboid: xtl1, xbl1, ...
_FRAME = re.compile(r"frame_\d+$")
_LAST_NUMBER = re.compile(r"(\d+)\D*$")
_NO_FRAME = "dropped: in a frame whose picture is not there"


def splits(folder: Folder) -> dict[str, tuple[str, ...]]:
    """Returns {split: its files} of a folder; {} where there is none.

    A project's file holds the pictures of several subsets, and is then one of each split.
    """
    by_split: dict[str, list[str]] = {}
    for name in folder.matching("*.xml"):
        head = folder.head(name)
        if not re.search(r"<annotations[\s>]", head) or is_voc(head):
            continue
        if any(f"<{tag}" in head for tag in ("image", "track", "meta")):
            for split in _subsets(folder.path(name), head) or {usual_split(name)}:
                by_split.setdefault(split, []).append(name)
    return {split: tuple(names) for split, names in sorted(by_split.items())}


def _subsets(path: str, head: str) -> set[str]:
    """The splits of the pictures in one file; none where it does not divide them."""
    if "subset" not in head and ("<image" in head or "<track" in head):
        return set()
    text = decoded(read_bytes(path, "CVAT annotations"), errors="replace")
    return {usual_split(name) for name in _SUBSET.findall(text)}


def read(folder: Folder, split: str, files: tuple[str, ...]) -> Annotations:
    """Returns the annotations of one split.

    Raises:
      UserError: a file is no XML, or has entities.
    """
    where = folder.path(files[0])
    found = Annotations(where, [], "xyxy", base=posixpath.dirname(files[0]), split=split)
    for file in files:
        data = read_bytes(folder.path(file), "CVAT annotations")
        try:
            root = xml_root(data)
        except XML_ERRORS as error:
            raise UserError(f"{folder.path(file)} is not CVAT's XML: {error}.") from error
        has_subsets = root.find("image[@subset]") is not None
        for number, image in enumerate(root.iter("image"), start=1):
            if has_subsets and usual_split(image.get("subset", "")) != split:
                continue
            name = image.get("name", "").strip()
            if not name:
                what = f"image {number} of {file}"
                found.tally.image_problem(what, BAD_IMAGE, "it has no name")
                continue
            shapes = [_Shape(shape, shape.get("label")) for shape in image if shape.tag in _SHAPES]
            objects = read_objects(name, shapes, _seen, found.tally)
            size = pixels(image.get("height")), pixels(image.get("width"))
            base = posixpath.dirname(file)
            image = AnnotatedImage(name, name, objects, *size, base=base, file=file)
            found.images.append(image)
        if root.find("track") is not None:
            _read_video(root, file, folder, found)
    return found


def _read_video(root: Element, file: str, folder: Folder, found: Annotations) -> None:
    """Adds the frames of a video whose pictures are there, those without objects too."""
    by_frame: dict[int, list[_Shape]] = {}
    for track in root.iter("track"):
        for shape in track:
            if shape.tag in _SHAPES and shape.get("outside") != "1":
                by_frame.setdefault(_number(shape.get("frame")), []).append(
                    _Shape(shape, track.get("label"))
                )
    start, stop = (_number(root.findtext(f".//{end}_frame")) for end in ("start", "stop"))
    pictures = _frames(root, file, folder)
    size = [pixels(root.findtext(f".//original_size/{side}")) for side in ("height", "width")]
    inside = range(max(start, 0), (stop if stop >= 0 else max(by_frame, default=0)) + 1)
    for frame in sorted({*by_frame, *(number for number in pictures if number in inside)}):
        shapes = by_frame.get(frame, [])
        if frame not in pictures:
            what = f"frame {frame} of {file}"
            found.tally.box_problem(what, _NO_FRAME, len(shapes))
            continue
        name = pictures[frame]
        objects = read_objects(name, shapes, _seen, found.tally)
        found.images.append(AnnotatedImage(name, name, objects, *size, base="", file=file))


def _frames(root: Element, file: str, folder: Folder) -> dict[int, str]:
    """Returns {frame: its picture} of a video, or of a task of pictures exported like one.

    A video's pictures have the frame in their names; of a task's pictures it is the place in their
    order, which only all of them together tell.
    """
    below = posixpath.dirname(file)
    stem = posixpath.splitext(file)[0]
    inside = [name for name in folder.pictures if name.startswith(f"{stem}/")]
    names = inside or [n for n in folder.pictures if not below or n.startswith(f"{below}/")]
    stems = {name: posixpath.splitext(posixpath.basename(name))[0] for name in names}
    if root.findtext(".//mode") == "annotation" and not all(map(_FRAME.match, stems.values())):
        size = _number(root.findtext(".//size"))
        if len(names) != size:
            raise UserError(
                f"{folder.path(file)} counts its pictures by their order, and {len(names)} are in "
                f"the folder instead of {size}; put exactly these there, or export the task as "
                "CVAT for images."
            )
        return dict(enumerate(names))
    pictures: dict[int, str] = {}
    for name, last in stems.items():
        if number := _LAST_NUMBER.search(last):
            pictures.setdefault(int(number[1]), name)
    return pictures


def _number(value: str | None) -> int:
    """The number of a frame; -1 where it is not given, or none."""
    return int(value) if value and value.isdecimal() and len(value) < 19 else -1


class _Shape(NamedTuple):
    """What is drawn, and its class: its own, or that of its track."""

    element: Element
    label: str | None


def _seen(shape: _Shape) -> Seen:
    element = shape.element
    if element.tag in ("polyline", "points", "skeleton"):
        return Seen(None, NO_BOX)
    if element.get("outside") == "1":
        return Seen(None, "dropped: marked as outside the picture")
    degrees = float(element.get("rotation") or 0)
    box = _box(element, degrees)
    note = ROTATED if degrees % 360 else "" if element.tag == "box" else OUTLINE
    flags = {one.get("name"): (one.text or "").strip() for one in element.iter("attribute")}
    is_crowd = flag(flags.get("iscrowd", flags.get("is_crowd")))
    return Seen(AnnotatedObject(text(shape.label), box, is_crowd), note)


def _box(element: Element, degrees: float) -> Box:
    """Returns the bounds of a shape."""

    def numbers(*names: str) -> list[float]:
        return [float(element.attrib[name]) for name in names]

    if element.tag == "box":
        box = tuple(numbers("xtl", "ytl", "xbr", "ybr"))
        return rotated_bounds(box, degrees) if degrees % 360 else box
    if element.tag == "ellipse":
        return ellipse_bounds(*numbers("cx", "cy", "rx", "ry"), degrees)
    if element.tag == "mask":
        left, top, width, height = numbers("left", "top", "width", "height")
        return bounds(((left, top), (left + width, top + height)))
    if element.tag == "cuboid":
        corners = [match[1] for match in map(_CORNER.fullmatch, element.attrib) if match]
        return bounds(numbers(f"x{corner}", f"y{corner}") for corner in corners)
    return bounds(pair.split(",") for pair in element.attrib["points"].split(";") if pair)
