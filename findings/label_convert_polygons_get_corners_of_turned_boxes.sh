#!/usr/bin/env bash
# The COCO box of a polygon is its bounds; label_convert's labelme_to_coco takes the smallest turned rectangle around
# the polygon instead, and writes two opposite corners of it as if they were those of an upright box.
# A square on its corner gets a box of height 0, a pencil that lies at a slant one of negative height, a slanted car
# a box that is too low; only polygons with upright sides come out right, and nothing is said.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv venv
venv/bin/pip install --quiet label-convert==0.3.0 numpy==2.4.6 opencv-python-headless==5.0.0.93 opencv-python==5.0.0.93 \
  tqdm==4.70.1 PyYAML==6.0.4
venv/bin/python - <<'PY' 2> log || { code=$?; cat log; exit "$code"; }
import importlib.metadata, json, pathlib, sys
import cv2
import numpy as np
from label_convert.labelme_to_coco import LabelmeToCOCO

polygons = {
    "upright square": [[110, 20], [150, 20], [150, 60], [110, 60]],
    "square on its corner": [[50, 10], [90, 50], [50, 90], [10, 50]],
    "pencil": [[20, 80], [30, 90], [100, 20], [90, 10]],
    "slanted car": [[20, 40], [100, 20], [110, 60], [30, 80]],
}
folder = pathlib.Path("labelme")
folder.mkdir()
cv2.imwrite("labelme/a.jpg", np.zeros((100, 200, 3), np.uint8))
shapes = [{"label": name, "points": points, "shape_type": "polygon"} for name, points in polygons.items()]
content = {"imagePath": "a.jpg", "imageHeight": 100, "imageWidth": 200, "shapes": shapes}
(folder / "a.json").write_text(json.dumps(content))
LabelmeToCOCO("labelme", "coco", val_ratio=0)()
with open("coco/annotations/instances_train2017.json") as file:
    written = json.load(file)
names = {item["id"]: item["name"] for item in written["categories"]}
seen = {names[item["category_id"]]: item["bbox"] for item in written["annotations"]}
print("label_convert", importlib.metadata.version("label-convert"))
for name, points in polygons.items():
    low, high = np.min(points, axis=0), np.max(points, axis=0)
    print(f"{name}: expected {[*low.tolist(), *(high - low).tolist()]}, seen {seen[name]}")
as_seen = {
    "upright square": [110, 20, 40, 40],
    "square on its corner": [10, 50, 80, 0],
    "pencil": [20, 80, 80, -60],
    "slanted car": [19, 40, 91, 20],
}
sys.exit(0 if seen == as_seen else 1)
PY
