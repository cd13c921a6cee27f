"""Two runs beside each other on one page, the pictures first where they differ most."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from typing import Any

import numpy as np

from edet.config.loading import differences
from edet.errors import UserError
from edet.evaluation.errors import CORRECT, UNCOUNTED
from edet.evaluation.report import percent
from edet.files import read_json
from edet.report.page import add_pictures, render
from edet.workdir import Workdir

_LARGEST = 60  # differences of classes in the table


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
    results = [_read(run.result_file("eval"), run) for run in runs]
    data = [_read(run.report_file("evaluation"), run) for run in runs]
    embedded, strips = {}, {}
    add_pictures(runs[0], "evaluation", embedded, strips)
    images = _shared_images(data)
    if not images:
        raise UserError(
            f"{first} and {second} share no picture; evaluate both on the same data.eval_records."
        )
    embedded["comparison-data"] = json.dumps({"a": data[0], "b": data[1], "images": images})
    names = [os.path.basename(os.path.normpath(run.path)) for run in runs]
    names = [first, second] if names[0] == names[1] else names
    metrics, classes = ([one[key] for one in results] for key in ("metrics", "per_class"))
    costs = [{k: v["AP50 points"] / 100 for k, v in one["errors"].items()} for one in results]
    with_config = all(run.has_config() for run in runs)
    changed = differences(runs[0].config(), runs[1].config()) if with_config else []
    return render(
        "compare.html", title=" and ".join(names), subtitle="", watched=False, names=names,
        sections={"numbers": True, "pictures": True}, embedded=embedded, strips=strips,
        notes=_notes(data, len(images)), metrics=_rows(*metrics), errors=_rows(*costs),
        classes=sorted(_rows(*classes), key=lambda row: -abs(_number(row[3])))[:_LARGEST],
        settings=[(key, str(old), str(new)) for key, old, new in changed],
        thresholds=[f"{one['best']['score']:.2f}" for one in data],
    )  # fmt: skip


def _read(path: str, run: Workdir) -> dict[str, Any]:
    try:
        return read_json(path, "evaluation", dict)
    except UserError as error:
        raise UserError(f"{error} Run --mode=eval --workdir={run} first.") from error


def _shared_images(data: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Returns id, places and errors of the pictures of both, those that differ most first."""
    places = [{image[0]: place for place, image in enumerate(one["images"])} for one in data]
    errors = [errors_by_image(one) for one in data]
    thumbnails = {image: place for place, image in enumerate(data[0]["pictures"])}
    rows = [
        {
            "id": name, "at": [place, places[1][name]], "place": thumbnails[place],
            "errors": [int(errors[0][place]), int(errors[1][places[1][name]])],
        }
        for name, place in places[0].items() if name in places[1] and place in thumbnails
    ]  # fmt: skip
    return sorted(rows, key=lambda row: -abs(row["errors"][0] - row["errors"][1]))


def _notes(data: list[dict[str, Any]], shared: int) -> list[str]:
    counts = [len(one["images"]) for one in data]
    if counts[0] == counts[1] == shared:
        return []
    return [f"{counts[0]} and {counts[1]} pictures were evaluated; {shared} are shown of both."]


def _rows(first: Mapping[str, float], second: Mapping[str, float]) -> list[tuple[str, ...]]:
    """Returns name, both values in percent and their difference; what one run lacks is left out."""
    return [
        (
            name, percent(value), percent(second[name]),
            "–" if min(value, second[name]) < 0 else _change(100 * (second[name] - value)),
        )
        for name, value in first.items() if name in second
    ]  # fmt: skip


def _change(points: float) -> str:
    return f"{points:+.1f}" if abs(points) >= 0.05 else "0.0"


def _number(text: str) -> float:
    return 0.0 if text == "–" else float(text)
