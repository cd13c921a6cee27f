#!/usr/bin/env bash
# Split of 7 rows into num_outputs=3 parts should give 3, 3 and 1, as the standard says: where they do not come out even,
# the last part is the smaller one. Aidge gives 2, 2 and 3, so all but the first rows are in other parts than they belong
# to; where the number comes out even, or the parts are written out, it is right. Nothing is said.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv venv
venv/bin/pip install --quiet --no-compile aidge-core==0.10.1 aidge-backend-cpu==0.10.1 aidge-onnx==0.10.1 onnx==1.23.2 \
    onnxruntime==1.32.0 numpy==2.4.6
venv/bin/python - <<'PY'
import importlib.metadata, sys
import aidge_backend_cpu  # registers its kernels
import aidge_core
import aidge_onnx
import numpy as np
import onnx, onnxruntime
from onnx import helper, numpy_helper

assert aidge_backend_cpu
aidge_core.Log.set_console_level(aidge_core.Level.Fatal)
NAMES = ["first", "second", "third"]


def run(rows, parts):
    """Gives the rows of each part that both runtimes make of so many rows."""
    values = np.arange(rows, dtype=np.float32)
    attributes = {} if parts else {"num_outputs": 3}
    node = helper.make_node("Split", ["values", "parts"] if parts else ["values"], NAMES, axis=0, **attributes)
    start = helper.make_tensor_value_info("values", onnx.TensorProto.FLOAT, [rows])
    ends = [helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, [size])
            for name, size in zip(NAMES, (3, 3, 1) if rows == 7 else (2, 2, 2))]
    constants = [numpy_helper.from_array(np.array(parts, np.int64), "parts")] if parts else []
    graph = helper.make_graph([node], "graph", [start], ends, constants)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=8)
    onnx.checker.check_model(model, full_check=True)
    onnx.save(model, "model.onnx")
    session = onnxruntime.InferenceSession("model.onnx", providers=["CPUExecutionProvider"])
    expected = session.run(NAMES, {"values": values})
    network = aidge_onnx.load_onnx("model.onnx")
    network.set_backend("cpu")
    aidge_core.SequentialScheduler(network).forward(data=[aidge_core.Tensor(values)])
    seen = [np.array(node.get_operator().get_output(output)) for node, output in network.get_ordered_outputs()]
    return [part.tolist() for part in expected], [part.tolist() for part in seen]


print("aidge-onnx", importlib.metadata.version("aidge-onnx"))
cases = {"7 rows, num_outputs=3": (7, None), "6 rows, num_outputs=3": (6, None), "7 rows, [3, 3, 1]": (7, [3, 3, 1])}
found = [run(*case) for case in cases.values()]
for name, (expected, seen) in zip(cases, found):
    print(f"{name}: expected {expected}, seen {seen}")
is_other = found[0] == ([[0, 1, 2], [3, 4, 5], [6]], [[0, 1], [2, 3], [4, 5, 6]])
sys.exit(0 if is_other and all(expected == seen for expected, seen in found[1:]) else 1)
PY
