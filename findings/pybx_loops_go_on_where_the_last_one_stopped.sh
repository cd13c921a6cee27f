#!/usr/bin/env bash
# A list of boxes can be gone through again and again. pybx's MultiBx is its own iterator and keeps its place: a loop
# that is left early, by break, any or next, makes the following one begin in the middle. Asked twice whether one of
# three boxes lies on a given place, it says no of a box that it holds. What matches detections to objects so skips
# boxes, without an error, and its next answer is right again.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv venv
venv/bin/pip install --quiet --no-compile numpy==2.4.6 fastcore==1.8.17
venv/bin/pip install --quiet --no-deps pybx==0.7.0 # the rest of what it asks for draws boxes
venv/bin/python - <<'PY' 2> log || { code=$?; cat log; exit "$code"; }
import importlib.metadata, sys
from pybx.basics import mbx

rows = [[0, 0, 10, 10, "cat"], [30, 0, 40, 10, "dog"], [50, 50, 60, 60, "bird"]]
boxes = mbx(rows)


def holds(place):
    """Whether a box of the three lies on the place."""
    return any(box.iou(place) > 0.5 for box in boxes)


print("pybx", importlib.metadata.version("pybx"))
seen = []
for row in (rows[1], rows[0], rows[0]):
    seen.append(holds(row[:4]))
    print(f"is there a box on {row[:4]}, the {row[4]}'s? expected True, seen {seen[-1]}")
after = [box.label[0] for box in boxes]
print("a loop over all of them after that: expected ['cat', 'dog', 'bird'], seen", after)
sys.exit(0 if seen == [True, False, True] and after == ["dog", "bird"] else 1)
PY
