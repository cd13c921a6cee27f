#!/usr/bin/env bash
# extended_metrics of faster-coco-eval gives precision and recall at IoU 0.5, where an object is found once. It counts
# what is matched at any of the ten thresholds: a sure detection that lies loosely is matched up to IoU 0.6, a second
# one on the same object from 0.65, and both are true. Recall is 2.0 for one object; beside an object that nothing
# found, the double stands in for it, and recall is 1.0. What a crowd swallows counts as found, too. AP is right.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv venv
venv/bin/pip install --quiet faster-coco-eval==1.8.0 numpy==2.4.6
venv/bin/python - <<'PY' 2> log || { code=$?; cat log; exit "$code"; }
import contextlib, importlib.metadata, io, sys
from faster_coco_eval import COCO, COCOeval_faster

CAT, MISSED, CROWD = [10, 10, 40, 40], [200, 10, 40, 40], [100, 100, 150, 150]
LOOSE = [20, 10, 40, 40]  # IoU 0.6 with the cat


def evaluated(objects, detections):
    """AP at IoU 0.5, and precision and recall of the score that has the best F1, in one photo with cats."""
    truth = {
        "info": {},
        "images": [{"id": 1, "file_name": "a.jpg", "width": 300, "height": 300}],
        "categories": [{"id": 1, "name": "cat"}],
        "annotations": [
            {"id": place + 1, "image_id": 1, "category_id": 1, "bbox": box, "area": box[2] * box[3],
             "iscrowd": int(box is CROWD)} for place, box in enumerate(objects)],
    }
    found = [{"image_id": 1, "category_id": 1, "bbox": box, "score": score} for box, score in detections]
    with contextlib.redirect_stdout(io.StringIO()):
        data = COCO(truth)
        evaluation = COCOeval_faster(data, data.loadRes(found), "bbox", extra_calc=True)
        evaluation.evaluate(), evaluation.accumulate(), evaluation.summarize()
    told = evaluation.extended_metrics
    return round(float(evaluation.stats[1]), 2), round(told["precision"], 2), round(told["recall"], 2)


print("faster-coco-eval", importlib.metadata.version("faster-coco-eval"))
double = [(LOOSE, 0.9), (CAT, 0.8)]
cases = {
    "one cat, found twice": ([CAT], double, (1, 1, 1), (1, 1, 2)),
    "one found twice, one missed": ([CAT, MISSED], double, (0.5, 1, 0.5), (0.5, 1, 1)),
    "one cat, and one box within a crowd": ([CAT, CROWD], [(CAT, 0.9), ([110, 110, 40, 40], 0.8)], (1, 1, 1), (1, 1, 2)),
}
as_described = True
for name, (objects, detections, expected, wrong) in cases.items():
    seen = evaluated(objects, detections)
    print(f"{name}: AP50, precision and recall expected {expected}, seen {seen}")
    as_described = as_described and seen == wrong
sys.exit(0 if as_described else 1)
PY
