#!/usr/bin/env bash
# QuantizeLinear takes its type from the zero point, and values beyond that type are cut at its ends: with an int8 zero
# point -3 at a scale of 1 stays -3. onnx2fx cuts at 0 and 255 and gives uint8 whenever there is a zero point, so all that
# is negative becomes the smallest number that the zero point allows. Nothing is said. Without a zero point, which means
# uint8, it gives int8, and what is above 127 is cut. A uint8 zero point is right.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv venv
venv/bin/pip install --quiet --no-compile onnx2fx==0.0.1 torch==2.13.0 onnx==1.23.2 onnxruntime==1.32.0 numpy==2.4.6
venv/bin/python - <<'PY'
import importlib.metadata, sys
import numpy as np
import onnx, onnx2fx, onnxruntime, torch
from onnx import helper, numpy_helper

values = np.array([-3, -2, -1, 0, 1, 100, 200], np.float32)


def run(kind, zero):
    """Gives the values that both runtimes find after quantization and back."""
    constants = [numpy_helper.from_array(np.float32(1), "scale")]
    inputs = ["scale"]
    if zero is not None:
        constants.append(numpy_helper.from_array(np.array(zero, kind), "zero"))
        inputs.append("zero")
    nodes = [helper.make_node("QuantizeLinear", ["values", *inputs], ["bytes"]),
             helper.make_node("DequantizeLinear", ["bytes", *inputs], ["result"])]
    ends = [helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, values.shape) for name in ("values", "result")]
    graph = helper.make_graph(nodes, "graph", ends[:1], ends[1:], constants)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    onnx.checker.check_model(model, full_check=True)
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    expected = session.run(None, {"values": values})[0]
    with torch.no_grad():
        seen = onnx2fx.convert(model).eval()(torch.from_numpy(values))
    return expected.tolist(), (seen[0] if isinstance(seen, tuple) else seen).numpy().tolist()


print("onnx2fx", importlib.metadata.version("onnx2fx"))
cases = {"int8, zero point 0": (np.int8, 0), "int8, zero point -100": (np.int8, -100), "no zero point": (np.uint8, None),
         "uint8, zero point 10": (np.uint8, 10)}
found = {name: run(*case) for name, case in cases.items()}
print("values", values.tolist())
for name, (expected, seen) in found.items():
    print(f"{name}: expected {expected}, seen {seen}")
as_described = (
    found["int8, zero point 0"] == ([-3, -2, -1, 0, 1, 100, 127], [0, 0, 0, 0, 1, 100, 200])
    and found["int8, zero point -100"] == ([-3, -2, -1, 0, 1, 100, 200], [100, 100, 100, 100, 100, 100, 200])
    and found["no zero point"] == ([0, 0, 0, 0, 1, 100, 200], [-3, -2, -1, 0, 1, 100, 127])
)
right = found["uint8, zero point 10"]
sys.exit(0 if as_described and right[0] == right[1] else 1)
PY
