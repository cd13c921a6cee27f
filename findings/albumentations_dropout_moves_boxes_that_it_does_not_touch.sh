#!/usr/bin/env bash
# A dropout that hides a corner of the photo should change the boxes of objects that it covers. CoarseDropout and
# Erasing of albumentations cut every box of the photo down to whole pixels instead, after shares of the picture in
# float32, so that 304 may be 303.99999: sides go a pixel up, left or inwards, a fraction of a pixel is lost.
# A box around 4 x 4 pixels keeps an IoU of 0.63 with its object. A flip leaves the same boxes exact.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv venv
venv/bin/pip install --quiet albumentations==2.0.8 numpy==2.4.6 opencv-python-headless==5.0.0.93 scipy==1.17.1 pydantic==2.14.4
NO_ALBUMENTATIONS_UPDATE=1 venv/bin/python - <<'PY' 2> log || { code=$?; cat log; exit "$code"; }
import importlib.metadata, sys
import albumentations as A
import numpy as np

GIVEN = [[300, 200, 304, 204], [410, 220, 426, 236], [33, 401, 49, 417], [100.6, 100.7, 111.4, 111.6]]
photo = np.zeros((480, 640, 3), np.uint8)


def through(*steps):
    """The boxes after the steps, and whether any pixel within them has changed."""
    settings = A.BboxParams("pascal_voc", label_fields=["number"])
    result = A.Compose(steps, bbox_params=settings, seed=1)(image=photo, bboxes=GIVEN, number=[0, 1, 2, 3])
    touched = any(result["image"][int(y0) : int(y1) + 1, int(x0) : int(x1) + 1].any() for x0, y0, x1, y1 in GIVEN)
    return np.round(result["bboxes"], 2).tolist(), touched, bool(result["image"].any())


def overlap(a, b):
    """IoU of two boxes."""
    width, height = (min(a[k + 2], b[k + 2]) - max(a[k], b[k]) for k in (0, 1))
    areas = [(box[2] - box[0]) * (box[3] - box[1]) for box in (a, b)]
    return width * height / (sum(areas) - width * height)


hole = A.CoarseDropout(num_holes_range=(1, 1), hole_height_range=(5, 5), hole_width_range=(5, 5), fill=255, p=1)
erased = A.Erasing(scale=(0.0005, 0.0005), ratio=(1, 1), fill=255, p=1)
flipped = through(A.HorizontalFlip(p=1), A.HorizontalFlip(p=1))[0]
print("albumentations", importlib.metadata.version("albumentations"))
print("given:          ", GIVEN)
print("two flips:      ", flipped)
results = [through(step) for step in (hole, erased)]
for step, (boxes, touched, _) in zip(("a hole elsewhere", "erased elsewhere"), results):
    print(f"{step}:", boxes, "IoU", [round(overlap(*pair), 2) for pair in zip(GIVEN, boxes)], "pixels changed:", touched)
moved = [[300, 199, 303, 204], [410, 220, 425, 236], [32, 401, 49, 416], [100, 100, 111, 111]]
sys.exit(0 if flipped == GIVEN and results == [(moved, False, True)] * 2 else 1)
PY
