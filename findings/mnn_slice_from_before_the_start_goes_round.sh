#!/usr/bin/env bash
# A Slice that starts further from the end than there are entries, as x[:, -100:] of 60 candidates, should start at
# the first, as in NumPy and PyTorch; MNN goes round to the end again, so it takes the last 40 of the 60, from 61 back
# the last one alone, and says nothing. Of candidates sorted upwards a detector loses the first. Starts within the
# list and ends beyond it come out right.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv venv
venv/bin/pip install --quiet mnn==3.6.1 onnx==1.23.2 onnxruntime==1.32.0 numpy==2.4.6
cat > convert.py <<'PY'
import _tools  # what the command mnnconvert calls
_tools.mnnconvert(["mnnconvert", "-f", "ONNX", "--modelFile", "list.onnx", "--MNNModel", "list.mnn", "--bizCode", "x"])
PY
venv/bin/python - <<'PY'
import importlib.metadata, subprocess, sys
import MNN
import MNN.expr
import numpy as np
import onnx, onnxruntime
from onnx import helper, numpy_helper

candidates = np.arange(60, dtype=np.float32).reshape(1, 60)


def run(start, end):
    """Gives what onnxruntime and MNN take of the candidates."""
    constants = [numpy_helper.from_array(np.array([value], np.int64), name)
                 for name, value in (("start", start), ("end", end), ("axis", 1))]
    node = helper.make_node("Slice", ["candidates", "start", "end", "axis"], ["taken"])
    kinds = [helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, [1, size])
             for name, size in (("candidates", 60), ("taken", len(range(60)[start:end])))]
    graph = helper.make_graph([node], "graph", kinds[:1], kinds[1:], constants)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    onnx.checker.check_model(model, full_check=True)
    onnx.save(model, "list.onnx")
    session = onnxruntime.InferenceSession("list.onnx", providers=["CPUExecutionProvider"])
    expected = session.run(None, {"candidates": candidates})[0]
    subprocess.run([sys.executable, "convert.py"], check=True, capture_output=True)
    placed = MNN.expr.placeholder(list(candidates.shape), MNN.expr.NCHW)
    placed.write(candidates)
    net = MNN.nn.load_module_from_file("list.mnn", ["candidates"], ["taken"])
    seen = np.array(net.forward([placed])[0].read())
    return expected.ravel().tolist(), seen.ravel().tolist()


print("mnn", importlib.metadata.version("mnn"))
found = {}
for start, end in ((-100, 60), (-61, 60), (-60, 60), (-20, 100)):
    expected, seen = found[start] = run(start, end)
    print(f"[{start}:{end}] of 0 to 59: expected {len(expected)} from {expected[0]:.0f} on,"
          f" seen {len(seen)} from {seen[0]:.0f} on")
everything = candidates.ravel().tolist()
goes_round = found[-100] == (everything, everything[20:]) and found[-61] == (everything, everything[-1:])
sys.exit(0 if goes_round and all(found[start][0] == found[start][1] for start in (-60, -20)) else 1)
PY
