#!/usr/bin/env bash
# bbox-utility's Converter makes COCO files of tables of boxes. It computes in float32 and then cuts the fractions off,
# so that 10 pixels of a YOLO line, which come out as 9.9999, become 9: of boxes that were drawn in whole pixels about
# one in nine has a side or a width too small by one, at no size that can be told beforehand. Boxes between pixels lose
# up to two pixels on the right and below, since corner and width are cut apart. Objects below a pixel have width 0.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv venv
venv/bin/pip install --quiet numpy==2.4.6 pandas==2.3.3 numba==0.68.1 opencv-python-headless==5.0.0.93 tqdm==4.70.1 \
  loguru==0.7.3
venv/bin/pip install --quiet --no-deps bbox-utility==1.0.13 # it asks for OpenCV with windows
venv/bin/python - <<'PY' 2> log || { code=$?; cat log; exit "$code"; }
import importlib.metadata, sys
import numpy as np
import pandas as pd
from bbox.coco import Converter

WIDTH, HEIGHT = 200, 100
drawn = [[x, 20, w, 30] for x in range(1, 13) for w in range(4, 60)]  # COCO boxes, all whole
lines = [[(x + w / 2) / WIDTH, (y + h / 2) / HEIGHT, w / WIDTH, h / HEIGHT] for x, y, w, h in drawn]


def converted(boxes, format):
    table = pd.DataFrame([{"image_id": "a.jpg", "height": HEIGHT, "width": WIDTH, "annotations": np.array(boxes),
                           "category_ids": [0] * len(boxes)}])
    file = Converter(table, categories=[{"id": 0, "name": "cat"}], format=format).convert(table)
    return [annotation["bbox"] for annotation in file["annotations"]]


seen = converted(lines, "yolo")
other = [(box, came) for box, came in zip(drawn, seen) if box != came]
print("bbox-utility", importlib.metadata.version("bbox-utility"))
print(f"whole boxes that came back as others: {len(other)} of {len(drawn)}, such as {other[0][0]} as {other[0][1]}")
between = converted([[10.9, 20.9, 5.9, 5.9]], "coco")
print("[10.9, 20.9, 5.9, 5.9], which ends at 16.8, came as", between[0], "which ends at", between[0][0] + between[0][2])
smaller = all(came[k] in (box[k], box[k] - 1) for box, came in other for k in range(4))
sys.exit(0 if len(other) > len(drawn) // 20 and smaller and between == [[10, 20, 5, 5]] else 1)
PY
