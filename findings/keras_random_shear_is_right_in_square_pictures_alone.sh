#!/usr/bin/env bash
# keras.layers.RandomShear with bounding_box_format should move boxes as it moves pixels; it shears the boxes as
# shares of the picture, by the factor that is meant for pixels, so shifts in x are width / height times too large
# and shifts in y too small by as much. Along one axis boxes fit in square pictures, and in no others.
# A detector trained on photos of 640 x 480 learns boxes beside its objects, the more the further from the corner.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv venv
venv/bin/pip install --quiet keras==3.15.1 tensorflow-cpu==2.21.0
TF_CPP_MIN_LOG_LEVEL=3 TF_ENABLE_ONEDNN_OPTS=0 KERAS_BACKEND=tensorflow venv/bin/python - <<'PY'
import sys
import keras
import numpy as np


def furthest(height, width, x_factor, y_factor):
    """The largest distance of a side from the object's pixels in ten draws, in pixels."""
    box = [width * 2 // 5, height * 2 // 5, width * 11 // 20, height * 3 // 5]  # xyxy, near the middle
    picture = np.zeros((1, height, width, 3), "float32")
    picture[:, box[1] : box[3], box[0] : box[2]] = 255
    rows = []
    for seed in range(10):
        layer = keras.layers.RandomShear(
            x_factor, y_factor, fill_mode="constant", seed=seed, bounding_box_format="xyxy"
        )
        boxes = {"boxes": np.array([[box]], "float32"), "labels": np.array([[1]])}
        result = layer({"images": picture, "bounding_boxes": boxes}, training=True)
        ys, xs = np.nonzero(np.asarray(result["images"])[0, :, :, 0] > 60)
        painted = np.array([xs.min(), ys.min(), xs.max() + 1, ys.max() + 1])
        given = np.asarray(result["bounding_boxes"]["boxes"])[0, 0]
        rows.append((np.abs(given - painted).max(), painted.tolist(), [round(float(side), 1) for side in given]))
    return max(rows)


print("keras", keras.__version__)
print("expected: sides within 2 pixels of the object, whatever the picture's shape")
far = {}
for name, factors in {"x": (0.3, 0.0), "y": (0.0, 0.3)}.items():
    for height, width in ((200, 200), (100, 200), (200, 100)):
        distance, painted, given = furthest(height, width, *factors)
        far[name, height == width] = min(distance, far.get((name, height == width), np.inf))
        print(f"seen: {width} x {height} sheared along {name}: within {distance:.1f} pixels,",
              f"object {painted}, box {given}")
right = all(distance < 2 for (_, square), distance in far.items() if square)
wrong = all(distance > 8 for (_, square), distance in far.items() if not square)
sys.exit(0 if right and wrong else 1)
PY
