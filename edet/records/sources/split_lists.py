"""What divides a set whose annotations do not: lists of names, and the folders of its pictures."""

from __future__ import annotations

import dataclasses
import posixpath
from collections import defaultdict
from collections.abc import Callable

from edet.files import read_text
from edet.records.sources.annotations import AnnotatedImage, Annotations
from edet.records.sources.example_set import Tally
from edet.records.sources.folder import Folder, is_picture, stem_of, usual_split

_MOST = 20  # lists of a set


def by_lists(
    whole: Annotations, folder: Folder, log: Callable[[str], None]
) -> dict[str, Annotations]:
    """Returns the splits of a set without splits, as lists in its folder name them; {} without one.

    A list is a text file whose name says a split and half of whose lines, or more, name pictures of
    the set: by their names or paths, with an ending or without, alone or before something else.
    "trainval" is for training, unless another list is. What no list names is the split "".

    Args:
      whole: the set.
      folder: where it lies.
      log: told which lists there are.
    """
    by_stem: dict[str, list[AnnotatedImage]] = defaultdict(list)
    for image in whole.images:
        by_stem[stem_of(image.name)].append(image)
    texts = [name for name in folder.matching("*.txt") if _split_of(name)]
    if any(usual_split(posixpath.basename(name)) == "train" for name in texts):
        texts = [name for name in texts if usual_split(posixpath.basename(name))]
    lists = [name for name in texts if stem_of(posixpath.splitext(name)[0]) not in by_stem]
    found: dict[str, set[int]] = defaultdict(set)  # {split: id() of its pictures}
    for name in lists[:_MOST]:
        lines = [line.strip() for line in read_text(folder.path(name), "a list").splitlines()]
        lines = [line for line in lines if line]
        named = [image for line in lines if (image := _named(line, by_stem))]
        if named and 2 * len(named) >= len(lines):
            split = _split_of(name)
            found[split].update(map(id, named))
            rest = f", and {len(lines) - len(named):,} others" * (len(named) < len(lines))
            log(f"{folder.path(name)} names {len(named):,} pictures of the split {split}{rest}.")
    if not found:
        return {}
    parts = {split: [i for i in whole.images if id(i) in ids] for split, ids in found.items()}
    listed = set().union(*found.values())
    rest = [image for image in whole.images if id(image) not in listed]
    parts = ({"": rest} if rest else {}) | parts
    return _divided(whole, parts)


def by_folders(
    whole: Annotations, folder: Folder, log: Callable[[str], None]
) -> dict[str, Annotations]:
    """Returns the splits of a set whose one file of annotations is of pictures in train/ and val/.

    If each picture lies in the folder of a split, and some in that of training; otherwise it is ""
    as a whole.
    """
    parts: dict[str, list[AnnotatedImage]] = defaultdict(list)
    for image in whole.images:
        place = posixpath.relpath(whole.place(image, folder.quiet()), folder.root)
        parts[usual_split(posixpath.dirname(place))].append(image)
    if "" in parts or "train" not in parts or len(parts) == 1:
        return {"": whole}
    log(f"{whole.where}: the folders of the pictures tell the splits, {', '.join(parts)}.")
    return _divided(whole, parts)


def _divided(whole: Annotations, parts: dict[str, list[AnnotatedImage]]) -> dict[str, Annotations]:
    """Returns {split: its pictures}; the first has what is to be said of the whole."""
    tallies = [whole.tally, *(Tally() for _ in parts)]
    return {
        split: dataclasses.replace(whole, images=images, tally=tally)
        for (split, images), tally in zip(parts.items(), tallies, strict=False)
    }


def _split_of(name: str) -> str:
    """Returns the split that a list's name tells."""
    last = posixpath.basename(name)
    return usual_split(last) or ("train" if last.lower() == "trainval.txt" else "")


def _named(line: str, by_stem: dict[str, list[AnnotatedImage]]) -> AnnotatedImage | None:
    """Returns the picture that a line names; None where it names none, or may mean several."""
    path = line.replace("\\", "/")
    for way in dict.fromkeys((path, path.split()[0])):
        found = by_stem.get(stem_of(way), [])
        if len(found) > 1:
            end = _path(way)
            paths = [(one, _path(one.name)) for one in found]
            found = [one for one, own in paths if own.endswith(end) or end.endswith(own)]
        if len(found) == 1:
            return found[0]
    return None


def _path(name: str) -> str:
    """A path from the root, without the ending; that of a list may be of another machine."""
    stem = posixpath.splitext(name)[0] if is_picture(name) else name
    return posixpath.normpath(f"/{stem.lstrip('/')}")
