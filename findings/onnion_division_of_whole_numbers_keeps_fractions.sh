#!/usr/bin/env bash
# ONNX divides whole numbers to whole numbers: 7 / 3 is 2. onnion makes numpy code of a model, for the steps around a
# network where no other runtime is to be had, and divides by numpy's /, which gives 2.33 as float64. A detector's usual
# end asks for the best scores of all boxes and classes together, takes index / classes for the box, and what is left
# for the class: box * classes is then the index itself, so every detection is of class 0. Taking out rows hides it,
# because Gather cuts the fraction off: the boxes are right, the classes are not. Nothing is said.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv venv
venv/bin/pip install --quiet --no-compile onnion==0.8.1 onnion-rt==0.8.0 onnx==1.17.0 numpy==1.26.4
cat > make.py <<'PY'
import numpy as np
import onnx
from onnx import helper, numpy_helper

nodes = [helper.make_node("TopK", ["scores", "count"], ["best", "index"]),
         helper.make_node("Div", ["index", "classes"], ["row"]),
         helper.make_node("Mul", ["row", "classes"], ["start"]),
         helper.make_node("Sub", ["index", "start"], ["class"]),
         helper.make_node("Gather", ["boxes", "row"], ["box"])]
kinds = {"scores": ("FLOAT", [6]), "boxes": ("FLOAT", [2, 4]), "class": ("INT64", [3]), "box": ("FLOAT", [3, 4])}
ends = [helper.make_tensor_value_info(name, getattr(onnx.TensorProto, kind), shape) for name, (kind, shape) in kinds.items()]
constants = [numpy_helper.from_array(np.array([3]), "count"), numpy_helper.from_array(np.array(3), "classes")]
graph = helper.make_graph(nodes, "end", ends[:2], ends[2:], constants)
model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)
onnx.checker.check_model(model, full_check=True)
onnx.save(model, "end.onnx")
PY
venv/bin/python make.py
venv/bin/onnion end.onnx --output end.py 2> log || { code=$?; cat log; exit "$code"; }
venv/bin/python - <<'PY'
import importlib.metadata, sys
import numpy as np
import end

scores = np.array([0.1, 0.2, 0.9, 0.3, 0.8, 0.7], np.float32)  # two boxes of three classes each
boxes = np.array([[0, 0, 10, 10], [20, 20, 40, 40]], np.float32)
index = np.argsort(-scores)[:3]
classes, found = end.init_graph().run(scores, boxes)
print("onnion", importlib.metadata.version("onnion"))
print("expected: classes", (index % 3).tolist(), "boxes", boxes[index // 3].tolist())
print("seen:     classes", classes.tolist(), str(classes.dtype), "boxes", found.tolist())
as_described = classes.tolist() == [0, 0, 0] and found.tolist() == boxes[[0, 1, 1]].tolist()
sys.exit(0 if as_described and (index % 3).tolist() == [2, 1, 2] else 1)
PY
