"""Reads what a tool wrote as a user of edet would, and compares it with the truth."""

from __future__ import annotations

import pathlib
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import tensorflow as tf

from edet.errors import UserError
from edet.records.sources.formats import open_folder
from edet.records.writing import write_records
from tools.checks.annotation_outputs import Output

_EQUAL = 0.01  # pixels

Object = tuple[str, np.ndarray, bool]  # class name, [ymin, xmin, ymax, xmax] in pixels, crowd


@dataclass(frozen=True)
class Reading:
    """How an output of a tool compares with the truth, and with what the tool says it changed."""

    item: Output
    boxes: int = 0  # objects of the truth that were found, as near as the tool leaves them
    equal: int = 0  # within 0.01 pixel
    furthest: float = 0.0  # pixels
    extra: int = 0
    crowds: int = 0
    negatives: int = 0
    problem: str = ""  # what differs from the truth and from the tool's own changes; "" is right

    @property
    def right(self) -> bool:
        """Whether edet read what the tool wrote."""
        return not self.problem


def read(folder: pathlib.Path) -> dict[str, list[Object]]:
    """Returns {file: objects} of a folder's records, made as `create_tfrecords --data` does.

    Raises:
      UserError: edet refuses the set.
    """
    found: dict[str, list[Object]] = {}
    for split, source in open_folder(str(folder), log=lambda text: None).items():
        with tempfile.TemporaryDirectory() as records:
            write_records(source, f"{records}/{split or 'all'}", workers=1, progress=False)
            files = tf.io.gfile.glob(f"{records}/*.tfrecord")
            for record in tf.data.TFRecordDataset(files).as_numpy_iterator():
                features = tf.train.Example.FromString(record).features.feature
                name = features["image/filename"].bytes_list.value[0].decode()
                found[name.rpartition("/")[2]] = _objects(features)
    return found


def _objects(features: Any) -> list[Object]:
    sides = [features[f"image/{side}"].int64_list.value[0] for side in ("height", "width")] * 2
    corners = [
        features[f"image/object/bbox/{side}"].float_list.value
        for side in ("ymin", "xmin", "ymax", "xmax")
    ]
    names = features["image/object/class/text"].bytes_list.value
    crowds = features["image/object/is_crowd"].int64_list.value
    boxes = np.array(corners, np.float64).reshape(4, -1).T * sides
    return [
        (name.decode(), box, bool(crowd))
        for name, box, crowd in zip(names, boxes, crowds, strict=True)
    ]


def compare(item: Output, truth: dict[str, Any], folder: pathlib.Path) -> Reading:
    """Reads an output and pairs its objects with those of the truth."""
    try:
        found = read(folder)
    except UserError as error:
        return Reading(item, problem="" if item.wrong else f"refused: {error}")
    distances: list[float] = []
    rest = 0
    for photo in truth["photos"]:
        near = _nearest(found.get(photo["file"], []), _wanted(photo, truth, item), item.pixels)
        distances += near
        rest += len(found.get(photo["file"], [])) - len(near)
    wrong = item.wrong and "should have been refused"
    reading = Reading(
        item,
        boxes=len(distances),
        equal=sum(distance <= _EQUAL for distance in distances),
        furthest=max(distances, default=0.0),
        extra=rest,
        crowds=sum(crowd for objects in found.values() for _, _, crowd in objects),
        negatives=sum(not objects for objects in found.values()),
    )
    return Reading(**vars(reading) | {"problem": wrong or _problem(reading, truth)})


def _wanted(photo: dict[str, Any], truth: dict[str, Any], item: Output) -> list[Object]:
    """The objects of a photo, under the names that the tool gives them."""
    names = {key: dict(item.names).get(name, name) for key, name in truth["classes"].items()}
    return [(names[str(o["class"])], np.array(o["box"]), o["crowd"]) for o in photo["objects"]]


def _nearest(found: Sequence[Object], wanted: Sequence[Object], limit: float) -> list[float]:
    """The distances of those pairs of one class, nearest first, in which no side is further off."""
    pairs = [
        (float(np.abs(first[1] - second[1]).max()), i, j)
        for i, first in enumerate(found)
        for j, second in enumerate(wanted)
        if first[0] == second[0]
    ]
    distances: list[float] = []
    taken: tuple[set[int], set[int]] = (set(), set())
    for distance, i, j in sorted(pairs):
        if distance <= limit and i not in taken[0] and j not in taken[1]:
            distances.append(distance)
            taken[0].add(i)
            taken[1].add(j)
    return distances


def _problem(reading: Reading, truth: dict[str, Any]) -> str:
    item = reading.item
    objects = sum(len(photo["objects"]) for photo in truth["photos"])
    wanted = {
        "boxes": objects - item.missing,
        "extra": item.extra,
        "crowds": item.crowds,
        "negatives": item.negatives,
    }
    seen = {key: getattr(reading, key) for key in wanted}
    return f"{seen} instead of {wanted}" if seen != wanted else ""


def markdown(readings: Sequence[Reading]) -> str:
    """The readings as a table."""
    lines = [
        "| tool | format | boxes | equal | furthest side | crowd | empty photo | the tool itself |",
        "|---|---|--:|--:|--:|---|---|---|",
    ]
    for each in readings:
        item = each.item
        cells = ["refused", "", "", "", "", item.wrong]
        if not item.wrong:
            total = each.boxes + each.extra
            kept = ["yes" if count else "no" for count in (each.crowds, each.negatives)]
            cells = [str(total), str(each.equal), f"{each.furthest:.2f}", *kept, item.note]
        lines.append(f"| {item.tool} {item.version} | {item.format} | {' | '.join(cells)} |")
    return "\n".join(lines).replace("  ", " ") + "\n"
