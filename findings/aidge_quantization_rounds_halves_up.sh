#!/usr/bin/env bash
# QuantizeLinear should round to the nearest whole number, and halves to the even one, as the standard says: 0.5 to 0, 1.5
# and 2.5 to 2. Aidge rounds halves up, to 1, 2 and 3, and -1.5 to -1: a step beside what other runtimes give. Nothing is
# said. Of the pixels 0 to 255 a scale of 2 changes a quarter.
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


def run(operation, values):
    """Gives what both runtimes make of the values."""
    is_quantization = operation == "QuantizeLinear"
    node = helper.make_node(operation, ["values", "scale", "zero"] if is_quantization else ["values"], ["result"])
    kind = onnx.TensorProto.INT8 if is_quantization else onnx.TensorProto.FLOAT
    start = helper.make_tensor_value_info("values", onnx.TensorProto.FLOAT, values.shape)
    end = helper.make_tensor_value_info("result", kind, values.shape)
    constants = [numpy_helper.from_array(np.float32(1), "scale"), numpy_helper.from_array(np.int8(0), "zero")]
    graph = helper.make_graph([node], "graph", [start], [end], constants if is_quantization else [])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    onnx.checker.check_model(model, full_check=True)
    onnx.save(model, "model.onnx")
    session = onnxruntime.InferenceSession("model.onnx", providers=["CPUExecutionProvider"])
    expected = session.run(None, {"values": values})[0]
    network = aidge_onnx.load_onnx("model.onnx")
    aidge_core.expand_metaops(network, True)
    network.set_backend("cpu")
    aidge_core.SequentialScheduler(network).forward(data=[aidge_core.Tensor(values)])
    ((node, output),) = network.get_ordered_outputs()
    return expected.astype(int).tolist(), np.array(node.get_operator().get_output(output)).astype(int).tolist()


print("aidge-onnx", importlib.metadata.version("aidge-onnx"))
halves = np.array([-2.5, -1.5, -0.5, 0.5, 1.5, 2.5], np.float32)
others = np.array([-2.75, -1.25, -0.75, 0.25, 1.75, 2.25], np.float32)
cases = {"QuantizeLinear": halves, "QuantizeLinear, no halves": others, "Round": halves}
found = {name: run(name.split(",")[0], values) for name, values in cases.items()}
for name, values in cases.items():
    print(f"{name} of {values.tolist()}: expected {found[name][0]}, seen {found[name][1]}")
pixels = np.arange(256, dtype=np.float32) / 2
print("pixels that differ at a scale of 2:", int(np.sum(np.not_equal(*run("QuantizeLinear", pixels)))), "of 256")
upwards = found["QuantizeLinear"] == ([-2, -2, 0, 0, 2, 2], [-2, -1, 0, 1, 2, 3])
sys.exit(0 if upwards and all(np.equal(*found[name]).all() for name in list(cases)[1:]) else 1)
PY
