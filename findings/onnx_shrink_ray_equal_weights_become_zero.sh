#!/usr/bin/env bash
# A mean over a map of 128 x 128 pixels, written as a matrix product, has 16384 weights of 1/16384. onnx-shrink-ray stores
# large constants in 256 steps from their smallest to their largest value; where these are equal it takes steps of 1/255
# instead, and rounds. All weights below 1/510 become 0, so the mean of any map is 0, and 0.01 becomes 3/255, 18 % more.
# Nothing is said. Asking for a scale per channel changes nothing. One other weight among them and the rest is right.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv venv
venv/bin/pip install --quiet --no-compile onnx-shrink-ray==0.0.11 onnx-graphsurgeon==0.6.1 onnx==1.23.2 onnxruntime==1.32.0 \
    numpy==2.4.6
venv/bin/python - <<'PY'
import importlib.metadata, sys
import numpy as np
import onnx, onnxruntime
from onnx import helper, numpy_helper
from onnx_shrink_ray.shrink import quantize_weights

COUNT = 128 * 128  # the smallest number of weights that it takes unless told otherwise
pixels = np.full((1, COUNT), 100, np.float32)


def run(model):
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    return float(session.run(None, {"pixels": pixels})[0].item())


def results(weights, per_channel):
    """Gives the weighted sum of the pixels before and after."""
    ends = [helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, [1, size])
            for name, size in (("pixels", COUNT), ("sum", 1))]
    graph = helper.make_graph([helper.make_node("MatMul", ["pixels", "weights"], ["sum"])], "graph", ends[:1], ends[1:],
                              [numpy_helper.from_array(weights.reshape(COUNT, 1), "weights")])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    onnx.checker.check_model(model, full_check=True)
    return run(model), run(quantize_weights(model, per_channel=per_channel))


all_equal = np.full(COUNT, 1 / COUNT, np.float32)
one_less = all_equal.copy()
one_less[-1] = 0
hundredths = np.full(COUNT, 0.01, np.float32)
print("onnx-shrink-ray", importlib.metadata.version("onnx-shrink-ray"))
found = {}
for name, weights in (("1/16384", all_equal), ("1/16384, and one of 0", one_less), ("1/100", hundredths)):
    for per_channel in (False, True):
        found[name, per_channel] = before, after = results(weights, per_channel)
        print(f"weights of {name}, per channel {per_channel}: before {before:.2f}, after {after:.2f}")
as_described = all(
    np.isclose(found["1/16384", per_channel], (100, 0), atol=0.1).all()
    and np.isclose(found["1/16384, and one of 0", per_channel], (100, 100), atol=0.1).all()
    and np.isclose(found["1/100", per_channel], (16384, COUNT * 100 * 3 / 255), rtol=1e-3).all()
    for per_channel in (False, True))
sys.exit(0 if as_described else 1)
PY
