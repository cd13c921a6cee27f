#!/usr/bin/env bash
# What is given in label_fields should come back as it was; numbers come back as float32, so COCO's
# own annotation ids (twelve digits) or any id over 16,777,216 return as other ids.
# Boxes that are looked up by id afterwards (area, iscrowd, a track) get those of no object, or of another.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv venv
venv/bin/pip install --quiet albumentations==2.0.8
NO_ALBUMENTATIONS_UPDATE=1 venv/bin/python - <<'PY'
import sys
import albumentations
import numpy as np

ids = [900100258187, 20000001, 20000002]  # the first is one of COCO 2017's
flip = albumentations.Compose(
    [albumentations.HorizontalFlip(p=1)],
    bbox_params=albumentations.BboxParams("coco", label_fields=["ids"]),
)
boxes = [[10, 20, 30, 40], [50, 20, 30, 40], [90, 20, 30, 40]]
seen = flip(image=np.zeros((100, 200, 3), np.uint8), bboxes=boxes, ids=ids)["ids"]
print("albumentations", albumentations.__version__)
print("expected:", ids)
print("seen:    ", [int(value) for value in seen])
sys.exit(0 if [int(value) for value in seen] == [900100259840, 20000000, 20000002] else 1)
PY
