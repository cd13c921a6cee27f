#!/usr/bin/env bash
# bbox-utils finds the centre of a box by whole halves of its sides and rounds it to whole pixels. Its YOLO lines hold
# the right width and height beside that centre, so a box of odd width stands half a pixel too far to the left, one of
# odd height half a pixel too high. YOLO's numbers need not be whole, and do not come back: from_yolo and to_yolo of
# the same picture give another box. A ball of 5 x 5 pixels keeps an IoU of 0.68 with its box.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv venv
venv/bin/pip install --quiet bbox-utils==0.1.1 numpy==2.4.6
venv/bin/python - <<'PY' 2> log || { code=$?; cat log; exit "$code"; }
import importlib.metadata, sys
import numpy as np
from bbox_utils import BoundingBox

HEIGHT, WIDTH = 100, 200


def pixels(line):
    """Corners in pixels of a YOLO box."""
    x, y, w, h = np.asarray(line) * [WIDTH, HEIGHT, WIDTH, HEIGHT]
    return [round(float(side), 2) for side in (x - w / 2, y - h / 2, x + w / 2, y + h / 2)]


def iou(a, b):
    width, height = min(a[2], b[2]) - max(a[0], b[0]), min(a[3], b[3]) - max(a[1], b[1])
    return width * height / ((a[2] - a[0]) * (a[3] - a[1]) + (b[2] - b[0]) * (b[3] - b[1]) - width * height)


print("bbox-utils", importlib.metadata.version("bbox-utils"))
seen = {}
for name, box in {"even": [40, 30, 44, 36], "odd": [40, 30, 45, 35]}.items():
    line = BoundingBox.from_xyxy(np.array(box[:2]), np.array(box[2:])).to_yolo((HEIGHT, WIDTH))
    seen[name] = pixels(line)
    print(f"{name} sides: box {box}, its YOLO line says {seen[name]}, IoU {iou(box, seen[name]):.2f}")
given = np.array([0.2125, 0.325, 0.025, 0.05])
back = BoundingBox.from_yolo(given[:2], given[2], given[3], (HEIGHT, WIDTH)).to_yolo((HEIGHT, WIDTH))
print("YOLO line", given.tolist(), "comes back as", [float(value) for value in back])
moved = back.round(6).tolist() == [0.21, 0.32, 0.025, 0.05]
sys.exit(0 if moved and seen == {"even": [40, 30, 44, 36], "odd": [39.5, 29.5, 44.5, 34.5]} else 1)
PY
