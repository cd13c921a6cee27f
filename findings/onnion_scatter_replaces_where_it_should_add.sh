#!/usr/bin/env bash
# ScatterND with reduction "add" adds all updates of a place to what is there: ones at the classes of detections count the
# detections of each class. onnion writes a model's texts into its code as bytes, b'add', and its runtime asks for 'add',
# so it takes none of them and replaces: each class that occurs counts one, and what was there before is gone. "mul" is
# lost in the same way. Nothing is said; a runtime that is called by hand, with 'add', adds.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv venv
venv/bin/pip install --quiet --no-compile onnion==0.8.1 onnion-rt==0.8.0 onnx==1.17.0 numpy==1.26.4
cat > make.py <<'PY'
import onnx
from onnx import helper

sides = {"counts": ("FLOAT", [3]), "classes": ("INT64", [4, 1]), "ones": ("FLOAT", [4]), "result": ("FLOAT", [3])}
ends = [helper.make_tensor_value_info(name, getattr(onnx.TensorProto, kind), shape) for name, (kind, shape) in sides.items()]
for how in ("add", "mul"):
    node = helper.make_node("ScatterND", ["counts", "classes", "ones"], ["result"], reduction=how)
    graph = helper.make_graph([node], "graph", ends[:3], ends[3:])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 16)], ir_version=8)
    onnx.checker.check_model(model, full_check=True)
    onnx.save(model, f"to_{how}.onnx")
PY
venv/bin/python make.py
for how in add mul; do
  venv/bin/onnion "to_$how.onnx" --output "to_$how.py" 2> log || { code=$?; cat log; exit "$code"; }
done
venv/bin/python - <<'PY'
import importlib.metadata, sys
import numpy as np
import onnion_runtime, to_add, to_mul

counts = np.array([10, 20, 30], np.float32)
classes = np.array([[2], [0], [2], [2]])
twos = np.full(4, 2, np.float32)
expected, seen = {}, {}
for name, module, apply in (("add", to_add, np.add), ("mul", to_mul, np.multiply)):
    values = counts.copy()
    apply.at(values, classes[:, 0], twos)
    expected[name] = values.tolist()
    seen[name] = module.init_graph().run(counts, classes, twos)[0].tolist()
by_hand = onnion_runtime.ScatterND(16, reduction="add").run(counts, classes, twos)[0].tolist()
print("onnion", importlib.metadata.version("onnion"), "onnion-rt", importlib.metadata.version("onnion-rt"))
print("to", counts.tolist(), "2 for each of the classes", classes[:, 0].tolist())
for name in expected:
    print(f"{name}: expected {expected[name]}, seen {seen[name]}")
print("the runtime by hand, add:", by_hand)
as_described = (expected == {"add": [12, 20, 36], "mul": [20, 20, 240]} and by_hand == expected["add"]
                and all(values == [2, 20, 2] for values in seen.values()))
sys.exit(0 if as_described else 1)
PY
