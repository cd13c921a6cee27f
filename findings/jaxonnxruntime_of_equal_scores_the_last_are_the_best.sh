#!/usr/bin/env bash
# TopK gives the best scores and where they are; of equal ones the standard takes those that come first. jaxonnxruntime sorts
# the scores upwards, which leaves equal ones in order, and turns the list round, so the last of them come first: where more
# boxes have the same score than are asked for, as scores of 8 bits often have, other boxes stay. The values are right, so
# nobody sees it in the scores, and nothing is said. Lists of a photo each (two axes) are sorted in another way and are
# right, and so are the smallest.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv venv
venv/bin/pip install --quiet --no-compile jaxonnxruntime==0.3.0 jax==0.10.2 jaxlib==0.10.2 absl-py==2.5.1 onnx==1.23.2 \
    onnxruntime==1.32.0 numpy==2.4.6
JAX_PLATFORMS=cpu venv/bin/python - 2> log <<'PY' || { code=$?; tail -n 5 log; exit "$code"; }
import importlib.metadata, sys
import numpy as np
import onnx, onnxruntime
from jaxonnxruntime import call_onnx
from onnx import helper, numpy_helper

COUNT = 3
scores = np.array([0.5, 0.25, 0.75, 0.5, 0.5, 0.25], np.float32)  # the best, then two of three equal ones


def run(shape, largest):
    """Gives what both runtimes find: scores and places."""
    given = scores.reshape(shape)
    ends = [helper.make_tensor_value_info("scores", onnx.TensorProto.FLOAT, shape),
            helper.make_tensor_value_info("values", onnx.TensorProto.FLOAT, [*shape[:-1], COUNT]),
            helper.make_tensor_value_info("places", onnx.TensorProto.INT64, [*shape[:-1], COUNT])]
    node = helper.make_node("TopK", ["scores", "count"], ["values", "places"], largest=largest)
    graph = helper.make_graph([node], "graph", ends[:1], ends[1:], [numpy_helper.from_array(np.array([COUNT]), "count")])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 11)], ir_version=8)
    onnx.checker.check_model(model, full_check=True)
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    function, weights = call_onnx.call_onnx_model(model, {"scores": given})
    return [[np.asarray(output).ravel().tolist() for output in outputs]
            for outputs in (session.run(None, {"scores": given}), function(weights, [given]))]


print(*(f"{name} {importlib.metadata.version(name)}" for name in ("jaxonnxruntime", "jax", "onnxruntime")))
print("scores", scores.tolist())
found = {(shape, largest): run(shape, largest) for shape in ((6,), (1, 6), (1, 1, 6)) for largest in (1, 0)}
for (shape, largest), (expected, seen) in found.items():
    print(f"{'largest' if largest else 'smallest'} {COUNT} of shape {list(shape)}: values {seen[0]}",
          f"expected at {expected[1]}, seen at {seen[1]}")
as_described = all(
    expected == ([[0.75, 0.5, 0.5], [2, 0, 3]] if largest else [[0.25, 0.25, 0.5], [1, 5, 0]])
    and seen == ([[0.75, 0.5, 0.5], [2, 4, 3]] if largest and len(shape) != 2 else expected)
    for (shape, largest), (expected, seen) in found.items())
sys.exit(0 if as_described else 1)
PY
