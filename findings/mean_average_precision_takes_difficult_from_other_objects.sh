#!/usr/bin/env bash
# A difficult object should neither be missed nor be a false detection (VOC); mean_average_precision spreads the
# flags of an image's objects over its detections in the wrong order, so the first rows see the first objects'
# flags for all of them. A class's difficult objects also count as objects to be found.
# A perfect detection scores AP 0.5 or 0.0, by its place in the array; crowd flags are spread in the same way.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv venv
venv/bin/pip install --quiet mean-average-precision==2024.1.5.0 numpy==2.4.6 pandas==3.1.1
venv/bin/python - <<'PY'
import importlib.metadata, sys
import numpy as np
from mean_average_precision import MetricBuilder


def score(detections, objects):
    metric = MetricBuilder.build_evaluation_metric("map_2d", async_mode=False, num_classes=1)
    metric.add(np.array(detections), np.array(objects))
    return float(metric.value(iou_thresholds=0.5)["mAP"])


# x0, y0, x1, y1, class, difficult, crowd; of detections class and score
plain, difficult = [10, 10, 50, 50, 0, 0, 0], [60, 60, 90, 90, 0, 1, 0]
found, wrong = [10, 10, 50, 50, 0, 0.9], [100, 10, 140, 40, 0, 0.1]
alone = score([found, wrong], [plain])
seen = score([found, wrong], [plain, difficult]), score([wrong, found], [plain, difficult])
print("mean_average_precision", importlib.metadata.version("mean-average-precision"))
print("expected: AP", alone, "in either order, as without the difficult object")
print("seen:     AP", seen[0], "with the better detection first,", seen[1], "with it last")
sys.exit(0 if alone == 1 and seen == (0.5, 0.0) else 1)
PY
