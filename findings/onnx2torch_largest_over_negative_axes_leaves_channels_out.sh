#!/usr/bin/env bash
# The largest value of each channel's map is ReduceMax over the axes -2 and -1, as PyTorch's amax((-2, -1)) is exported.
# onnx2torch takes one axis after the other, and without keepdims counts the axes that are gone from the front: after -2
# it reduces -2 again, which is now the channels. Of [photos, channels, rows, columns] it gives [photos, columns] for
# [photos, channels]: the same shape where there are as many columns as channels, with other values. Nothing is said.
# ReduceMin and ReduceProd do the same; axes counted from the front, keepdims and ReduceMean are right.
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
from onnx import helper

try:
    import torchvision
except RuntimeError:  # its compiled operators are for another build of torch; reductions have no need of them
    operators = torch.library.Library("torchvision", "DEF")
    operators.define("nms(Tensor boxes, Tensor scores, float threshold) -> Tensor")
    operators.define("qnms(Tensor boxes, Tensor scores, float threshold) -> Tensor")
    import torchvision
import onnx2torch

maps = np.arange(8, dtype=np.float32).reshape(1, 2, 2, 2)  # two channels of 2 x 2 pixels


def run(operation, axes, keepdims=0):
    """Gives what both runtimes find."""
    node = helper.make_node(operation, ["maps"], ["result"], axes=axes, keepdims=keepdims)
    shape = [1, 2, 1, 1] if keepdims else [1, 2]
    ends = [helper.make_tensor_value_info("maps", onnx.TensorProto.FLOAT, maps.shape),
            helper.make_tensor_value_info("result", onnx.TensorProto.FLOAT, shape)]
    graph = helper.make_graph([node], "graph", ends[:1], ends[1:])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)
    onnx.checker.check_model(model, full_check=True)
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    with torch.no_grad():
        seen = onnx2torch.convert(model)(torch.from_numpy(maps))
    return session.run(None, {"maps": maps})[0].tolist(), seen.numpy().tolist()


print("onnx2torch", importlib.metadata.version("onnx2torch"), "maps", maps.tolist())
cases = [(name, [-2, -1], 0) for name in ("ReduceMax", "ReduceMin", "ReduceProd", "ReduceMean")]
cases += [("ReduceMax", [2, 3], 0), ("ReduceMax", [-2, -1], 1)]
found = [run(*case) for case in cases]
for case, (expected, seen) in zip(cases, found):
    print("%s over %s, keepdims %d:" % case, "expected", expected, "seen", seen)
as_described = (found[:3] == [([[3, 7]], [[6, 7]]), ([[0, 4]], [[0, 1]]), ([[0, 840]], [[0, 105]])]
                and all(expected == seen for expected, seen in found[3:]))
sys.exit(0 if as_described else 1)
PY
