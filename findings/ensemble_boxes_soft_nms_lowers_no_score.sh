#!/usr/bin/env bash
# Soft-NMS keeps overlapping boxes with lower scores; soft_nms of ensemble_boxes works the lower scores out,
# uses them to drop boxes below thresh, and returns the rest with the scores that they came with.
# By default next to nothing is dropped, so two models' boxes come back as they were: the second box of an
# object stays ahead of other objects, each a false detection of high score.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv venv
venv/bin/pip install --quiet ensemble-boxes==1.0.9 numpy==2.4.6
venv/bin/python - <<'PY'
import importlib.metadata, math, sys
import numpy as np
from ensemble_boxes import soft_nms

cat, again, dog = [0.1, 0.1, 0.5, 0.5], [0.1, 0.1, 0.5, 0.46], [0.6, 0.6, 0.9, 0.9]
boxes, scores, labels = [[cat], [again, dog]], [[0.9], [0.8, 0.5]], [[0], [0, 0]]
iou = 0.36 / 0.4
lowered = [0.9, 0.5, 0.8 * math.exp(-iou * iou / 0.5)]  # cat, dog, the cat again
_, gaussian, _ = soft_nms(boxes, scores, labels, method=2, sigma=0.5)
_, linear, _ = soft_nms(boxes, scores, labels, method=1, iou_thr=0.5)
print("ensemble_boxes", importlib.metadata.version("ensemble-boxes"))
print("expected: Gaussian", np.round(lowered, 2), "linear", np.round([0.9, 0.5, 0.8 * (1 - iou)], 2))
print("seen:     Gaussian", np.sort(gaussian)[::-1], "linear", np.sort(linear)[::-1])
same = all(np.allclose(np.sort(seen), [0.5, 0.8, 0.9]) for seen in (gaussian, linear))
sys.exit(0 if same else 1)
PY
