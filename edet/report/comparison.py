"""Two runs beside each other on one page, the pictures first where they differ most."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from typing import Any

import numpy as np
import tensorflow as tf

from edet.config.loading import flat_settings
from edet.errors import UserError, refuse_malformed
from edet.evaluation.errors import CORRECT, UNCOUNTED
from edet.evaluation.report import percent
from edet.files import read_json
from edet.report.page import add_pictures, render
from edet.workdir import Workdir

# Of these pages alone: other text in them has no "<".
MARK = '<script type="application/json" id="comparison-data">'
_LARGEST = 60  # differences of classes in the table
_NAMED = 5  # classes that only one run has


def errors_by_image(data: Mapping[str, Any]) -> np.ndarray:
    """Counts what is missed or false in each picture at the score of the best F1.

    Args:
      data: of `report.evaluation.evaluation_data`.

    Returns:
      int64 [I].
    """
    found, truth, threshold = data["found"], data["truth"], data["best"]["score"]
    scores, kinds = np.array(found["score"], float), np.array(found["kind"], int)
    is_seen = scores >= threshold
    false = is_seen & (kinds != CORRECT) & (kinds != UNCOUNTED)
    by = np.array(truth["found_by"], int)
    missed = ~np.append(is_seen, False)[by] & ~np.array(truth["crowd"], bool)
    count = len(data["images"])
    return np.bincount(np.array(found["image"], int)[false], minlength=count) + np.bincount(
        np.array(truth["image"], int)[missed], minlength=count
    )


def compare(first: str, second: str) -> str:
    """Returns the page of two runs that were evaluated on the same pictures, or on some.

    Raises:
      UserError: a run has no evaluation with pictures, or they share no picture.
    """
    runs = [Workdir(first), Workdir(second)]
    data = [_read(run.report_file("evaluation"), run) for run in runs]
    results = [_read(run.result_file("eval"), run) for run in runs]
    files = f"eval.json or report/evaluation*.json of {first} or {second}"
    with refuse_malformed(f"{files}: not as edet writes it"):
        return _page(runs, results, data)


def _page(runs: list[Workdir], results: list[dict[str, Any]], data: list[dict[str, Any]]) -> str:
    first, second = names = _names([run.path for run in runs])
    embedded, strips = {}, {}
    add_pictures(runs[0], "evaluation", embedded, strips)
    images, others = _shared_images(data)
    if not images:
        raise UserError(
            f"{runs[0]} and {runs[1]} share no picture"
            + f", {others} have one name but other sizes or objects" * bool(others)
            + "; evaluate both on the same data.eval_records."
        )
    embedded["comparison-data"] = json.dumps({"a": data[0], "b": data[1], "images": images})
    metrics, classes = ([one[key] for one in results] for key in ("metrics", "per_class"))
    costs = [{k: v["AP50 points"] / 100 for k, v in one["errors"].items()} for one in results]
    notes = _notes(data, len(images), others) + _lone_classes(names, classes)
    pairs = zip(names, results, strict=True)
    notes += [
        f"The numbers of {name} are those of {r['file']}." for name, r in pairs if "file" in r
    ]
    return render(
        "compare.html", title=f"{first} and {second}", subtitle="", watched=False, names=names,
        sections={"numbers": True, "pictures": True}, embedded=embedded, strips=strips,
        notes=notes, metrics=_rows(*metrics), errors=_rows(*costs),
        classes=sorted(_rows(*classes), key=lambda row: -abs(_number(row[3])))[:_LARGEST],
        settings=_changed(runs, results),
        thresholds=[f"{one['best']['score']:.2f}" for one in data],
    )  # fmt: skip


def _changed(runs: list[Workdir], results: list[dict[str, Any]]) -> list[tuple[str, str, str]]:
    """Returns the settings that differ: of the runs, and those that they were evaluated with."""
    own = [flat_settings(run.config()) if run.has_config() else {} for run in runs]
    for settings, result in zip(own, results, strict=True):
        settings |= {f"detect.{key}": value for key, value in result.get("detect", {}).items()}
    first, second = own
    return [
        (key, str(first[key]), str(value))
        for key, value in second.items()
        if key in first and first[key] != value
    ]


def _names(paths: list[str]) -> list[str]:
    """Returns what two runs are called: their paths from where these part to where they meet."""
    parts = [os.path.normpath(path).split(os.sep) for path in paths]
    if parts[0] == parts[1]:
        return paths
    while len(min(parts, key=len)) > 1 and parts[0][0] == parts[1][0]:
        parts = [one[1:] for one in parts]
    while len(min(parts, key=len)) > 1 and parts[0][-1] == parts[1][-1]:
        parts = [one[:-1] for one in parts]
    lasts = [one[-1] for one in parts]
    return lasts if lasts[0] != lasts[1] else [os.sep.join(one) for one in parts]


def _read(path: str, run: Workdir) -> dict[str, Any]:
    if not tf.io.gfile.exists(path):
        if tf.io.gfile.exists(run.result_file("segmentation")):
            raise UserError(f"{run} classifies pixels; only runs that find boxes are compared.")
        raise UserError(f"{run} has no evaluation; run --mode=eval --workdir={run} first.")
    return read_json(path, "evaluation", dict)


def _shared_images(data: list[dict[str, Any]]) -> tuple[list[dict[str, Any]], int]:
    """Returns id, places and errors of the pictures of both, those that differ most first.

    And how many have one id but other sizes or objects: most sets number their pictures from 1.
    """
    contents = [_contents(one) for one in data]
    places = [{image[0]: place for place, image in enumerate(one["images"])} for one in data]
    errors = [errors_by_image(one) for one in data]
    thumbnails = {image: place for place, image in enumerate(data[0]["pictures"])}
    both = [
        (name, place, places[1][name]) for name, place in places[0].items() if name in places[1]
    ]
    same = [one for one in both if contents[0][one[1]] == contents[1][one[2]]]
    rows = [
        {
            "id": name, "at": [place, other], "place": thumbnails[place],
            "errors": [int(errors[0][place]), int(errors[1][other])],
        }
        for name, place, other in same if place in thumbnails
    ]  # fmt: skip
    rows.sort(key=lambda row: -abs(row["errors"][0] - row["errors"][1]))
    return rows, len(both) - len(same)


def _contents(data: Mapping[str, Any]) -> list[tuple[Any, ...]]:
    """Returns width, height and the boxes of the objects of each picture, in whole pixels."""
    boxes: list[list[tuple[int, ...]]] = [[] for _ in data["images"]]
    truth = data["truth"]
    for image, box in zip(truth["image"], np.reshape(truth["box"], (-1, 4)).tolist(), strict=True):
        boxes[image].append(tuple(box))
    return [(*image[1:], *sorted(own)) for image, own in zip(data["images"], boxes, strict=True)]


def _notes(data: list[dict[str, Any]], shared: int, others: int) -> list[str]:
    counts, notes = [len(one["images"]) for one in data], []
    if not counts[0] == counts[1] == shared:
        notes += [
            f"{counts[0]} and {counts[1]} pictures were evaluated; {shared} are shown of both."
        ]
    if others:
        notes += [
            f"{others} pictures have one name in both, but other sizes or objects: the numbers are "
            "of different data."
        ]
    return notes


def _lone_classes(names: list[str], classes: list[Mapping[str, float]]) -> list[str]:
    """Says which classes only one of the runs has."""
    notes = []
    for name, own, other in zip(names, classes, reversed(classes), strict=True):
        if lone := [key for key in own if key not in other]:
            more = f" and {len(lone) - _NAMED} more" if len(lone) > _NAMED else ""
            notes.append(f"Only {name} has the classes {', '.join(lone[:_NAMED])}{more}.")
    return notes


def _rows(first: Mapping[str, float], second: Mapping[str, float]) -> list[tuple[str, ...]]:
    """Returns name, both values in percent and their difference; a dash for what one run lacks."""
    values = {name: (first.get(name, -1), second.get(name, -1)) for name in {**first, **second}}
    return [
        (name, percent(a), percent(b), "–" if min(a, b) < 0 else _change(100 * (b - a)))
        for name, (a, b) in values.items()
    ]


def _change(points: float) -> str:
    return f"{points:+.1f}" if abs(points) >= 0.05 else "0.0"


def _number(text: str) -> float:
    return 0.0 if text == "–" else float(text)
