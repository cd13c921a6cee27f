#!/usr/bin/env bash
# keras.layers.RandomCrop with bounding_box_format should move boxes as it moves pixels; it takes the
# rows that were cut off from x and the columns from y, so boxes end up beside their objects.
# A detector trained with it learns wrong places, unless every crop happens to cut off equally much.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv venv
venv/bin/pip install --quiet keras==3.15.1 tensorflow-cpu==2.21.0
TF_CPP_MIN_LOG_LEVEL=3 KERAS_BACKEND=tensorflow venv/bin/python - <<'PY'
import sys
import keras
import numpy as np

height, width, box = 120, 200, [80, 50, 100, 65]  # xyxy: wholly inside every crop of 80 x 160
picture = np.zeros((1, height, width, 3), "float32")
picture[:, box[1] : box[3], box[0] : box[2]] = 255
rows = []
for seed in range(10):
    layer = keras.layers.RandomCrop(80, 160, seed=seed, bounding_box_format="xyxy")
    boxes = {"boxes": np.array([[box]], "float32"), "labels": np.array([[1]])}
    result = layer({"images": picture, "bounding_boxes": boxes}, training=True)
    ys, xs = np.nonzero(np.asarray(result["images"])[0, :, :, 0])
    painted = [int(xs.min()), int(ys.min()), int(xs.max()) + 1, int(ys.max()) + 1]
    given = [int(side) for side in np.asarray(result["bounding_boxes"]["boxes"])[0, 0]]
    left, top = box[0] - painted[0], box[1] - painted[1]
    swapped = [max(a - b, 0) for a, b in zip(box, (top, left, top, left))]
    rows.append((painted, given, given == swapped, left == top))
print("keras", keras.__version__)
for painted, given, _, _ in rows[:3]:
    print("expected box, where the object is:", painted, " seen:", given)
moved = [row for row in rows if not row[3]]
wrong = [row for row in moved if row[0] != row[1] and row[2]]
print(f"{len(wrong)} of {len(moved)} crops that cut off unequally moved the box along the other axis")
sys.exit(0 if moved and len(wrong) == len(moved) else 1)
PY
