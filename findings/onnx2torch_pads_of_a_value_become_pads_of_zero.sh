#!/usr/bin/env bash
# In files of opset 2 to 10 the value of a Pad is its attribute "value". onnx2torch looks for one called "constant_value",
# which is the name of the input that newer files have, finds none, and pads with zeros: a grey border of 114 around a
# letterboxed photo becomes black, and minus infinity before a max pool becomes 0, which then wins over what is negative.
# Nothing is said. Files of opset 11 and 13, where the value is an input, are right, and so is padding with zeros.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv venv
venv/bin/pip install --quiet --no-compile torch==2.13.0 onnx==1.23.2 onnxruntime==1.32.0 numpy==2.4.6 pillow==13.0.0
venv/bin/pip install --quiet --no-compile --no-deps torchvision==0.28.0 onnx2torch==1.5.15
venv/bin/python - <<'PY' 2> log || { code=$?; cat log; exit "$code"; }
import importlib.metadata, sys
import numpy as np
import onnx, onnxruntime, torch
from onnx import helper, numpy_helper

try:
    import torchvision
except RuntimeError:  # its compiled operators are for another build of torch; padding has no need of them
    operators = torch.library.Library("torchvision", "DEF")
    operators.define("nms(Tensor boxes, Tensor scores, float threshold) -> Tensor")
    operators.define("qnms(Tensor boxes, Tensor scores, float threshold) -> Tensor")
    import torchvision
import onnx2torch

PADS = [0, 0, 0, 1, 0, 0, 0, 1]  # a column on each side
photo = np.array([[[[200, 30]]]], np.float32)


def run(opset, value):
    """Gives what both runtimes find."""
    if opset < 11:
        node = helper.make_node("Pad", ["photo"], ["result"], pads=PADS, value=value)
        constants = []
    else:
        node = helper.make_node("Pad", ["photo", "pads", "value"], ["result"])
        constants = [numpy_helper.from_array(np.array(PADS), "pads"), numpy_helper.from_array(np.float32(value), "value")]
    ends = [helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, [1, 1, 1, width])
            for name, width in (("photo", 2), ("result", 4))]
    graph = helper.make_graph([node], "graph", ends[:1], ends[1:], constants)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=8)
    onnx.checker.check_model(model, full_check=True)
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    with torch.no_grad():
        seen = onnx2torch.convert(model)(torch.from_numpy(photo))
    return session.run(None, {"photo": photo})[0].ravel().tolist(), seen.numpy().ravel().tolist()


print("onnx2torch", importlib.metadata.version("onnx2torch"))
found = {(opset, value): run(opset, value) for opset in (9, 10, 11, 13) for value in (114.0, 0.0)}
for (opset, value), (expected, seen) in found.items():
    print(f"opset {opset}, padded with {value}: expected {expected}, seen {seen}")
as_described = all(
    expected == [value, 200, 30, value] and seen == ([0, 200, 30, 0] if opset < 11 else expected)
    for (opset, value), (expected, seen) in found.items())
sys.exit(0 if as_described else 1)
PY
