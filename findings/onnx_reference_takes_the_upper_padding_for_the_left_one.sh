#!/usr/bin/env bash
# The pads of a pool are the beginnings of all axes, then their ends: [0, 0, 1, 1] is a row below and a column at the
# right, what a pool of 2 x 2 pixels in steps of 1 needs to keep a map's size (the last pool of small YOLO networks).
# onnx's own ReferenceEvaluator takes them for both ends of the rows, then of the columns, in max pools with steps of 1
# and dilations of 1 in a photo: a map of 3 x 4 comes out as 2 x 5, with columns moved. Steps of 1 are wrong, given or not;
# steps of 2 are right, and so are average pools and auto_pad. Nothing is said, although the file gives another shape.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv venv
venv/bin/pip install --quiet --no-compile onnx==1.23.2 onnxruntime==1.32.0 numpy==2.4.6
venv/bin/python - <<'PY'
import sys
import numpy as np
import onnx, onnxruntime
from onnx import helper
from onnx.reference import ReferenceEvaluator

photo = np.arange(12, dtype=np.float32).reshape(1, 1, 3, 4)


def run(operation, settings):
    """Gives what both runtimes make of the map, and the shape that onnx's own inference foresees."""
    node = helper.make_node(operation, ["map"], ["result"], kernel_shape=[2, 2], **settings)
    ends = [helper.make_tensor_value_info("map", onnx.TensorProto.FLOAT, photo.shape),
            helper.make_empty_tensor_value_info("result")]
    graph = helper.make_graph([node], "graph", ends[:1], ends[1:])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    inferred = onnx.shape_inference.infer_shapes(model, strict_mode=True)
    onnx.checker.check_model(inferred)
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    found = [one.run(None, {"map": photo})[0] for one in (session, ReferenceEvaluator(model))]
    sides = [side.dim_value for side in inferred.graph.output[0].type.tensor_type.shape.dim[2:]]
    assert list(found[0].shape[2:]) == sides
    return [result[0, 0].astype(int).tolist() for result in found]


print("onnx", onnx.__version__, "onnxruntime", onnxruntime.__version__)
print("map", photo[0, 0].astype(int).tolist())
cases = {"max, steps of 1": ("MaxPool", {"pads": [0, 0, 1, 1], "strides": [1, 1]}),
         "max, no steps given": ("MaxPool", {"pads": [0, 0, 1, 1]}),
         "max, steps of 2": ("MaxPool", {"pads": [0, 0, 1, 1], "strides": [2, 2]}),
         "max, auto_pad": ("MaxPool", {"auto_pad": "SAME_UPPER"}),
         "average, steps of 1": ("AveragePool", {"pads": [0, 0, 1, 1]})}
found = {name: run(*case) for name, case in cases.items()}
for name, (right, seen) in found.items():
    print(f"{name}: onnxruntime {right}, ReferenceEvaluator {seen}")
wrong = [name for name, (right, seen) in found.items() if right != seen]
as_described = (wrong == ["max, steps of 1", "max, no steps given"]
                and found[wrong[0]][0] == [[5, 6, 7, 7], [9, 10, 11, 11], [9, 10, 11, 11]]
                and all(found[name][1] == [[4, 5, 6, 7, 7], [8, 9, 10, 11, 11]] for name in wrong))
sys.exit(0 if as_described else 1)
PY
