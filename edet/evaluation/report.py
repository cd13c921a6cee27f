"""An evaluation in words and numbers on the terminal, 0-100 as the literature prints them."""

from __future__ import annotations

import html
from collections.abc import Sequence

import rich.box
import rich.markup
from rich.table import Table

from edet.evaluation.coco import EvaluationResult
from edet.terminal import Console

MEANINGS = {
    "AP": "IoU 0.50:0.95",
    "AP50": "IoU 0.50",
    "AP75": "IoU 0.75",
    "APs": "area below 32²",
    "APm": "area 32² to 96²",
    "APl": "area above 96²",
    "AR1": "1 detection per image",
    "AR10": "10 detections per image",
    "AR100": "100 detections per image",
    "ARs": "area below 32²",
    "ARm": "area 32² to 96²",
    "ARl": "area above 96²",
}


class Evaluated(dict):
    """What an evaluation found, ready for JSON; a notebook shows it as tables."""

    def _repr_html_(self) -> str:
        reasons = "".join(f"<p>{html.escape(reason)}</p>" for reason in self.get("diagnosis", []))
        metrics = [(name, percent(value), "") for name, value in self.get("metrics", {}).items()]
        classes = [
            (name, percent(ap), self["ground_truths"][name])
            for name, ap in self.get("per_class", {}).items()
        ]
        pixels = self.get("segmentation", {})
        metrics += [(name, percent(v), "") for name, v in pixels.get("metrics", {}).items()]
        masks = [(name, percent(value), "") for name, value in pixels.get("IoU", {}).items()]
        tables = (
            ("metric", "value", "", metrics), ("class", "AP", "objects", classes),
            ("class", "IoU", "", masks),
        )  # fmt: skip
        return reasons + "".join(_html_table(rows, *head) for *head, rows in tables if rows)


def _html_table(rows: Sequence[tuple[str, str, object]], *headings: str) -> str:
    head = "".join(f"<th>{html.escape(heading)}</th>" for heading in headings)
    body = "".join(
        "<tr>" + "".join(f"<td>{html.escape(str(cell))}</td>" for cell in row) + "</tr>"
        for row in rows
    )
    return f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"


def print_report(
    result: EvaluationResult, reasons: Sequence[str] = (), console: Console | None = None
) -> None:
    """Prints the twelve numbers, the AP of every class, and why AP is low if that is known.

    Args:
      result: an evaluation.
      reasons: sentences of edet.evaluation.diagnosis.diagnose.
      console: where to print; the terminal by default.
    """
    console = console or Console()
    console.print(metrics_table(result))
    console.print(class_table(result))
    for reason in reasons:
        console.print(f"• {reason}", style="yellow", markup=False, highlight=False)


def metrics_table(result: EvaluationResult) -> Table:
    """Returns the twelve numbers as a table, 0-100."""
    table = Table(
        title=f"COCO metrics of {result.images} images", box=rich.box.SIMPLE, title_justify="left"
    )
    table.add_column("metric")
    table.add_column("value", justify="right")
    table.add_column("of")
    for name, value in result.metrics.items():
        table.add_row(name, percent(value), MEANINGS[name])
    own = dict(result.own_limit)
    limit = own.pop("max_detections", 0)
    for name, value in own.items():
        meaning = f"{MEANINGS[name]}, with {limit} detections per image and class instead of 100"
        table.add_row(name, percent(value), meaning)
    return table


def class_table(result: EvaluationResult) -> Table:
    """Returns AP, ground-truth boxes and detections of every class as a table, AP 0-100."""
    table = Table(title="AP per class", box=rich.box.SIMPLE, title_justify="left")
    table.add_column("class")
    for column in ("AP", "ground truth", "detections"):
        table.add_column(column, justify="right")
    for name, value in result.per_class.items():
        counts = result.ground_truths[name], result.detections[name]
        table.add_row(rich.markup.escape(name), percent(value), *map(str, counts))
    return table


def percent(value: float) -> str:
    """Returns 0.3456 as "34.6", and COCO's -1 for no ground truth as a dash."""
    return "–" if value < 0 else f"{100 * value:.1f}"
