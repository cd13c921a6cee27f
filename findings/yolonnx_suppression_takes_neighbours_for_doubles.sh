#!/usr/bin/env bash
# Suppression should drop boxes that share much of their area with a surer one; yolonnx, which runs exported YOLO files,
# divides the box around both by what that leaves of their areas. Boxes that overlap by a tenth of their width get 19
# for 0.05, and a small box inside a large one 16 for 0.06, so the less sure of the two is dropped, though it may be
# of another class. Of people side by side, a rider and the horse, a wheel and its car one is left.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv venv
venv/bin/pip install --quiet yolonnx==0.6.2 aau-label==0.4.1 onnx==1.23.2 onnxruntime==1.32.0 numpy==2.4.6 pillow==13.0.0
venv/bin/python - <<'PY'
import importlib.metadata, sys
import numpy as np
import onnx, onnxruntime
from onnx import helper, numpy_helper
from PIL import Image
from yolonnx.services import Detector
from yolonnx.to_tensor_strategies import PillowToTensorContainStrategy

SIZE = 160


def found(*boxes):
    """Gives the corners that are left of those a network found, each of another class and less sure than the last."""
    rows = np.zeros((1, 4 + len(boxes), len(boxes)), np.float32)  # centre, size, a score for each class
    for i, (x1, y1, x2, y2) in enumerate(boxes):
        rows[0, :4, i] = (x1 + x2) / 2, (y1 + y2) / 2, x2 - x1, y2 - y1
        rows[0, 4 + i, i] = 0.9 - 0.1 * i
    kinds = [helper.make_tensor_value_info("images", onnx.TensorProto.FLOAT, [1, 3, SIZE, SIZE]),
             helper.make_tensor_value_info("output0", onnx.TensorProto.FLOAT, rows.shape)]
    node = helper.make_node("Identity", ["rows"], ["output0"])
    graph = helper.make_graph([node], "graph", kinds[:1], kinds[1:], [numpy_helper.from_array(rows, "rows")])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    helper.set_model_props(model, {"names": str({i: f"class{i}" for i in range(len(boxes))}), "args": "{'nms': False}"})
    onnx.checker.check_model(model, full_check=True)
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    detector = Detector(session, PillowToTensorContainStrategy(), iou_threshold=0.7)
    results = detector.run(Image.new("RGB", (SIZE, SIZE)))
    return [(one.x, one.y, one.x + one.width, one.y + one.height) for one in results]


def overlap(a, b):
    """Intersection over union, by hand."""
    sides = [max(0, min(a[i + 2], b[i + 2]) - max(a[i], b[i])) for i in (0, 1)]
    shared = sides[0] * sides[1]
    return shared / ((a[2] - a[0]) * (a[3] - a[1]) + (b[2] - b[0]) * (b[3] - b[1]) - shared)


print("yolonnx", importlib.metadata.version("yolonnx"))
cases = {"apart": [(0, 0, 20, 80), (100, 0, 120, 80)], "overlapping by a tenth": [(0, 0, 20, 80), (18, 0, 38, 80)],
         "one inside the other": [(0, 0, 80, 80), (20, 20, 40, 40)], "doubles": [(0, 0, 80, 80), (2, 0, 82, 80)]}
left = []
for name, boxes in cases.items():
    iou = overlap(*boxes)
    left.append(len(found(*boxes)))
    print(f"{name}, IoU {iou:.3f}, threshold 0.7: expected {1 if iou > 0.7 else 2} boxes, seen {left[-1]}")
sys.exit(0 if left == [2, 1, 1, 1] else 1)
PY
