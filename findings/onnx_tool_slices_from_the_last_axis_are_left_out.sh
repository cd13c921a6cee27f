#!/usr/bin/env bash
# Constant folding should put a value into a file in place of the nodes that compute it. onnx-tool's knows the axes of a Slice
# by their numbers from 0 to 4; a Slice along an axis that is counted from the end, as the standard allows, it leaves out,
# so its folded value is the whole. A model that turns its three means from BGR to RGB takes each colour's mean from
# another one, and one that takes the last of them takes all. Shapes fit, and nothing is said. Axes from 0 are right.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv venv
venv/bin/pip install --quiet onnx-tool==1.0.1 onnx==1.23.2 numpy==2.4.6 tabulate==0.10.0
venv/bin/python - <<'PY' 2> log || { code=$?; cat log; exit "$code"; }
import contextlib, importlib.metadata, io, sys
import numpy as np, onnx, onnx_tool
from onnx import helper, numpy_helper
from onnx.reference import ReferenceEvaluator

MEANS = np.array([103, 116, 123], np.float32).reshape(1, 1, 1, 3)
PIXELS = np.full((1, 2, 2, 3), 200, np.float32)
SLICES = {"turned round": (-1, -2**62, -1), "the last one": (2, 3, 1)}


def outputs(kind, axis):
    """Gives a pixel less the sliced means, by the model and by the same model after constant folding."""
    start, end, step = SLICES[kind]
    numbers = {"starts": start, "ends": end, "axes": axis, "steps": step}
    constants = [numpy_helper.from_array(MEANS, "means")]
    constants += [numpy_helper.from_array(np.array([number]), name) for name, number in numbers.items()]
    nodes = [helper.make_node("Slice", ["means", *numbers], ["sliced"], name="slice"),
             helper.make_node("Sub", ["pixels", "sliced"], ["result"], name="subtract")]
    ends = [helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, PIXELS.shape) for name in ("pixels", "result")]
    graph = helper.make_graph(nodes, "graph", ends[:1], ends[1:], constants)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    onnx.checker.check_model(model, full_check=True)
    onnx.save(model, "model.onnx")
    with contextlib.redirect_stdout(io.StringIO()):
        onnx_tool.model_constant_folding("model.onnx", "folded.onnx")
    assert [node.op_type for node in onnx.load("folded.onnx").graph.node] == ["Sub"]
    return [ReferenceEvaluator(name).run(None, {"pixels": PIXELS})[0][0, 0, 0].tolist() for name in ("model.onnx", "folded.onnx")]


print("onnx-tool", importlib.metadata.version("onnx-tool"))
print("pixels of 200 less the means", MEANS.ravel().tolist())
expected = {"turned round": [77, 84, 97], "the last one": [77, 77, 77]}
as_described = True
for kind in SLICES:
    for axis in (3, -1):
        model, folded = outputs(kind, axis)
        print(f"{kind}, axis {axis}: expected {expected[kind]}, model {model}, folded {folded}")
        as_described &= model == expected[kind] and folded == (expected[kind] if axis == 3 else [97, 84, 77])
sys.exit(0 if as_described else 1)
PY
