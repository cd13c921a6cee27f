#!/usr/bin/env bash
# auto_pad="SAME_LOWER" of an ONNX convolution or pooling puts the odd row of padding above and left; MNN's converter
# reads it as SAME_UPPER, below and right, and says nothing. Every convolution of stride 2 on an even map then looks a
# pixel further, so a network with a few of them finds boxes beside their objects, or nothing. Padding written as
# numbers (pads=) comes out right.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv venv
venv/bin/pip install --quiet mnn==3.6.1 onnx==1.23.2 onnxruntime==1.32.0 numpy==2.4.6
cat > convert.py <<'PY'
import _tools  # what the command mnnconvert calls
_tools.mnnconvert(["mnnconvert", "-f", "ONNX", "--modelFile", "a.onnx", "--MNNModel", "a.mnn", "--bizCode", "x"])
PY
venv/bin/python - <<'PY'
import importlib.metadata, os, subprocess, sys
import MNN
import MNN.expr
import numpy as np
import onnx, onnxruntime
from onnx import helper, numpy_helper

columns = np.arange(1, 7, dtype=np.float32).reshape(1, 1, 1, 6)
kernel = np.array([1, 10, 100], np.float32).reshape(1, 1, 1, 3)  # its sums show which columns it saw


def run(operation, **padding):
    names = ["columns", "kernel"] if operation == "Conv" else ["columns"]
    node = helper.make_node(operation, names, ["seen"], kernel_shape=[1, 3], strides=[1, 2], **padding)
    inputs, outputs = ([helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, [1, 1, 1, size])]
                       for name, size in (("columns", 6), ("seen", 3)))
    constants = [numpy_helper.from_array(kernel, "kernel")] if operation == "Conv" else []
    graph = helper.make_graph([node], "graph", inputs, outputs, constants)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    onnx.checker.check_model(model, full_check=True)
    onnx.save(model, "a.onnx")
    session = onnxruntime.InferenceSession("a.onnx", providers=["CPUExecutionProvider"])
    expected = session.run(None, {"columns": columns})[0].ravel().tolist()
    if os.path.exists("a.mnn"):
        os.remove("a.mnn")
    subprocess.run([sys.executable, "convert.py"], check=True, capture_output=True)
    placed = MNN.expr.placeholder([1, 1, 1, 6], MNN.expr.NCHW)
    placed.write(columns)
    output = MNN.nn.load_module_from_file("a.mnn", ["columns"], ["seen"]).forward([placed])[0]
    if output.data_format == MNN.expr.NC4HW4:
        output = MNN.expr.convert(output, MNN.expr.NCHW)
    return expected, np.array(output.read()).ravel().tolist()


print("mnn", importlib.metadata.version("mnn"))
right = []
for operation in ("Conv", "MaxPool"):
    upper = run(operation, auto_pad="SAME_UPPER")[0]
    for padding in ({"auto_pad": "SAME_UPPER"}, {"pads": [0, 1, 0, 0]}, {"auto_pad": "SAME_LOWER"}):
        expected, seen = run(operation, **padding)
        right.append(expected == seen)
        print(f"{operation} {padding}: expected {expected}, seen {seen}", "" if seen == expected else
              "(SAME_UPPER's)" if seen == upper else "(neither's)")
sys.exit(0 if right == [True, True, False] * 2 else 1)
PY
