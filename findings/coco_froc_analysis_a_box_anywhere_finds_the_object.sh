#!/usr/bin/env bash
# A FROC curve shows the share of objects that are found over the false detections of a photo. coco-froc-analysis pairs
# objects and detections of a photo by the least cost, and a pair that does not match costs a million; but it counts
# every pair as found, whatever it costs. So a detection at the other end of the photo finds the object, by centres and
# at any IoU: a detector that never meets an object has a sensitivity of 1 and no false detections. Nothing is said.
# What is right is a photo with more detections than objects: what is left over there counts as false.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv venv
venv/bin/pip install --quiet --no-deps coco-froc-analysis==0.2.15 numpy==2.4.6 scipy==1.17.1 matplotlib==3.11.2 tqdm==4.70.1 \
  contourpy==1.3.3 cycler==0.12.1 fonttools==4.68.0 kiwisolver==1.5.1 packaging==26.4 pillow==12.3.0 pyparsing==3.3.3 \
  python-dateutil==2.9.0.post0 six==1.17.0
venv/bin/python - <<'PY'
import importlib.metadata, sys
from coco_froc_analysis.froc.froc_curve import calc_scores, froc_point

FAR = [300, 300, 20, 20]
truth = {"images": [{"id": k, "file_name": f"{k}.jpg", "width": 400, "height": 400} for k in (1, 2)],
         "categories": [{"id": 1, "name": "cat"}],
         "annotations": [{"id": k, "image_id": k, "category_id": 1, "bbox": [10, 10, 20, 20], "area": 400, "iscrowd": 0}
                         for k in (1, 2)]}


def measured(boxes, by_iou):
    """Gives the share of objects found, and the false detections of a photo, of these boxes in each photo."""
    found = [{"image_id": k, "category_id": 1, "bbox": box, "score": 0.9} for k in (1, 2) for box in boxes]
    shares, false = calc_scores(froc_point(truth, found, 0.5, by_iou, 0.5), {}, {})
    return shares[1][0], false[1][0]


print("coco-froc-analysis", importlib.metadata.version("coco-froc-analysis"))
print("one object in each of two photos, at the upper left; found at 0.5, false detections of a photo:")
seen = {(name, by_iou): measured(boxes, by_iou)
        for name, boxes in {"right": [[10, 10, 20, 20]], "far": [FAR], "both": [FAR, [10, 10, 20, 20]]}.items()
        for by_iou in (False, True)}
expected = {"right": (1.0, 0.0), "far": (0.0, 1.0), "both": (1.0, 1.0)}
for (name, by_iou), pair in seen.items():
    print(f"{name}, by {'IoU' if by_iou else 'centre'}: expected {expected[name]}, seen {pair}")
as_described = all(pair == ((1.0, 0.0) if name == "far" else expected[name]) for (name, _), pair in seen.items())
sys.exit(0 if as_described else 1)
PY
