"""What a prediction writes: detections as lines and as one JSON, and drawn pictures."""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Callable, Iterator, Sequence

import numpy as np
import tensorflow as tf

from edet.errors import UserError
from edet.files import reason, written_aside
from edet.geometry.boxes import yxyx_to_xywh


def to_coco(found: dict[str, np.ndarray], row: int) -> list[dict]:
    """Returns the detections in one picture of a batch as COCO results.

    Args:
      found: what `Detector.__call__` returns.
      row: the picture's place in it.

    Returns:
      For each detection, best first: category_id, bbox [x, y, width, height] in pixels, score.
    """
    count = int(found["num_detections"][row])
    boxes = yxyx_to_xywh(found["boxes"][row][:count])
    return [
        {
            "category_id": int(class_id),
            "bbox": [round(float(side), 2) for side in box],
            "score": round(float(score), 5),
        }
        for box, score, class_id in zip(
            boxes, found["scores"][row], found["classes"][row], strict=False
        )
    ]


def picture_lines(path: str, results: Sequence[dict]) -> list[dict]:
    """Returns what detections.jsonl says of a picture: `to_coco`'s results with its name.

    A number as its name is its image_id, as COCO's are.
    """
    stem = os.path.splitext(os.path.basename(path))[0]
    image_id = {"image_id": int(stem)} if stem.isdecimal() else {}
    return [{**image_id, "file_name": path, **result} for result in results]


def names_of_outputs(paths: Sequence[str], ending: str) -> dict[str, str]:
    """Gives every file its own name; two of one name in different folders are numbered."""
    names: dict[str, str] = {}
    taken: set[str] = set()
    for path in paths:
        stem = name = os.path.splitext(os.path.basename(path))[0]
        number = 1
        while name in taken:
            number += 1
            name = f"{stem}-{number}"
        taken.add(name)
        names[path] = f"{name}{ending}"
    return names


@contextlib.contextmanager
def lines_file(path: str) -> Iterator[Callable[[dict], None]]:
    """Yields what adds one object to a file of JSON lines, which appears when the block succeeds.

    Raises:
      UserError: it cannot be written.
    """
    with _text_file(path) as write:
        yield lambda value: write(json.dumps(value, ensure_ascii=False) + "\n")


@contextlib.contextmanager
def list_file(path: str) -> Iterator[Callable[[dict], None]]:
    """Yields what adds one object to a JSON list, a line each; nothing is kept in memory.

    Raises:
      UserError: it cannot be written.
    """
    with _text_file(path) as write:
        before = "["

        def add(value: dict) -> None:
            nonlocal before
            write(f"{before}\n{json.dumps(value, ensure_ascii=False)}")
            before = ","

        yield add
        write("[]\n" if before == "[" else "\n]\n")


@contextlib.contextmanager
def _text_file(path: str) -> Iterator[Callable[[str], None]]:
    with grown_aside(path) as aside:
        file = tf.io.gfile.GFile(aside, "w")

        def write(text: str) -> None:
            with _refused(path):
                file.write(text)

        write("")  # a folder that cannot be written is told before the work, not after it
        try:
            yield write
        finally:
            with _refused(path):
                file.close()


@contextlib.contextmanager
def _refused(path: str) -> Iterator[None]:
    try:
        yield
    except (OSError, tf.errors.OpError) as error:
        raise UserError(f"cannot write {path}: {reason(error)}") from error


class _Stopped(Exception):
    """Carries an error of the work through `written_aside`, which would take it for its own."""


@contextlib.contextmanager
def grown_aside(path: str) -> Iterator[str]:
    """As `written_aside`, for a file that grows while other work goes on in the block.

    Errors of that work stay what they are; whoever writes the file words its own.
    """
    try:
        with written_aside(path) as aside:
            try:
                yield aside
            except Exception as error:
                raise _Stopped from error
    except _Stopped as stopped:
        raise stopped.__cause__ from stopped.__cause__.__cause__
