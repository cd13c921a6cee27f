#!/usr/bin/env bash
# A convolution's output times one factor for each column (or row) of the map should stay that; where the map is as
# wide as it has channels, onnxslim multiplies the kernels by the factors, so channel 3 gets the factor of column 3.
# The smaller file loads and runs, all its numbers are other ones. An Add in the place of the Mul stays right.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv venv
venv/bin/pip install --quiet onnxslim==0.1.98 onnx==1.23.2 onnxruntime==1.32.0 numpy==2.4.6
venv/bin/python - <<'PY'
import importlib.metadata, sys
import numpy as np
import onnx, onnxruntime, onnxslim
from onnx import helper, numpy_helper

SIZE, CHANNELS = 4, 4
columns = np.arange(1, SIZE + 1, dtype=np.float32)  # a factor for each column


def model(operation, shape):
    nodes = [helper.make_node("Conv", ["image", "kernel"], ["map"]),
             helper.make_node(operation, ["map", "columns"], ["result"])]
    kinds = [helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, [1, depth, SIZE, SIZE])
             for name, depth in (("image", 1), ("result", CHANNELS))]
    kernel = np.ones((CHANNELS, 1, 1, 1), np.float32)
    constants = [numpy_helper.from_array(kernel, "kernel"),
                 numpy_helper.from_array(columns.reshape(shape), "columns")]
    graph = helper.make_graph(nodes, "graph", kinds[:1], kinds[1:], constants)
    made = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    onnx.checker.check_model(made, full_check=True)
    return made


def run(made):
    session = onnxruntime.InferenceSession(made.SerializeToString(), providers=["CPUExecutionProvider"])
    return session.run(None, {"image": np.ones((1, 1, SIZE, SIZE), np.float32)})[0]


print("onnxslim", importlib.metadata.version("onnxslim"))
wrong = []
for operation in ("Mul", "Add"):
    for shape in ((4,), (1, 1, 1, 4), (1, 1, 4, 1)):
        made = model(operation, shape)
        before = run(made)
        after = run(onnxslim.slim(made))
        wrong.append(not np.allclose(before, after))
        print(f"{operation} of {shape}: channel 0", before[0, 0].ravel()[:5], "before,",
              after[0, 0].ravel()[:5], "after;", "differs" if wrong[-1] else "equal")
print("expected: equal, all six")
sys.exit(0 if wrong == [True] * 3 + [False] * 3 else 1)
PY
