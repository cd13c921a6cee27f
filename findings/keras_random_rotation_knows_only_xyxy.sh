#!/usr/bin/env bash
# keras.layers.RandomRotation and RandomPerspective take a bounding_box_format as RandomFlip does, and
# with "xyxy" boxes follow the pixels; with "xywh" the same photo, seed and object get boxes far away.
# RandomRotation turns the numbers as if they were xyxy, without a word: COCO's boxes train wrongly.
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

height, width, box = 120, 200, [80, 50, 110, 70]  # xyxy
picture = np.zeros((1, height, width, 3), "float32")
picture[:, box[1] : box[3], box[0] : box[2]] = 255
forms = {"xyxy": box, "xywh": [80, 50, 30, 20]}
makers = {
    "RandomFlip": lambda **more: keras.layers.RandomFlip("horizontal", **more),
    "RandomRotation": lambda **more: keras.layers.RandomRotation(0.1, fill_mode="constant", **more),
    "RandomPerspective": lambda **more: keras.layers.RandomPerspective(scale=0.3, **more),
}


def furthest(make, form):
    """The largest distance of a side from the object's pixels in ten draws."""
    distances = []
    for seed in range(10):
        layer = make(seed=seed, bounding_box_format=form)
        boxes = {"boxes": np.array([[forms[form]]], "float32"), "labels": np.array([[1]])}
        result = layer({"images": picture, "bounding_boxes": boxes}, training=True)
        ys, xs = np.nonzero(np.asarray(result["images"])[0, :, :, 0] > 127)
        painted = np.array([xs.min(), ys.min(), xs.max() + 1, ys.max() + 1])
        seen = np.asarray(result["bounding_boxes"]["boxes"])[0, 0]
        if form == "xywh":
            seen = np.concatenate([seen[:2], seen[:2] + seen[2:]])
        distances.append(np.abs(seen - painted).max())
    return float(max(distances))


print("keras", keras.__version__)
print("expected: sides within 3 pixels of the object, whatever the format")
far = {}
for name, make in makers.items():
    far[name] = [furthest(make, form) for form in forms]
    print(f"seen: {name}: xyxy within {far[name][0]:.1f}, xywh within {far[name][1]:.1f} pixels")
turned = far["RandomRotation"], far["RandomPerspective"]
surprise = max(far["RandomFlip"]) < 3 and all(a < 3 and b > 20 for a, b in turned)
sys.exit(0 if surprise else 1)
PY
