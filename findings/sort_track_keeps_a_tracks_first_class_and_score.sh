#!/usr/bin/env bash
# A tracker gives each box its detection's class and score, and the number of its track. sort-track takes detections
# with classes, but matches boxes alone, and returns the class and the score that the track began with, for ever.
# A cat first seen from afar as a dog of 0.31 stays one, however sure the detector is later: counts by class and
# thresholds after the tracker are those of first frames.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv venv
venv/bin/pip install --quiet setuptools==80.9.0 wheel==0.45.1 numpy==1.26.4 scipy==1.16.3 matplotlib==3.11.2
venv/bin/pip install --quiet --no-build-isolation --no-deps filterpy==1.4.5 sort-track==0.0.8
venv/bin/python - <<'PY' 2> log || { code=$?; cat log; exit "$code"; }
import importlib.metadata, sys
import numpy as np
from sort.tracker import SortTracker

# x1, y1, x2, y2, score, class of one object in five frames; the detector takes a cat (1) for a dog (2) at first
frames = [[100, 100, 160, 160, score, kind] for score, kind in ((0.31, 2), (0.6, 1), (0.9, 1), (0.95, 1), (0.97, 1))]
tracker = SortTracker()
seen = []
for row in frames:
    found = tracker.update(np.array([row]), None)
    seen.append([(int(k[5]), round(float(k[6]), 2)) for k in found])
expected = [[(row[5], row[4])] for row in frames]
print("sort-track", importlib.metadata.version("sort-track"))
print("class and score in each frame")
print("expected:", expected)
print("seen:    ", seen)
sys.exit(0 if seen == [[(2, 0.31)]] * 5 else 1)
PY
