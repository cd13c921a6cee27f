#!/usr/bin/env bash
# A YOLO line holds a box's centre; imantics writes its upper left corner there, with the right width and height.
# Every box of a set that is exported so lies half its own width to the left and half its height too high, overlaps its
# object by a quarter at most, and those of objects at the left or upper edge reach out of the picture.
# COCO and VOC of the same annotation come out right.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv venv
venv/bin/pip install --quiet imantics==0.1.12 lxml==6.1.3 numpy==2.4.6 opencv-python==5.0.0.93 xmljson==0.2.1
venv/bin/python - <<'PY' 2> log || { code=$?; cat log; exit "$code"; }
import importlib.metadata, sys
from imantics import Annotation, BBox, Category, Image

picture = Image(width=200, height=100)
box = BBox([20, 10, 60, 50])  # corners, of 40 x 40 pixels around (40, 30)
annotation = Annotation(image=picture, category=Category("cat", id=1), bbox=box)
picture.add(annotation)
(line,) = picture.yolo()
seen = [float(number) for number in line.split()[1:]]
print("imantics", importlib.metadata.version("imantics"))
print("COCO:", annotation.coco(include=False)["bbox"], "in a picture of 200 x 100")
print("YOLO: expected", [40 / 200, 30 / 100, 40 / 200, 40 / 100], "seen", seen)
sys.exit(0 if seen == [0.1, 0.1, 0.2, 0.4] else 1)
PY
