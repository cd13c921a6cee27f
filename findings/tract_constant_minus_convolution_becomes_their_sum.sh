#!/usr/bin/env bash
# A number for each channel minus a convolution's output should be that; tract makes the convolution's bias of the
# numbers and leaves its sign as it was, so their sum comes out. A number divided by a convolution's output becomes
# something else as well. Nothing is said. The other order is right, as are 1x1 and depthwise convolutions, Add, Mul,
# and one number for all channels.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv venv
venv/bin/pip install --quiet tract==0.23.9 onnx==1.23.2 onnxruntime==1.32.0 numpy==2.4.6
venv/bin/python - <<'PY'
import importlib.metadata, sys
import numpy as np
import onnx, onnxruntime, tract
from onnx import helper, numpy_helper

image = np.ones((1, 1, 3, 3), np.float32)
factors = np.array([20, 40], np.float32).reshape(1, 2, 1, 1)


def run(operation, order, constant, side):
    """Gives the first pixel of both channels of a convolution, whose kernel is full of ones, and a constant."""
    nodes = [helper.make_node("Conv", ["image", "kernel"], ["map"]),
             helper.make_node(operation, order, ["result"])]
    kinds = [helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, shape)
             for name, shape in (("image", image.shape), ("result", [1, 2, 4 - side, 4 - side]))]
    constants = [numpy_helper.from_array(np.ones((2, 1, side, side), np.float32), "kernel"),
                 numpy_helper.from_array(constant, "constant")]
    graph = helper.make_graph(nodes, "graph", kinds[:1], kinds[1:], constants)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    onnx.checker.check_model(model, full_check=True)
    onnx.save(model, "model.onnx")
    session = onnxruntime.InferenceSession("model.onnx", providers=["CPUExecutionProvider"])
    expected = session.run(None, {"image": image})[0]
    (seen,) = tract.onnx().load("model.onnx").into_model().into_runnable().run([image])
    return expected[0, :, 0, 0].tolist(), seen.to_numpy()[0, :, 0, 0].tolist()


print("tract", importlib.metadata.version("tract"))
one = np.array(20, np.float32)
cases = {
    "channels' numbers - map of 3x3": ("Sub", ["constant", "map"], factors, 3),
    "channels' numbers / map of 3x3": ("Div", ["constant", "map"], factors, 3),
    "map of 3x3 - channels' numbers": ("Sub", ["map", "constant"], factors, 3),
    "channels' numbers + map of 3x3": ("Add", ["constant", "map"], factors, 3),
    "channels' numbers - map of 1x1": ("Sub", ["constant", "map"], factors, 1),
    "one number - map of 3x3": ("Sub", ["constant", "map"], one, 3),
}
found = [run(*case) for case in cases.values()]
for name, (expected, seen) in zip(cases, found):
    print(f"{name}: expected {expected}, seen {seen}")
is_sum = found[0] == ([11.0, 31.0], [29.0, 49.0])
is_other = not np.allclose(*found[1])
sys.exit(0 if is_sum and is_other and all(np.allclose(*pair) for pair in found[2:]) else 1)
PY
