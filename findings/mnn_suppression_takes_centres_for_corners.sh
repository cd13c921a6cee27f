#!/usr/bin/env bash
# ONNX's NonMaxSuppression with center_point_box=1 gets centres and sizes; what MNN's converter makes of it takes
# the four numbers for two corners, as with center_point_box=0, and says nothing.
# Objects far apart suppress each other, two boxes of one object are both kept: of three objects here one is lost
# and one is found twice. The same boxes given as corners come out right.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv venv
venv/bin/pip install --quiet mnn==3.6.1 onnx==1.23.2 onnxruntime==1.32.0 numpy==2.4.6
cat > convert.py <<'PY'
import _tools  # what the command mnnconvert calls
_tools.mnnconvert(["mnnconvert", "-f", "ONNX", "--modelFile", "nms.onnx", "--MNNModel", "nms.mnn", "--bizCode", "x"])
PY
venv/bin/python - <<'PY'
import importlib.metadata, subprocess, sys
import MNN
import MNN.expr
import numpy as np
import onnx, onnxruntime
from onnx import helper, numpy_helper

# Centre and size: two objects that do not touch, and a third that is found twice.
centres = np.array([[[0.7, 0.7, 0.2, 0.2], [0.9, 0.9, 0.2, 0.2],
                     [0.2, 0.3, 0.2, 0.2], [0.22, 0.3, 0.2, 0.2]]], np.float32)
middle, half = centres[..., :2], centres[..., 2:] / 2
corners = np.concatenate([middle - half, middle + half], axis=-1)
scores = np.array([[[0.9, 0.8, 0.7, 0.6]]], np.float32)


def selected(boxes, center_point_box):
    node = helper.make_node("NonMaxSuppression", ["boxes", "scores", "most", "iou"], ["selected"],
                            center_point_box=center_point_box)
    inputs = [helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, value.shape)
              for name, value in (("boxes", boxes), ("scores", scores))]
    outputs = [helper.make_tensor_value_info("selected", onnx.TensorProto.INT64, ["found", 3])]
    constants = [numpy_helper.from_array(np.array([10], np.int64), "most"),
                 numpy_helper.from_array(np.array([0.4], np.float32), "iou")]
    graph = helper.make_graph([node], "graph", inputs, outputs, constants)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    onnx.checker.check_model(model, full_check=True)
    onnx.save(model, "nms.onnx")
    session = onnxruntime.InferenceSession("nms.onnx", providers=["CPUExecutionProvider"])
    expected = session.run(None, {"boxes": boxes, "scores": scores})[0]
    subprocess.run([sys.executable, "convert.py"], check=True, capture_output=True)
    placed = []
    for value in (boxes, scores):
        placed.append(MNN.expr.placeholder(list(value.shape), MNN.expr.NCHW))
        placed[-1].write(value)
    net = MNN.nn.load_module_from_file("nms.mnn", ["boxes", "scores"], ["selected"])
    seen = np.array(net.forward(placed)[0].read())
    return expected[:, 2].tolist(), seen[:, 2].tolist()


print("mnn", importlib.metadata.version("mnn"))
results = {"corners": selected(corners, 0), "centres": selected(centres, 1)}
for name, (expected, seen) in results.items():
    print(f"boxes as {name}: expected {expected}, as onnxruntime; seen {seen}")
wanted = {"corners": ([0, 1, 2], [0, 1, 2]), "centres": ([0, 1, 2], [0, 2, 3])}
sys.exit(0 if results == wanted else 1)
PY
