"""Reads a text for each picture whose lines name the class: DOTA's, and OIDv4's.

A line of DOTA is `x1 y1 x2 y2 x3 y3 x4 y4 class difficult`, four corners of a turned box in pixels,
below lines such as `gsd:0.146`. A line of OIDv4's toolkit, which Cartucho's mAP has too, is `class
left top right bottom`, perhaps with `difficult` behind. OIDv4 saves a picture in the folder of each
of its classes, with the boxes of that one; here it is one picture. A picture without a text file is
left out.
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Callable

from edet.files import read_text
from edet.records.sources.annotations import AnnotatedImage, AnnotatedObject, Annotations
from edet.records.sources.example_set import Tally
from edet.records.sources.folder import Folder, by_split, source_ids
from edet.records.sources.shapes import (
    ROTATED,
    Seen,
    bounds,
    is_number,
    read_files,
    read_objects,
    text,
)

_ABOVE = re.compile(r"^[a-z]+\s*:", re.I)  # lines before DOTA's objects
_OIDV4 = "label"  # its folder of texts, within that of the pictures of a class
_TWICE = "picture in the folders of several classes (joined)"
_See = Callable[[str], Seen]


def dota_splits(folder: Folder) -> dict[str, tuple[str, ...]]:
    """Returns {split: DOTA's text files} of a folder; {} where there is none."""
    return _splits(folder, _dota)


def oidv4_splits(folder: Folder) -> dict[str, tuple[str, ...]]:
    """Returns {split: OIDv4's text files} of a folder; {} where there is none."""
    return _splits(folder, _oidv4)


def read_dota(folder: Folder, split: str, files: tuple[str, ...]) -> Annotations:
    """Returns the annotations of one split, as `read_oidv4`."""
    return _read(folder, split, files, _dota)


def read_oidv4(folder: Folder, split: str, files: tuple[str, ...]) -> Annotations:
    """Returns the annotations of one split; a text that cannot be read is reported."""
    return _read(folder, split, files, _oidv4)


def _splits(folder: Folder, see: _See) -> dict[str, tuple[str, ...]]:
    def is_one(head: str) -> bool:
        try:
            see(next(iter(_lines(head))))
        except (ValueError, StopIteration):
            return False
        return True

    return by_split(folder.alike(folder.matching("*.txt"), is_one), posixpath.dirname)


def _lines(content: str) -> list[str]:
    lines = (line.strip() for line in content.splitlines())
    return [line for line in lines if line and not _ABOVE.match(line)]


def _read(folder: Folder, split: str, files: tuple[str, ...], see: _See) -> Annotations:
    found = Annotations(folder.root, [], "xyxy", split=split)
    texts = read_files(folder, files, lambda path: read_text(path, "annotations"), found.tally)
    names = [posixpath.join(posixpath.dirname(base), stem) for base, stem in map(_parts, texts)]
    ids = dict(zip(texts, source_ids(names), strict=True))
    several: dict[str, AnnotatedImage] = {}
    for file, content in texts.items():
        base, stem = _parts(file)
        objects = read_objects(file, _lines(content), see, found.tally)
        image = AnnotatedImage(stem, ids[file], objects, base=base)
        if posixpath.basename(base).lower() == _OIDV4:
            image = image._replace(source_id=stem)
            if _joined(several.setdefault(stem, image), image, found.tally):
                continue
        found.images.append(image)
    return found


def _parts(file: str) -> tuple[str, str]:
    """The folder of a text, and its name without ending."""
    base, last = posixpath.split(file)
    return base, posixpath.splitext(last)[0]


def _joined(first: AnnotatedImage, image: AnnotatedImage, tally: Tally) -> bool:
    """Gives the objects of a picture that is there for another class too to its first copy."""
    if first is image:
        return False
    first.objects.extend(one for one in image.objects if one not in first.objects)
    tally.image_problem(f"{image.base}/{image.name}.txt", _TWICE)
    return True


def _dota(line: str) -> Seen:
    words = line.split()
    numbers = [float(word) for word in words[:8]]
    name = words[8:-1] if len(words) > 9 and is_number(words[-1]) else words[8:]
    if len(numbers) < 8 or not name or is_number(name[0]):
        raise ValueError(f"{line[:60]!r} is not four corners and a class")
    box = bounds(zip(numbers[0::2], numbers[1::2], strict=True))
    return Seen(AnnotatedObject(text(" ".join(name)), box), _note(numbers))


def _note(numbers: list[float]) -> str:
    """Says that a box is turned, unless each of its corners has a side with the bounds'."""
    is_upright = len(set(numbers[0::2])) == len(set(numbers[1::2])) == 2
    return "" if is_upright else ROTATED


def _oidv4(line: str) -> Seen:
    words = line.removesuffix(" difficult").split()
    numbers = tuple(float(word) for word in words[-4:])
    name = words[:-4]
    if len(numbers) < 4 or not name or is_number(name[-1]):  # then it is a score, or KITTI's
        raise ValueError(f"{line[:60]!r} is not a class and four sides")
    return Seen(AnnotatedObject(text(" ".join(name)), numbers))
