#!/usr/bin/env bash
# simple-cocotools offers itself as a simple alternative to pycocotools. Its IoU multiplies width and height of the
# overlap before it asks whether there is one: of two boxes that miss each other in both directions both are negative,
# and their product counts as overlap. It is divided by the box around both. So the farther apart the better: an object
# at the upper left is found by a box at the lower right, with an IoU of 0.96 and an mAP of 1. Nothing is said.
# Beside or below the object, where only one of the two is negative, such a box scores 0, as it should.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv venv
venv/bin/pip install --quiet --no-compile --no-deps simple-cocotools==1.0.2 numpy==2.4.6 scipy==1.17.1
venv/bin/python - <<'PY'
import importlib.metadata, sys
import numpy as np
from simple_cocotools import CocoEvaluator
from simple_cocotools.detections import Detection, box_iou

OBJECT = [0, 0, 10, 10]  # left, top, right and bottom, in a photo of 1000 x 1000 pixels
FOUND = {"on the object": [0, 0, 10, 10], "to the right of it": [990, 0, 1000, 10], "below it": [0, 990, 10, 1000],
         "below and to the right, near": [80, 80, 90, 90], "below and to the right, far": [990, 990, 1000, 1000]}


def measured(box):
    """Gives IoU, mAP and mAR of this box, the only one that is found, in a photo with one object."""
    evaluator = CocoEvaluator()
    evaluator.update([{"boxes": np.array([box]), "labels": np.array([1]), "scores": np.array([0.9])}],
                     [{"boxes": np.array([OBJECT]), "labels": np.array([1])}])
    scores = evaluator.accumulate()["box"]
    iou = box_iou(Detection(1, np.array(box)), Detection(1, np.array(OBJECT)))
    return tuple(round(float(value), 2) for value in (iou, scores["mAP"], scores["mAR"]))


print("simple-cocotools", importlib.metadata.version("simple-cocotools"), "- one object, one box; IoU, mAP and mAR:")
seen = {name: measured(box) for name, box in FOUND.items()}
for name, values in seen.items():
    print(f"{name}: expected {(1.0,) * 3 if name == 'on the object' else (0.0,) * 3}, seen {values}")
sys.exit(0 if list(seen.values()) == [(1, 1, 1), (0, 0, 0), (0, 0, 0), (0.6, 0.3, 0.3), (0.96, 1, 1)] else 1)
PY
