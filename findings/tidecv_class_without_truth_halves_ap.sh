#!/usr/bin/env bash
# TIDE's AP at IoU 0.5 should be COCO's; a class of which this split has no object, but one false
# detection, counts in its mean with an AP of 0, where pycocotools leaves the class out.
# The same detections score 1.00 and 0.50: a rare class makes a good model look half as good.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv venv
venv/bin/pip install --quiet tidecv==1.0.1 pycocotools==2.0.11
venv/bin/python - <<'PY'
import contextlib, importlib.metadata, io, json, pathlib, sys
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval
from tidecv import TIDE, datasets

pathlib.Path("truth.json").write_text(json.dumps({
    "images": [{"id": 1, "file_name": "a.jpg", "width": 200, "height": 100}],
    "categories": [{"id": 1, "name": "cat"}, {"id": 2, "name": "lynx"}],
    "annotations": [{"id": 1, "image_id": 1, "category_id": 1, "bbox": [10, 20, 30, 40],
                     "area": 1200, "iscrowd": 0,
                     "segmentation": [[10, 20, 40, 20, 40, 60, 10, 60]]}],
}))
pathlib.Path("found.json").write_text(json.dumps([
    {"image_id": 1, "category_id": 1, "bbox": [10, 20, 30, 40], "score": 0.9},
    {"image_id": 1, "category_id": 2, "bbox": [100, 20, 30, 40], "score": 0.1},
]))
with contextlib.redirect_stdout(io.StringIO()):
    truth = COCO("truth.json")
    evaluation = COCOeval(truth, truth.loadRes("found.json"), "bbox")
    evaluation.evaluate(), evaluation.accumulate(), evaluation.summarize()
    run = TIDE().evaluate(
        datasets.COCO("truth.json"), datasets.COCOResult("found.json"), mode=TIDE.BOX
    )
coco, tide = float(evaluation.stats[1]), run.ap / 100
print("tidecv", importlib.metadata.version("tidecv"))
print("expected: AP50 of pycocotools,", round(coco, 3))
print("seen:    ", round(tide, 3))
sys.exit(0 if abs(coco - 1) < 1e-6 and abs(tide - 0.5) < 0.01 else 1)
PY
