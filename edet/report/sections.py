"""What each section of the page says, from the files that the modes leave in a workdir."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import tensorflow as tf

from edet.evaluation.report import MEANINGS, percent
from edet.files import read_json_or
from edet.report.thumbnails import as_uri
from edet.workdir import Workdir

_POINTS = 1000  # of a curve over all steps
_PROBLEMS = 200  # in the table
_CLASSES = 40  # bars


class Section(NamedTuple):
    """One section."""

    values: dict[str, Any]  # what its template shows
    drawn: dict[str, Any] | None = None  # what its charts show; None: report/<section>.json


def _kept(workdir: Workdir, mode: str) -> dict[str, Any]:
    return read_json_or(workdir.result_file(mode), "result", {})


def evaluation(workdir: Workdir) -> Section | None:
    """COCO's numbers and everything behind them; the IoU of pixels."""
    found, pixels = _kept(workdir, "eval"), _kept(workdir, "segmentation")
    metrics = found.get("metrics", {})
    if not metrics and not pixels:
        return None
    sizes = ("APs", "APm", "APl")
    errors = {name: one for name, one in found.get("errors", {}).items() if "all" not in name}
    numbers = {"objects": "ground_truths", "detections": "detections"}
    counts = [f"{found['images']:,} images"] if metrics else [f"{pixels['images']:,} pictures"]
    counts += [f"{sum(found[key].values()):,} {name}" for name, key in numbers.items() if metrics]
    values = {
        "counts": counts,
        "step": (found or pixels).get("step"),
        "file": (found or pixels).get("file"),
        "metrics": [(name, percent(value), MEANINGS[name]) for name, value in metrics.items()],
        "diagnosis": found.get("diagnosis", []),
        "errors": [
            (name, one["AP50 points"], f"{one['AP50 points']:.1f} ({one['count']})")
            for name, one in errors.items()
        ],
        "classes": [
            (
                name, percent(ap), *(percent(found["per_class_and_size"][name][s]) for s in sizes),
                found["ground_truths"][name], found["detections"][name],
            )
            for name, ap in (found.get("per_class", {}) if errors else {}).items()
        ],
        "has_pictures": bool(errors) and tf.io.gfile.exists(workdir.report_file("evaluation")),
        "matrix_rows": min(25, len(found.get("per_class", {}))),
        "pixels": pixels and _pixels(workdir, pixels),
    }  # fmt: skip
    return Section(values)


def _pixels(workdir: Workdir, found: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "metrics": [(name, percent(value)) for name, value in found["metrics"].items()],
        "classes": [(name, percent(value)) for name, value in found["IoU"].items()],
        "picture": as_uri(workdir.segmentation_page),
    }


def training(workdir: Workdir) -> Section | None:
    """Losses, rates and AP over the steps, the recipe, and every start of the run."""
    history, evaluations = workdir.history(), workdir.evaluations()
    if not history and not evaluations:
        return None
    best = read_json_or(workdir.best_file, "result", {}).get("step")
    starts = read_json_or(workdir.starts_file, "log", [])
    recipe = read_json_or(workdir.recipe_file, "recipe", {})
    expected = starts[-1]["expected_memory"] if starts else {}
    memory = {f"expected: {part}": size / 2**20 for part, size in expected.items()}
    memory["expected in all"] = sum(memory.values())
    for column, what in (("device_mib", "a device"), ("process_mib", "the process")):
        memory[f"measured: {what}"] = max((row.get(column, 0.0) for row in history), default=0.0)
    done = f"{len(history):,} of {recipe.get('total_steps', len(history)):,} steps"
    values = {
        "done": f"{done}; best at step {best:,}" if best is not None else done,
        "recipe": [(name, _shown(value)) for name, value in recipe.items()],
        "memory": [(name, size, f"{size:,.0f}") for name, size in memory.items() if size],
        "starts": [
            (
                one["time"].removesuffix("+00:00"),
                one["step"],
                "; ".join(one["changed"]) or "nothing",
            )
            for one in starts
        ],
    }
    percents = [  # -1 stands for no ground truth
        {
            k: value if k == "step" else 100 * value if value >= 0 else None
            for k, value in row.items()
        }
        for row in evaluations
    ]
    drawn = {"history": _thinned(history), "evaluations": _columns(percents), "best": best}
    return Section(values, drawn)


def _shown(value: Any) -> str:
    return f"{value:.6g}" if isinstance(value, float) else str(value)


def _columns(rows: Sequence[Mapping[str, float | None]]) -> dict[str, list[float | None]]:
    """Returns the rows' columns; JSON has no number that is not finite."""
    names = dict.fromkeys(name for row in rows for name in row if not name.endswith("crc32"))
    columns = {name: [row.get(name) for row in rows] for name in names}
    return {
        name: [value if value is not None and math.isfinite(value) else None for value in column]
        for name, column in columns.items()
    }


def _thinned(rows: Sequence[Mapping[str, float]]) -> dict[str, list[float | None]]:
    """Returns columns of at most _POINTS values, each the mean of the steps that it stands for."""
    columns = _columns(rows)
    if len(rows) <= _POINTS:
        return columns
    edges = np.linspace(0, len(rows), _POINTS, endpoint=False).astype(int)
    counts = np.diff(np.append(edges, len(rows)))
    values = {name: np.array(column, np.float64) for name, column in columns.items()}
    means = {name: np.add.reduceat(column, edges) / counts for name, column in values.items()}
    return {
        name: [None if np.isnan(v) else float(f"{v:.6g}") for v in column]
        for name, column in means.items()
    }


def data(workdir: Workdir) -> Section | None:
    """What `--mode=check_data` has found."""
    found = _kept(workdir, "check_data")
    if not found:
        return None
    anchors = found.get("anchors", {})
    problems = [
        (str(one["file"]), " ".join(str(one[key]) for key in ("what", "detail") if one.get(key)))
        for name in ("train", "eval") for one in found.get(name, {}).get("problems", [])
    ]  # fmt: skip
    recalls = [(str(row["name"] or row["id"]), row) for row in anchors.get("classes", [])]
    recalls.sort(key=lambda named: named[1]["recall"])
    sides = anchors.get("all", {}).get("sides", {})
    values = {
        "sentences": found["sentences"],
        "sets": [_set(name, found[name]) for name in ("train", "eval") if name in found],
        "recall_by_class": [_share(name, row) for name, row in recalls[:_CLASSES]],
        "recall_by_size": [_share(f"{name} pixels", row) for name, row in sides.items()],
        "problems": problems[:_PROBLEMS],
        "more_problems": len(problems) if len(problems) > _PROBLEMS else 0,
    }
    return Section(values)


def _share(name: str, row: Mapping[str, Any]) -> tuple[str, float, str]:
    return name, row["recall"] or 0.0, f"{percent(row['recall'] or 0)} % of {row['boxes']:,}"


def _set(name: str, found: Mapping[str, Any]) -> dict[str, Any]:
    classes = sorted(found["classes"], key=lambda row: -row["boxes"])
    return {
        "name": name, "images": f"{found['images']:,}", "boxes": f"{found['boxes']:,}",
        "classes": [
            (str(row["name"] or row["id"]), row["boxes"], f"{row['boxes']:,}")
            for row in classes[:_CLASSES]
        ],
    } | {
        side: [(name, n, f"{n:,}") for name, n in found[side].items() if n]
        for side in ("heights", "widths")
    }  # fmt: skip


def predict(workdir: Workdir) -> Section | None:
    """What the last prediction found."""
    found = _kept(workdir, "predict")
    if not found:
        return None
    sentence = f"{found['images']:,} pictures and {found['videos']:,} videos"
    return Section({"sentence": sentence, "failed": list(found["failed"].items())})


def models(workdir: Workdir) -> Section | None:
    """Exported files with their size and AP, and how fast each format is here."""
    found, benchmark = _kept(workdir, "models"), _kept(workdir, "benchmark")
    if not found and not benchmark:
        return None

    def number(row: Mapping[str, Any], key: str, form: str, factor: float = 1.0) -> str:
        return form.format(factor * row[key]) if row.get(key) is not None else ""

    rows = benchmark.get("rows", [])
    values = {
        "files": [
            (
                path, row.get("format", ""), number(row, "bytes", "{:,.1f}", 1e-6),
                *(percent(row[name]) if name in row else "" for name in ("AP", "AP50")),
                number(row, "latency_ms", "{:.1f}"),
            )
            for path, row in found.items()
        ],
        "benchmark": [
            (
                row["name"], row["batch"],
                *(f"{row[part]:.1f}" for part in ("prepare", "network", "suppress", "total")),
                f"{1000 * row['batch'] / row['total']:.1f}", number(row, "peak_memory", "{:.0f}"),
            )
            for row in rows
        ],
        "cores": benchmark.get("machine", {}).get("cores", ""),
    }  # fmt: skip
    return Section(values)


# And the files that each is made of, for messages.
SECTIONS: dict[str, tuple[Callable[[Workdir], Section | None], str]] = {
    "evaluation": (
        evaluation,
        "eval.json, segmentation.json, segmentation.png or report/evaluation*.json",
    ),
    "training": (training, "best/best.json, starts.json or recipe.json"),
    "data": (data, "check_data.json or report/data*.json"),
    "predict": (predict, "predict.json or report/predict*.json"),
    "models": (models, "models.json or benchmark.json"),
}
