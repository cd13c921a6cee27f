"""Groups of pictures with boxes, as the sections of data and of predictions show them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from edet.report.thumbnails import Read

Box = Sequence[Any]  # x, y, width, height in pixels of the picture, text


@dataclass(frozen=True)
class Shown:
    """One picture.

    Attributes:
      title, note: beside it.
      height, width: pixels that its boxes are in.
      read: returns it encoded, or as uint8 [H, W, 3].
    """

    title: str
    height: int
    width: int
    read: Read
    boxes: list[Box] = field(default_factory=list)
    note: str = ""


def grouped(groups: Mapping[str, Iterable[Shown]]) -> tuple[list[Any], list[Read]]:
    """Returns what the page needs of groups of pictures, and what reads each, in order."""
    shown = {title: list(pictures) for title, pictures in groups.items()}
    data = [
        [
            title,
            [
                {
                    "title": one.title, "note": one.note, "size": [one.width, one.height],
                    "boxes": [[*map(round, box[:4]), str(box[4])] for box in one.boxes],
                }
                for one in pictures
            ],
        ]
        for title, pictures in shown.items()
        if pictures
    ]  # fmt: skip
    return data, [one.read for pictures in shown.values() for one in pictures]
