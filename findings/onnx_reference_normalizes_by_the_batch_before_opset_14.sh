#!/usr/bin/env bash
# BatchNormalization with one output takes the mean and the variance that the file holds (opset 7 to 13: with five outputs
# it trains). onnx's own ReferenceEvaluator, which others are compared with, mixes a tenth of the batch's own mean and
# variance into them, because it always has a momentum (0.9 by default): what it says of a photo depends on the photos
# beside it, and a map that is the same everywhere loses some of its value. Files of opset 14 and later are right.
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
from onnx import helper, numpy_helper
from onnx.reference import ReferenceEvaluator

STATISTICS = {"scale": 1, "shift": 0, "mean": 1, "variance": 4}  # of one channel
photo = np.full((1, 1, 2, 2), 5, np.float32)  # (5 - 1) / 2 is 2
two = np.concatenate([photo, photo + 8])


def runs(opset):
    """Gives what both runtimes find in a photo alone, and in the same photo with another beside it."""
    node = helper.make_node("BatchNormalization", ["photos", *STATISTICS], ["result"], epsilon=0.0)
    ends = [helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, ["n", 1, 2, 2]) for name in ("photos", "result")]
    constants = [numpy_helper.from_array(np.array([value], np.float32), name) for name, value in STATISTICS.items()]
    graph = helper.make_graph([node], "graph", ends[:1], ends[1:], constants)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=8)
    onnx.checker.check_model(model, full_check=True)
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    reference = ReferenceEvaluator(model)
    return [[round(float(one.run(None, {"photos": photos})[0][0, 0, 0, 0]), 3) for photos in (photo, two)]
            for one in (session, reference)]


print("onnx", onnx.__version__, "onnxruntime", onnxruntime.__version__)
found = {opset: runs(opset) for opset in (9, 11, 13, 14, 18)}
for opset, (right, seen) in found.items():
    print(f"opset {opset}: the photo alone, and beside another: onnxruntime {right}, ReferenceEvaluator {seen}")
# (5 - (0.9 * 1 + 0.1 * 5)) / sqrt(0.9 * 4 + 0.1 * 0) = 1.897; with the other photo, mean 9 and variance 16: 1.403
as_described = all(right == [2, 2] and seen == ([1.897, 1.403] if opset < 14 else [2, 2])
                   for opset, (right, seen) in found.items())
sys.exit(0 if as_described else 1)
PY
