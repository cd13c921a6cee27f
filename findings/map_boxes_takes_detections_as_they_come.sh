#!/usr/bin/env bash
# Average precision matches the surest detection of an object first; map-boxes matches a photo's detections in the
# order of the rows and sorts by score only afterwards, so a weak double that stands before it takes the object from
# the best detection, which then counts as a false one. The same rows give AP 1.0 and 0.5, by their order.
# And detections in photos without objects, which should be false ones by default, are not counted at all.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv venv
venv/bin/pip install --quiet map-boxes==1.0.6 numpy==2.4.6 pandas==3.1.1 pycocotools==2.0.11
venv/bin/python - <<'PY' 2> log || { code=$?; cat log; exit "$code"; }
import contextlib, importlib.metadata, io, sys
from map_boxes import mean_average_precision_for_boxes
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

SIDES = {"cat": (10, 50, 20, 60), "double": (12, 50, 20, 60), "elsewhere": (100, 140, 20, 60)}  # xmin, xmax, ymin, ymax


def both(detections):
    """AP at IoU 0.5 of map-boxes and of pycocotools; photo 1 has one cat, photo 2 has nothing."""
    rows = [[str(photo), "cat", score, *SIDES[box]] for photo, box, score in detections]
    seen = mean_average_precision_for_boxes([["1", "cat", *SIDES["cat"]]], rows, iou_threshold=0.5, verbose=False)[0]
    corner = {name: [x0, y0, x1 - x0, y1 - y0] for name, (x0, x1, y0, y1) in SIDES.items()}
    cat = {"id": 1, "image_id": 1, "category_id": 1, "bbox": corner["cat"], "area": 1600, "iscrowd": 0}
    with contextlib.redirect_stdout(io.StringIO()):
        truth = COCO()
        truth.dataset = {"images": [{"id": 1}, {"id": 2}], "categories": [{"id": 1}], "annotations": [cat]}
        truth.createIndex()
        found = [{"image_id": photo, "category_id": 1, "bbox": corner[box], "score": score}
                 for photo, box, score in detections]
        evaluation = COCOeval(truth, truth.loadRes(found), "bbox")
        evaluation.evaluate(), evaluation.accumulate(), evaluation.summarize()
    return round(float(evaluation.stats[1]), 2), round(float(seen), 2)


print("map-boxes", importlib.metadata.version("map-boxes"))
sets = {
    "best first": [(1, "cat", 0.9), (1, "double", 0.2)],
    "the same, double first": [(1, "double", 0.2), (1, "cat", 0.9)],
    "a surer false one on photo 2": [(2, "elsewhere", 0.9), (1, "cat", 0.5)],
}
results = {name: both(detections) for name, detections in sets.items()}
for name, (expected, seen) in results.items():
    print(f"{name}: expected AP {expected}, as pycocotools; seen {seen}")
sys.exit(0 if list(results.values()) == [(1, 1), (1, 0.5), (0.5, 1)] else 1)
PY
