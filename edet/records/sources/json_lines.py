"""Reads lines of JSON, one for each picture, as three clouds write them.

AWS SageMaker Ground Truth's manifests (Rekognition's and Roboflow's too) have boxes in pixels below
the name of the job, and the classes' names in its metadata. Azure's AutoML has shares in `label`,
and Google's Vertex in `boundingBoxAnnotations`, with the split beside. Pictures are named by where
they lie in the cloud, and found by the end of that.
"""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable, Iterator
from typing import Any

from edet.errors import UserError
from edet.files import read_text
from edet.records.sources.annotations import AnnotatedImage, AnnotatedObject, Annotations
from edet.records.sources.folder import Folder, usual_split
from edet.records.sources.shapes import (
    BAD_IMAGE,
    OUTLINE,
    WRONG,
    Seen,
    bounds,
    flag,
    in_words,
    pixels,
    read_objects,
    text,
)

_Line = dict[str, Any]
_FILES = ("*.manifest", "*.jsonl")
_HEAD = 2**20  # bytes, since a line holds many boxes
_TRIED = 20  # lines; of a manifest some may have no labels yet
_IMAGES = {"source-ref": "sagemaker", "image_url": "azure", "imageGcsUri": "vertex"}
_VERTEX_SPLIT = "aiplatform.googleapis.com/ml_use"


def splits(folder: Folder) -> dict[str, tuple[str, ...]]:
    """Returns {split: its files} of a folder; {} where there is none."""
    found: dict[str, tuple[str, ...]] = {}
    for name in folder.matching(*_FILES):
        if kind := _kind_of(folder.head(name, _HEAD)):
            named = [""]
            if kind == "vertex":  # whose lines alone tell splits
                lines = _lines(read_text(folder.path(name), "boxes"))
                named = [_split_of(line) for _, line in lines if isinstance(line, dict)]
            for split in dict.fromkeys(split or usual_split(name) for split in named):
                found[split] = (*found.get(split, ()), name)
    return found


def _kind_of(head: str) -> str:
    """Returns which cloud wrote a file with boxes; "" for any other."""
    for _, line in itertools.islice(_lines(head), _TRIED):
        try:
            kind = next(kind for key, kind in _IMAGES.items() if key in line)
            if isinstance(_KINDS[kind][0](line), list):
                return kind
        except (*WRONG, StopIteration):
            continue
    return ""


def _lines(content: str) -> Iterator[tuple[int, Any]]:
    """Yields the number of each line and what it holds: an error, if it is no JSON."""
    for number, line in enumerate(content.splitlines(), start=1):
        if line.strip():
            try:
                yield number, json.loads(line)
            except ValueError as error:
                yield number, error


def _split_of(line: _Line) -> str:
    resources = line.get("dataItemResourceLabels")
    return usual_split(str(resources.get(_VERTEX_SPLIT))) if isinstance(resources, dict) else ""


def read(folder: Folder, split: str, files: tuple[str, ...]) -> Annotations:
    """Returns the annotations of one split; a line that cannot be read is reported.

    Raises:
      UserError: files of one split are of two clouds, which count boxes in two ways.
    """
    kinds = {_kind_of(folder.head(file, _HEAD)) for file in files}
    if len(kinds) > 1:
        raise UserError(
            f"{' and '.join(map(folder.path, files))} are of one split and of {len(kinds)} clouds; "
            "give each a folder of its own."
        )
    (kind,) = kinds
    entries, see, size = _KINDS[kind]
    relative = kind != "sagemaker"
    found = Annotations(folder.path(files[0]), [], "xyxy", relative=relative, split=split)
    for file in files:
        for number, line in _lines(read_text(folder.path(file), "boxes")):
            try:
                if isinstance(line, ValueError):
                    raise line
                if (_split_of(line) or usual_split(file)) != split:
                    continue
                name = text(next(line[key] for key in _IMAGES if key in line))
                objects = read_objects(name, entries(line), see(line), found.tally)
                found.images.append(AnnotatedImage(name, name, objects, *size(line)))
            except (*WRONG, StopIteration) as error:
                found.tally.image_problem(f"line {number} of {file}", BAD_IMAGE, in_words(error))
    return found


def _job(line: _Line) -> tuple[str, _Line]:
    """Returns the name of a SageMaker job, and what it says of the boxes."""
    for key, value in line.items():
        if isinstance(value, dict) and isinstance(value.get("annotations"), list):
            return key, value
    raise ValueError("no job has annotations of it")


def _see_sagemaker(line: _Line) -> Callable[[_Line], Seen]:
    names = line[f"{_job(line)[0]}-metadata"].get("class-map", {})

    def see(entry: _Line) -> Seen:
        x, y, width, height = (float(entry[key]) for key in ("left", "top", "width", "height"))
        name = text(names[str(entry["class_id"])])
        return Seen(AnnotatedObject(name, (x, y, x + width, y + height)))

    return see


def _sagemaker_size(line: _Line) -> tuple[int, int]:
    (size,) = _job(line)[1].get("image_size") or [{}]
    return pixels(size.get("height")), pixels(size.get("width"))


def _azure(entry: _Line) -> Seen:
    name, is_crowd = text(entry["label"]), flag(entry.get("isCrowd"))
    if "topX" in entry:
        box = tuple(float(entry[key]) for key in ("topX", "topY", "bottomX", "bottomY"))
        return Seen(AnnotatedObject(name, box, is_crowd))
    points = [part[k : k + 2] for part in entry["polygon"] for k in range(0, len(part), 2)]
    return Seen(AnnotatedObject(name, bounds(points), is_crowd), OUTLINE)


def _azure_size(line: _Line) -> tuple[int, int]:
    details = line.get("image_details") or {}
    height, width = (str(details.get(side)).removesuffix("px") for side in ("height", "width"))
    return pixels(height), pixels(width)


def _vertex(entry: _Line) -> Seen:
    box = tuple(float(entry.get(key) or 0) for key in ("xMin", "yMin", "xMax", "yMax"))
    return Seen(AnnotatedObject(text(entry["displayName"]), box))


# Of each cloud: the entries of a line, how one of them is seen, and the picture's size.
_KINDS: dict[str, tuple[Callable, Callable, Callable]] = {
    "sagemaker": (lambda line: _job(line)[1]["annotations"], _see_sagemaker, _sagemaker_size),
    "azure": (lambda line: line["label"], lambda _: _azure, _azure_size),
    "vertex": (
        lambda line: line.get("boundingBoxAnnotations") or [], lambda _: _vertex, lambda _: (-1, -1)
    ),
}  # fmt: skip
