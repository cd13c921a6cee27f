#!/usr/bin/env bash
# torchmetrics' coco_to_tm reads COCO's truth and detections "in the input format of this metric", but goes through
# the photos that have objects: what was found in others, all of it false, is left out, and AP rises. Its boxes are
# x, y, width, height, which MeanAveragePrecision() takes for corners: the same detections score 0 there, without a word.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv venv
venv/bin/pip install --quiet --no-compile torch==2.13.0 numpy==2.4.6 pillow==13.0.0 packaging==26.4 \
  lightning-utilities==0.15.3 pycocotools==2.0.11
venv/bin/pip install --quiet --no-compile --no-deps torchvision==0.28.0 torchmetrics==1.9.0
venv/bin/python - <<'PY' 2> log || { code=$?; cat log; exit "$code"; }
import contextlib, importlib.metadata, io, json, pathlib, sys
import torch

try:
    import torchvision
except RuntimeError:  # its compiled operators are for another build of torch; AP of boxes has no need of them
    operators = torch.library.Library("torchvision", "DEF")
    operators.define("nms(Tensor boxes, Tensor scores, float threshold) -> Tensor")
    operators.define("qnms(Tensor boxes, Tensor scores, float threshold) -> Tensor")
    import torchvision
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval
from torchmetrics.detection import MeanAveragePrecision

cat = {"image_id": 1, "category_id": 1, "bbox": [60, 60, 20, 20]}
pathlib.Path("truth.json").write_text(json.dumps({
    "info": {},
    "images": [{"id": number, "file_name": f"{number}.jpg", "width": 100, "height": 100} for number in (1, 2)],
    "categories": [{"id": 1, "name": "cat"}],
    "annotations": [{"id": 1, **cat, "area": 400, "iscrowd": 0}],
}))
# the cat of photo 1, exactly, and a surer one in photo 2, where there is none
pathlib.Path("found.json").write_text(json.dumps([{**cat, "score": 0.8}, {**cat, "image_id": 2, "score": 0.9}]))
with contextlib.redirect_stdout(io.StringIO()):
    truth = COCO("truth.json")
    evaluation = COCOeval(truth, truth.loadRes("found.json"), "bbox")
    evaluation.evaluate(), evaluation.accumulate(), evaluation.summarize()
expected = round(float(evaluation.stats[0]), 3)


def read(**settings):
    """AP of the metric from what it reads of the two files, and the number of photos."""
    metric = MeanAveragePrecision(**settings)
    found, objects = metric.coco_to_tm("found.json", "truth.json")
    metric.update(found, objects)
    return round(float(metric.compute()["map"]), 3), len(objects)


print("torchmetrics", importlib.metadata.version("torchmetrics"))
corners, sides = read(), read(box_format="xywh")
print("expected: AP", expected, "of 2 photos, as pycocotools")
print("seen:     AP", corners[0], "of", corners[1], "photo; with box_format='xywh'", sides[0])
sys.exit(0 if (expected, corners, sides) == (0.5, (0, 1), (1, 1)) else 1)
PY
