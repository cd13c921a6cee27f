#!/usr/bin/env bash
# pyodi's train_config_evaluation measures how well anchors fit the objects of a set. It lays its grid of anchors with
# width and height exchanged: for an input of 1280 x 720 over 704 x 1280 pixels, so that objects to the right of that
# meet no anchor at all. Of three equal cars side by side, each exactly on an anchor, the rightmost has an overlap of 0,
# and the same photo stands upright with every object well covered. Who tunes anchors by its plots tunes for the left.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv venv
venv/bin/pip install --quiet numpy==2.4.6 pandas==2.3.3 pycocotools==2.0.11 loguru==0.7.3 numba==0.68.1 \
  scikit-learn==1.9.1 plotly==7.1.0
venv/bin/pip install --quiet --no-deps pyodi==0.0.9 # it asks for a scikit-learn that has no wheel for this Python
venv/bin/python - <<'PY' 2> log || { code=$?; cat log; exit "$code"; }
import importlib.metadata, json, pathlib, sys
from pyodi.apps.train_config.train_config_evaluation import train_config_evaluation
from pyodi.core.boxes import get_scale_and_ratio, scale_bbox_dimensions
from pyodi.core.utils import coco_ground_truth_to_df

ANCHORS = {"scales": [2], "ratios": [1.0], "strides": [32]}  # squares of 64 pixels around every 32nd pixel


def overlaps(size, corners):
    """Each object's best overlap with an anchor, as the plots show them."""
    objects = [{"id": k, "image_id": 1, "category_id": 1, "bbox": [x, y, 64, 64], "area": 4096, "iscrowd": 0}
               for k, (x, y) in enumerate(corners, 1)]
    photo = {"id": 1, "file_name": "a.jpg", "width": size[0], "height": size[1]}
    content = {"images": [photo], "annotations": objects, "categories": [{"id": 1, "name": "car"}]}
    pathlib.Path("truth.json").write_text(json.dumps(content))
    table = scale_bbox_dimensions(coco_ground_truth_to_df("truth.json"), input_size=size)
    table = get_scale_and_ratio(table, prefix="scaled")
    train_config_evaluation(table, {"anchor_generator": dict(ANCHORS)}, input_size=size, show=False)
    return [round(float(value), 2) for value in table["overlaps"]]


print("pyodi", importlib.metadata.version("pyodi"))
lying = overlaps((1280, 720), [(96, 96), (608, 96), (1120, 96)])
print("1280 x 720, cars at x 96, 608 and 1120: expected 1.0 for each, seen", lying)
standing = overlaps((720, 1280), [(96, 96), (96, 608), (96, 1120)])
print("720 x 1280, cars at y 96, 608 and 1120: expected 1.0 for each, seen", standing)
sys.exit(0 if lying == [1.0, 1.0, 0.0] and standing == [1.0, 1.0, 0.0] else 1)
PY
