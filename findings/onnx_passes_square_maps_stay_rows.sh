#!/usr/bin/env bash
# Expand stretches a row of 4 coordinates over a map of 4 x 4, as grids of anchors are made. onnx-passes, told to eliminate
# what changes nothing, takes an Expand for that where each side wanted equals the input's, and 4 equals both sides of
# 4 x 4: the map stays a row, and its sum is a quarter. onnx-passes says nothing; onnxruntime warns that an output has
# another shape than the file tells. Rows stretched over 3 x 4, and rows that are given as 1 x 4, are right.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv venv
venv/bin/pip install --quiet --no-compile onnx-passes==0.4.1 onnx-ir==1.1.0 onnxscript==0.7.2 onnx==1.23.2 \
    onnxruntime==1.32.0 numpy==2.4.6
cat > make.py <<'PY'
import numpy as np
import onnx
from onnx import helper, numpy_helper

for name, given, wanted in (("square", [4], [4, 4]), ("oblong", [4], [3, 4]), ("row", [1, 4], [4, 4])):
    nodes = [helper.make_node("Expand", ["coordinates", "shape"], ["map"]),
             helper.make_node("ReduceSum", ["map"], ["sum"], keepdims=0)]
    ends = [helper.make_tensor_value_info(end, onnx.TensorProto.FLOAT, shape)
            for end, shape in (("coordinates", given), ("map", wanted), ("sum", []))]
    graph = helper.make_graph(nodes, "graph", ends[:1], ends[1:], [numpy_helper.from_array(np.array(wanted), "shape")])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=8)
    onnx.checker.check_model(model, full_check=True)
    onnx.save(model, f"{name}.onnx")
PY
venv/bin/python make.py
for name in square oblong row; do
  venv/bin/onnx-passes -o "$name.after.onnx" "$name.onnx" eliminate > log 2>&1 || { code=$?; cat log; exit "$code"; }
  if grep -qi "warn" log; then cat log; exit 1; fi
done
venv/bin/python - <<'PY'
import importlib.metadata, sys
import numpy as np
import onnxruntime

options = onnxruntime.SessionOptions()
options.log_severity_level = 3  # errors alone, not that warning
print(*(f"{name} {importlib.metadata.version(name)}" for name in ("onnx-passes", "onnx-ir", "onnxruntime")))
found = {}
for name in ("square", "oblong", "row"):
    for when in ("", ".after"):
        session = onnxruntime.InferenceSession(f"{name}{when}.onnx", options, providers=["CPUExecutionProvider"])
        given = np.arange(4, dtype=np.float32).reshape(session.get_inputs()[0].shape)
        pixels, total = session.run(None, {"coordinates": given})
        found[name, when] = pixels.shape, float(total)
    print(f"{name}: map and its sum before {found[name, '']}, after {found[name, '.after']}")
as_described = (found["square", ""] == ((4, 4), 24) and found["square", ".after"] == ((4,), 6)
                and all(found[name, ""] == found[name, ".after"] for name in ("oblong", "row")))
sys.exit(0 if as_described else 1)
PY
