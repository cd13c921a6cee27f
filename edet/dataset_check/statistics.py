"""How many boxes of which class and size a data set holds, as JSON and as tables.

Shapes: n boxes of one image.
"""

from __future__ import annotations

import itertools
from collections import Counter
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import rich.box
from rich.markup import escape
from rich.table import Table

from edet.input.ground_truth import Annotations

AREAS = {"small": (0, 32**2), "medium": (32**2, 96**2), "large": (96**2, np.inf)}  # COCO's
SIDES = (0, 4, 8, 16, 32, 64, 128, 256, 512, 1024)  # pixels; the last bin is open
SIDE_EDGES = (*SIDES, np.inf)
SIDE_NAMES = [f"{low}-{high}" for low, high in itertools.pairwise(SIDES)] + [f"{SIDES[-1]}-"]

Summary = dict[str, Any]


@dataclass
class Statistics:
    """Figures of the images added so far."""

    crowd: int = 0
    per_image: Counter[int] = field(default_factory=Counter)  # {n: images that have n boxes}
    classes: Counter[int] = field(default_factory=Counter)  # boxes of a class
    class_images: Counter[int] = field(default_factory=Counter)  # images that show a class
    areas: Counter[str] = field(default_factory=Counter)
    heights: np.ndarray = field(default_factory=lambda: np.zeros(len(SIDES), np.int64))
    widths: np.ndarray = field(default_factory=lambda: np.zeros(len(SIDES), np.int64))

    def add(self, truth: Annotations, scales: float | np.ndarray = 1.0) -> None:
        """Counts one image; heights and widths are in its pixels times `scales`, areas are not."""
        class_ids, boxes = truth.class_ids.tolist(), truth.boxes * scales
        self.crowd += int(truth.is_crowd.sum())
        self.per_image[len(class_ids)] += 1
        self.classes.update(class_ids)
        self.class_images.update(set(class_ids))
        for name, (low, high) in AREAS.items():
            self.areas[name] += int(((truth.areas >= low) & (truth.areas < high)).sum())
        self.heights += np.histogram(boxes[:, 2] - boxes[:, 0], SIDE_EDGES)[0]
        self.widths += np.histogram(boxes[:, 3] - boxes[:, 1], SIDE_EDGES)[0]

    def summary(self, names: dict[int, str]) -> Summary:
        """Returns the figures, ready for JSON, under the names that the tables show."""
        return {
            "images": self.per_image.total(),
            "images without boxes": self.per_image.get(0, 0),
            "boxes": self.classes.total(),
            "crowd boxes": self.crowd,
            "median boxes in an image": _median(self.per_image),
            "most boxes in an image": max(self.per_image, default=0),
            "boxes per image": {str(n): self.per_image[n] for n in sorted(self.per_image)},
            "classes": [
                {
                    "id": class_id,
                    "name": names.get(class_id, ""),
                    "boxes": self.classes[class_id],
                    "images": self.class_images[class_id],
                }
                for class_id in sorted({*self.classes, *names})
            ],
            "areas": dict(self.areas),
            "heights": dict(zip(SIDE_NAMES, self.heights.tolist(), strict=True)),
            "widths": dict(zip(SIDE_NAMES, self.widths.tolist(), strict=True)),
        }


def _median(counts: Counter[int]) -> int:
    """The middle one of all values, the lower of two."""
    values = sorted(counts.elements())
    return values[(len(values) - 1) // 2] if values else 0


def statistics_tables(summaries: dict[str, Summary], pixels: str) -> list[Table]:
    """Returns the figures of one or more data sets side by side.

    Args:
      summaries: {name of the set: `Statistics.summary`}; one set alone may have an empty name.
      pixels: of what heights and widths are, such as "pixels of the image".
    """
    sets = list(summaries.values())
    counts = _table("Records", summaries, "", "")
    for name, value in sets[0].items():
        if isinstance(value, int):
            counts.add_row(name, *(f"{summary[name]:,}" for summary in sets))
    classes = _table("Boxes by class", summaries, "class", "boxes", "images")
    rows = [{row["id"]: row for row in summary["classes"]} for summary in sets]
    for class_id in sorted({*itertools.chain(*rows)}):
        found = [by_id.get(class_id, {"boxes": 0, "images": 0}) for by_id in rows]
        name = next(by_id[class_id]["name"] for by_id in rows if class_id in by_id)
        cells = (f"{row[key]:,}" for row in found for key in ("boxes", "images"))
        classes.add_row(f"{class_id} {escape(name)}", *cells)
    areas = _table("Boxes by area (COCO's sizes, original pixels)", summaries, "size", "boxes")
    for name in AREAS:
        areas.add_row(name, *(f"{summary['areas'].get(name, 0):,}" for summary in sets))
    sides = _table(f"Boxes by side in {pixels}", summaries, "side", "by height", "by width")
    for name in SIDE_NAMES:
        cells = (f"{summary[key][name]:,}" for summary in sets for key in ("heights", "widths"))
        sides.add_row(name, *cells)
    return [counts, classes, areas, sides]


def _table(title: str, summaries: dict[str, Summary], first: str, *columns: str) -> Table:
    """An empty table with the same columns for every set."""
    table = simple_table(title, first)
    for name, column in itertools.product(summaries, columns):
        table.add_column(f"{name} {column}".strip() or "number", justify="right")
    return table


def simple_table(title: str, first: str) -> Table:
    """Returns an empty table whose first column is never broken."""
    table = Table(title=title, title_justify="left", box=rich.box.SIMPLE, pad_edge=False)
    table.add_column(first, no_wrap=True)
    return table
