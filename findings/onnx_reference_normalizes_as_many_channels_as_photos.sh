#!/usr/bin/env bash
# LRN divides each value by a sum over the channels beside its own. onnx's own ReferenceEvaluator goes through as many
# channels as there are photos, instead of all: of one photo only the first channel is normalized, of the others each
# value is divided by the bias alone, 1 by default, and comes out as it went in. With as many photos as channels all is
# right, and so what it says of a photo depends on how many are beside it. Nothing is said.
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

photo = np.array([1, 2, 3, 4], np.float32).reshape(1, 4, 1, 1)  # four channels of one pixel


def runs(number):
    """Gives what both runtimes find in the first of so many equal photos."""
    node = helper.make_node("LRN", ["photos"], ["result"], size=3, alpha=3.0, beta=1.0, bias=1.0)
    ends = [helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, [number, 4, 1, 1]) for name in ("photos", "result")]
    graph = helper.make_graph([node], "graph", ends[:1], ends[1:])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=8)
    onnx.checker.check_model(model, full_check=True)
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    return [[round(float(value), 3) for value in one.run(None, {"photos": np.repeat(photo, number, 0)})[0][0].ravel()]
            for one in (session, ReferenceEvaluator(model))]


print("onnx", onnx.__version__, "onnxruntime", onnxruntime.__version__, "- channels", photo.ravel().tolist())
found = {number: runs(number) for number in (1, 2, 4)}
for number, (right, seen) in found.items():
    print(f"{number} photos: onnxruntime {right}, ReferenceEvaluator {seen}")
# 1 / (1 + 1 + 4), 2 / (1 + 1 + 4 + 9), 3 / (1 + 4 + 9 + 16), 4 / (1 + 9 + 16)
expected = [0.167, 0.133, 0.1, 0.154]
as_described = all(right == expected and seen == expected[:number] + [1.0, 2.0, 3.0, 4.0][number:]
                   for number, (right, seen) in found.items())
sys.exit(0 if as_described else 1)
PY
