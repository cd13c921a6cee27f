#!/usr/bin/env bash
# ReduceL1, ReduceLogSum and ReduceLogSumExp over one axis of an ONNX file of opset 13 to 17 (what PyTorch's exporter
# writes for F.normalize(x, p=1) and torch.logsumexp) should reduce that axis; OpenVINO takes no notice of `axes`
# and reduces all of them. ReduceL2, ReduceSum and ReduceMean of the same file come out right, as do opsets 11 and 18.
# Scores divided by their sum over the classes become shares of the whole picture's sum: a detector finds nothing.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv venv
venv/bin/pip install --quiet openvino==2026.4.1 onnx==1.23.2 onnxruntime==1.32.0 numpy==2.4.6
venv/bin/python - <<'PY'
import sys
import numpy as np
import onnx, onnxruntime, openvino
from onnx import helper, numpy_helper

# Four boxes with scores of two classes, to be divided by each box's own sum (or the like).
scores = np.array([[[0.6, 0.2], [0.1, 0.3], [0.9, 0.9], [0.5, 0.0]]], np.float32)


def run(operation, opset):
    given = {"axes": [2]} if opset < 18 else {}
    names = ["scores"] if opset < 18 else ["scores", "axes"]
    nodes = [helper.make_node(operation, names, ["all"], keepdims=1, **given),
             helper.make_node("Div", ["scores", "all"], ["shares"])]
    kinds = [helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, [1, 4, 2]) for name in ("scores", "shares")]
    constants = [] if opset < 18 else [numpy_helper.from_array(np.array([2], np.int64), "axes")]
    graph = helper.make_graph(nodes, "graph", kinds[:1], kinds[1:], constants)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=8)
    onnx.checker.check_model(model, full_check=True)
    onnx.save(model, "shares.onnx")
    session = onnxruntime.InferenceSession("shares.onnx", providers=["CPUExecutionProvider"])
    expected = session.run(None, {"scores": scores})[0]
    f32 = {"INFERENCE_PRECISION_HINT": "f32"}
    return expected, openvino.Core().compile_model("shares.onnx", "CPU", f32)(scores)[0]


print("openvino", openvino.__version__)
wrong = set()
for operation in ("ReduceL1", "ReduceLogSum", "ReduceLogSumExp", "ReduceL2", "ReduceMean"):
    for opset in (11, 13, 17, 18):
        expected, seen = run(operation, opset)
        if not np.allclose(expected, seen, atol=1e-4):
            wrong.add((operation, opset))
        if operation == "ReduceL1":
            print(f"{operation}, opset {opset}: first box expected {expected[0, 0]}, seen {seen[0, 0]}")
print("differ from onnxruntime:", ", ".join(f"{name} {opset}" for name, opset in sorted(wrong)))
names = ("ReduceL1", "ReduceLogSum", "ReduceLogSumExp")
sys.exit(0 if wrong == {(name, opset) for name in names for opset in (13, 17)} else 1)
PY
