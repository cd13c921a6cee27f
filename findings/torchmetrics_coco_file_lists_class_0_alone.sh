#!/usr/bin/env bash
# torchmetrics' tm_to_coco writes what MeanAveragePrecision was given to COCO files; whatever the classes are, the file
# of the truth lists one, with id 0. Its objects keep their own ids, and COCO's evaluation goes by the list: classes
# 0 and 1 are scored as 0 alone, where the metric itself says half as much, and ids that start at 1 have no AP at all.
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


def evaluated(first):
    """AP of the metric, the categories that it writes, and AP of the files; the first class is found, the second not."""
    labels = torch.tensor([first, first + 1])
    boxes = torch.tensor([[10.0, 10, 50, 50], [60.0, 60, 90, 90]])
    found = torch.tensor([[10.0, 10, 50, 50], [0.0, 60, 30, 90]])
    metric = MeanAveragePrecision()
    metric.update([{"boxes": found, "labels": labels, "scores": torch.tensor([0.9, 0.8])}],
                  [{"boxes": boxes, "labels": labels}])
    metric.tm_to_coco("written")
    with contextlib.redirect_stdout(io.StringIO()):
        truth = COCO("written_target.json")
        evaluation = COCOeval(truth, truth.loadRes("written_preds.json"), "bbox")
        evaluation.evaluate(), evaluation.accumulate(), evaluation.summarize()
    written = json.loads(pathlib.Path("written_target.json").read_text())
    listed, of_objects = ([item[key] for item in written[part]]
                          for part, key in (("categories", "id"), ("annotations", "category_id")))
    return round(float(metric.compute()["map"]), 3), listed, of_objects, round(float(evaluation.stats[0]), 3)


print("torchmetrics", importlib.metadata.version("torchmetrics"))
results = [evaluated(first) for first in (0, 1)]
for metric, listed, of_objects, read in results:
    print(f"classes of the objects {of_objects}, listed {listed}: AP expected {metric}, as the metric; of its files {read}")
sys.exit(0 if results == [(0.5, [0], [0, 1], 1), (0.5, [0], [1, 2], -1)] else 1)
PY
