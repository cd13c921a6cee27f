"""Figures 7 and 8: length of training and scale jitter, on COCO in the paper, on blood cells here.

docs/paper/recipes.json keeps the sweep.json that tools/sweep.py wrote of each sweep trained here,
by the name of its file in configs/paper/recipes.
"""

from __future__ import annotations

import os
from typing import Any

from edet.cli.sweep import cells
from edet.files import read_json

_ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
RESULTS = os.path.join(_ROOT, "docs", "paper", "recipes.json")

# The numbers printed in the figures (version 7): COCO val AP.
FIGURE_7 = {  # epochs: (EfficientDet-D1, RetinaNet-R50)
    30: (34.6, 35.5),
    90: (38.2, 37.9),
    300: (40.2, 39.2),
    600: (40.5, 39.5),
}
FIGURE_8 = {  # jitter: (EfficientDet-D1 after 300 epochs, after 30)
    "none": (36.8, 32.2),
    "0.8-1.2": (38.1, 34.7),
    "0.5-1.5": (39.1, 35.3),
    "0.1-2.0": (40.2, 34.6),
}
_STEPS = {30: 15, 90: 45, 300: 150, 600: 300}  # epochs of the paper: steps here

Sweeps = dict[str, dict[str, Any]]  # the sweep's name -> its sweep.json


def read() -> Sweeps:
    """Returns what was found here.

    Raises:
      UserError: the file is missing or is not JSON.
    """
    return read_json(RESULTS, "results of the recipes")


def figure_7(found: Sweeps) -> list[list[str]]:
    """Returns headings and rows: lengths of training."""
    rows = [["epochs: paper", "AP of D1 on COCO: paper", "AP of RetinaNet-R50: paper",
             "steps here", "AP of Lite0 on blood cells: here", "AP50",
             "AP of RetinaNet-R50: here", "AP50"]]  # fmt: skip
    for epochs, (d1, r50) in FIGURE_7.items():
        point = f"{_STEPS[epochs]} steps"
        here = [*_cells(found, "bccd_epochs", point), *_cells(found, "bccd_retinanet", point)]
        rows.append([str(epochs), str(d1), str(r50), str(_STEPS[epochs]), *here])
    return rows


def figure_8(found: Sweeps) -> list[list[str]]:
    """Returns headings and rows: strengths of jitter."""
    rows = [["jitter", "AP of D1 on COCO after 300 epochs: paper", "after 30 epochs: paper",
             "AP of Lite0 on blood cells after 150 steps: here", "AP50"]]  # fmt: skip
    for jitter, (long, short) in FIGURE_8.items():
        rows.append([jitter, str(long), str(short), *_cells(found, "bccd_jitter", jitter)])
    return rows


def _cells(found: Sweeps, sweep: str, point: str) -> list[str]:
    """Returns AP and AP50 over the seeds; a dash if not trained."""
    result = found.get(sweep, {}).get(point)
    return ["–", "–"] if result is None else cells(result)
