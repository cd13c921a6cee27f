"""Reads KITTI object labels: label_2/*.txt beside image_2, or labels/ beside images/.

A line is `type truncated occluded alpha xmin ymin xmax ymax` and seven numbers of the scene, which
are not read; a score may follow. Types may hold spaces, since tools write them so. DontCare marks a
part of a picture in which objects of any class were left unlabelled: it has no class, so it cannot
be a crowd of one, and is left out.
"""

from __future__ import annotations

import functools
import posixpath

from edet.files import read_text
from edet.records.sources.annotations import AnnotatedImage, AnnotatedObject, Annotations
from edet.records.sources.folder import Folder, by_split, source_ids, split_of_list, usual_split
from edet.records.sources.shapes import NO_FILE, Seen, is_number, read_files, read_objects, text

_LABELS = ("label_2", "labels", "label")
_PICTURES = ("image_2", "images", "image", "data")  # image_3 is that of the right camera
_NUMBERS = 14  # behind the type, without a score
_DONT_CARE = "dropped: DontCare region (of no class)"


def splits(folder: Folder) -> dict[str, tuple[str, ...]]:
    """Returns {split: its text files} of a folder; {} where there is none.

    Lists of names in ImageSets tell the splits, otherwise the folders do.
    """
    texts = folder.alike(folder.matching("*.txt"), _is_kitti)
    listed = {
        split: tuple(t for t in texts if _stem(t) in names and _may_be_of(split, t))
        for split, names in (_listed(folder) if texts else {}).items()
    }
    return {k: v for k, v in listed.items() if v} or by_split(texts, posixpath.dirname)


def _may_be_of(split: str, text: str) -> bool:
    """Whether a label may be of a list: those of training/ are of train and val, never of test."""
    own = usual_split(posixpath.dirname(text))
    return own in ("", split) or (own, split) == ("train", "val")


@functools.lru_cache(maxsize=1)
def _listed(folder: Folder) -> dict[str, set[str]]:
    """Returns {split: the names in its list}."""
    return {
        split: set(read_text(folder.path(name), "the split").split())
        for name in folder.matching("*imagesets/*.txt", beside=True)
        if (split := split_of_list(name))
    }


def _stem(name: str) -> str:
    return posixpath.splitext(posixpath.basename(name))[0]


def _is_kitti(head: str) -> bool:
    """Whether the first line is KITTI's: outlines of YOLO have as many numbers, but of 0-1."""
    try:
        name, numbers = _fields(head.strip().partition("\n")[0])
    except ValueError:
        return False
    words = name.split()
    is_name = len(words) == 1 or not any(map(is_number, words))
    return is_name and numbers[1].is_integer() and max(map(abs, numbers[3:7])) > 1.5


def read(folder: Folder, split: str, files: tuple[str, ...]) -> Annotations:
    """Returns the annotations of one split; pictures without a text file have no objects."""
    found = Annotations(folder.root, [], "xyxy", split=split)
    by_stem = {posixpath.splitext(name)[0]: name for name in reversed(folder.pictures)}
    rooms = {below: _pictures_of(below, by_stem) for below in map(posixpath.dirname, files)}
    stems = {
        name: posixpath.join(rooms[posixpath.dirname(name)], posixpath.basename(name)[:-4])
        for name in files
    }
    texts = read_files(folder, files, lambda path: read_text(path, "KITTI labels"), found.tally)
    entries = {}
    for file, content in texts.items():
        lines = [line for line in content.splitlines() if line.strip()]
        entries[by_stem.get(stems[file], f"{stems[file]}.png")] = file, lines
    labelled = {  # of every split
        posixpath.join(rooms[below], posixpath.basename(name)[:-4])
        for name in folder.matching("*.txt")
        if (below := posixpath.dirname(name)) in rooms
    }
    listed = _listed(folder).get(split)
    without = {
        stem
        for stem in set(by_stem) - labelled
        if listed is None or posixpath.basename(stem) in listed
    }
    for stem in sorted(stem for stem in without if posixpath.dirname(stem) in rooms.values()):
        found.tally.image_problem(by_stem[stem], NO_FILE)
        entries[by_stem[stem]] = by_stem[stem], []
    for source_id, (name, (file, lines)) in zip(
        source_ids(list(entries)), entries.items(), strict=True
    ):
        objects = read_objects(file, lines, _seen, found.tally)
        found.images.append(AnnotatedImage(name, source_id, objects))
    return found


def _pictures_of(labels: str, stems: dict[str, str]) -> str:
    """Returns the folder of the pictures whose labels lie in another, or in the same."""
    parts = labels.split("/")
    places = [k for k, part in enumerate(parts) if part in _LABELS]
    folders = {posixpath.dirname(stem) for stem in stems}
    for room in _PICTURES if places else ():
        candidate = "/".join([*parts[: places[-1]], room, *parts[places[-1] + 1 :]])
        if candidate in folders:
            return candidate
    return labels


def _fields(line: str) -> tuple[str, list[float]]:
    """Returns the type and the numbers of a line.

    Raises:
      ValueError: there are not as many numbers.
    """
    words = line.split()
    # From the end: one of 15 numbers or more, the last is a score.
    numeric = 0
    while numeric < len(words) - 1 and numeric <= _NUMBERS and is_number(words[-1 - numeric]):
        numeric += 1
    if numeric < _NUMBERS:
        raise ValueError(f"{numeric} numbers, not {_NUMBERS}")
    return " ".join(words[:-numeric]), [float(word) for word in words[-numeric:]]


def _seen(line: str) -> Seen:
    name, numbers = _fields(line)
    if name == "DontCare":
        return Seen(None, _DONT_CARE)
    xmin, ymin, xmax, ymax = numbers[3:7]
    return Seen(AnnotatedObject(text(name), (xmin, ymin, xmax, ymax)))
