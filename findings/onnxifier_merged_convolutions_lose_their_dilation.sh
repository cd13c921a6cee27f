#!/usr/bin/env bash
# `onnxify --activate merge_parallel_conv` (onnxifier) makes one convolution of two that read the same map and are
# concatenated; it compares their inputs alone, so the second gets the first's dilation and padding. Branches that look
# near and far beside each other (receptive field blocks, ASPP) all look near: shapes fit, the file loads and runs, and
# the features of large objects are other numbers. Branches of equal attributes come out right.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv venv
venv/bin/pip install --quiet onnxifier==2.0.3 onnx==1.23.2 onnxruntime==1.32.0 numpy==2.4.6
venv/bin/python - <<'PY'
import importlib.metadata, subprocess, sys
import numpy as np
import onnx, onnxruntime
from onnx import helper, numpy_helper

columns = np.arange(1, 8, dtype=np.float32).reshape(1, 1, 1, 7)
kernel = np.array([1, 10, 100], np.float32).reshape(1, 1, 1, 3)  # its sums show which columns it saw


def model(**far):
    nodes = [helper.make_node("Conv", ["columns", "first"], ["a"], kernel_shape=[1, 3], pads=[0, 1, 0, 1]),
             helper.make_node("Conv", ["columns", "second"], ["b"], kernel_shape=[1, 3], **far),
             helper.make_node("Concat", ["a", "b"], ["seen"], axis=1)]
    kinds = [helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, [1, depth, 1, 7])
             for name, depth in (("columns", 1), ("seen", 2))]
    constants = [numpy_helper.from_array(kernel, name) for name in ("first", "second")]
    graph = helper.make_graph(nodes, "graph", kinds[:1], kinds[1:], constants)
    made = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    onnx.checker.check_model(made, full_check=True)
    return made


def run(made):
    session = onnxruntime.InferenceSession(made.SerializeToString(), providers=["CPUExecutionProvider"])
    return session.run(None, {"columns": columns})[0][0, :, 0].tolist()


print("onnxifier", importlib.metadata.version("onnxifier"))
right = []
for far in ({"pads": [0, 1, 0, 1]}, {"pads": [0, 2, 0, 2], "dilations": [1, 2]}):
    made = model(**far)
    expected = run(made)
    onnx.save(made, "a.onnx")
    command = ["venv/bin/onnxify", "a.onnx", "b.onnx", "--activate", "merge_parallel_conv"]
    subprocess.run(command, check=True, capture_output=True)
    seen = run(onnx.load("b.onnx"))
    right.append(expected == seen)
    print(f"second convolution with {far}: expected {expected[1]}, seen {seen[1]}",
          "" if expected == seen else "(the first's)" if seen[1] == expected[0] else "(neither's)")
sys.exit(0 if right == [True, False] and seen[1] == expected[0] else 1)
PY
