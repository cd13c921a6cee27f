#!/usr/bin/env bash
# torchmetrics' IntersectionOverUnion is the mean over all pairs of a detection and an object of one class in a photo,
# not over those that belong together: boxes that lie exactly on five cats apart from each other score 0.2, as much as
# one such box for all five. GIoU, DIoU and CIoU are the same class, and fall below 0. Its own function of that name
# gives 1 for the five. Photos with more objects of a class look worse, whatever the detector does.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv venv
venv/bin/pip install --quiet --no-compile torch==2.13.0 numpy==2.4.6 pillow==13.0.0 packaging==26.4 lightning-utilities==0.15.3
venv/bin/pip install --quiet --no-compile --no-deps torchvision==0.28.0 torchmetrics==1.9.0
venv/bin/python - <<'PY' 2> log || { code=$?; cat log; exit "$code"; }
import importlib.metadata, sys
import torch

try:
    import torchvision
except RuntimeError:  # its compiled operators are for another build of torch; IoU of boxes has no need of them
    operators = torch.library.Library("torchvision", "DEF")
    operators.define("nms(Tensor boxes, Tensor scores, float threshold) -> Tensor")
    operators.define("qnms(Tensor boxes, Tensor scores, float threshold) -> Tensor")
    import torchvision
from torchmetrics.detection import GeneralizedIntersectionOverUnion, IntersectionOverUnion
from torchmetrics.functional.detection import intersection_over_union


def score(metric, found, cats):
    """The metric of one photo."""
    measure = metric()
    measure.update(*([{"boxes": boxes, "labels": torch.zeros(len(boxes), dtype=torch.int)}] for boxes in (found, cats)))
    (value,) = measure.compute().values()
    return round(float(value), 3)


cats = torch.tensor([[50.0 * place, 10.0, 50.0 * place + 20, 30.0] for place in range(5)])  # 20 x 20, apart
print("torchmetrics", importlib.metadata.version("torchmetrics"))
seen = [score(IntersectionOverUnion, cats[:count], cats[:count]) for count in (1, 2, 5)]
one = score(IntersectionOverUnion, cats[:1], cats)
generalised = score(GeneralizedIntersectionOverUnion, cats, cats)
function = round(float(intersection_over_union(cats, cats)), 3)
print("boxes exactly on 1, 2 and 5 cats: expected IoU", [1.0, 1.0, 1.0], "seen", seen)
print("of 5 cats: expected GIoU 1.0, seen", generalised, "and IoU of the function", function)
print("one box for 5 cats:", one, "as for all five")
sys.exit(0 if (seen, one, function) == ([1, 0.5, 0.2], 0.2, 1) and generalised < 0 else 1)
PY
