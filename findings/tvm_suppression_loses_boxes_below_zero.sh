#!/usr/bin/env bash
# ONNX's NonMaxSuppression keeps boxes whose score is above score_threshold, and all of them where that input is left
# out; TVM keeps none whose score is not above 0, with a threshold below 0 and without one alike, and says nothing.
# A detector that suppresses by logits, and takes the sigmoid of what is left alone, loses every object that it is less
# than half sure of, which is most of what AP counts. Scores above 0 come out right.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv venv
venv/bin/pip install --quiet apache-tvm==0.27.0.post1 apache-tvm-ffi==0.1.15.post2 onnx==1.23.2 onnxruntime==1.32.0 numpy==2.4.6
venv/bin/python - <<'PY'
import importlib.metadata, sys
import numpy as np
import onnx, onnxruntime, tvm
from onnx import helper, numpy_helper
from tvm import relax
from tvm.relax.frontend.onnx import from_onnx

# Four boxes that do not touch: nothing is to be suppressed, the threshold alone decides.
boxes = np.array([[[10 * i, 0, 10 * i + 5, 5] for i in range(4)]], np.float32)
logits = np.array([[[2.0, 0.5, -1.0, -3.0]]], np.float32)


def run(scores, threshold):
    values = {"most": np.array([4], np.int64), "overlap": np.array([0.5], np.float32)}
    if threshold is not None:
        values["threshold"] = np.array([threshold], np.float32)
    node = helper.make_node("NonMaxSuppression", ["boxes", "scores", *values], ["chosen"])
    kinds = [helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, value.shape)
             for name, value in (("boxes", boxes), ("scores", scores))]
    outputs = [helper.make_tensor_value_info("chosen", onnx.TensorProto.INT64, [None, 3])]
    constants = [numpy_helper.from_array(value, name) for name, value in values.items()]
    graph = helper.make_graph([node], "graph", kinds, outputs, constants)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    onnx.checker.check_model(model, full_check=True)
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    expected = session.run(None, {"boxes": boxes, "scores": scores})[0]
    module = relax.transform.LegalizeOps()(from_onnx(model))
    machine = relax.VirtualMachine(relax.build(module, tvm.target.Target("llvm")), tvm.cpu())
    seen = machine["main"](*(tvm.runtime.tensor(value) for value in (boxes, scores))).numpy()
    return expected[:, 2].tolist(), seen[:, 2].tolist()


print("apache-tvm", importlib.metadata.version("apache-tvm"))
found = []
for scores, threshold in ((logits, None), (logits, -2.0), (logits, 0.0), (logits + 4, None), (logits + 4, 2.0)):
    found.append(run(scores, threshold))
    print(f"scores {scores.ravel().tolist()}, threshold {threshold}: boxes expected {found[-1][0]}, seen {found[-1][1]}")
wrong = [([0, 1, 2, 3], [0, 1]), ([0, 1, 2], [0, 1])]
sys.exit(0 if found[:2] == wrong and all(expected == seen for expected, seen in found[2:]) else 1)
PY
