"""Which annotation formats there are, which of them a folder holds, and its splits."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from edet.errors import UserError
from edet.records.sources import coco, voc, yolo
from edet.records.sources.annotations import Annotations
from edet.records.sources.folder import Folder

Splits = dict[str, tuple[str, ...]]


@dataclass(frozen=True)
class Format:
    """One annotation format.

    Attributes:
      splits: returns {split: files that `read` takes} of a folder, split "" where it has none;
        {} where the folder is not of this format. It looks at names and at heads of files.
      read: returns the annotations of one split.
    """

    splits: Callable[[Folder], Splits]
    read: Callable[[Folder, str, tuple[str, ...]], Annotations]


# In the order in which a folder is tried; the first whose `splits` finds something is taken.
FORMATS: dict[str, Format] = {
    "yolo": Format(yolo.splits, yolo.read),
    "coco": Format(coco.splits, coco.read),
    "voc": Format(voc.splits, voc.read),
}


def recognise(folder: Folder, format_name: str = "auto") -> tuple[str, Splits]:
    """Returns the format of a folder and its splits.

    Raises:
      UserError: the folder is empty, or of no format, or not of this one.
    """
    if not folder.files:
        raise UserError(f"{folder.root} is missing or empty; give the folder of a data set.")
    names = list(FORMATS) if format_name == "auto" else [format_name]
    for name in names:
        if found := FORMATS[name].splits(folder):
            return name, found
    raise UserError(
        f"{folder.root} holds no annotations of {' or '.join(names) if names[1:] else names[0]} "
        f"that edet knows ({len(folder.pictures)} pictures of {len(folder.files)} files); see "
        "docs/data.md for how each format lies in its folder."
    )
