#!/usr/bin/env bash
# onnxscript's rewriter replaces auto_pad of a convolution by numbers, which should leave the map as large as SAME says;
# it reckons the kernel's size without its dilation. A dilated convolution of 3 pixels gets 1 pixel of padding where
# 2 are due (3 with a dilation of 3): the map is smaller and starts further in. The rewriter says nothing; onnxruntime
# warns of the shape and runs it. A dilation of 1 and padding in numbers come out right.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv venv
venv/bin/pip install --quiet onnxscript==0.7.2 onnx-ir==1.1.0 onnx==1.23.2 onnxruntime==1.32.0 numpy==2.4.6
venv/bin/python - <<'PY'
import importlib.metadata, sys
import numpy as np
import onnx, onnxruntime
from onnx import helper, numpy_helper
from onnx.reference import ReferenceEvaluator
from onnxscript import rewriter

SIZE = 8
columns = np.tile(np.arange(1, SIZE + 1, dtype=np.float32), (1, 1, SIZE, 1))  # each pixel is its column's number
kernel = np.zeros((1, 1, 3, 3), np.float32)
kernel[0, 0, 1, 1] = 1  # gives each pixel as it is


def run(dilation, padding):
    """Gives the middle row of a convolution by ONNX's reference, and by onnxruntime once it is rewritten."""
    node = helper.make_node("Conv", ["image", "kernel"], ["map"], dilations=[dilation] * 2, **padding)
    kinds = [helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, [1, 1, SIZE, SIZE])
             for name in ("image", "map")]
    constants = [numpy_helper.from_array(kernel, "kernel")]
    graph = helper.make_graph([node], "graph", kinds[:1], kinds[1:], constants)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    onnx.checker.check_model(model, full_check=True)
    expected = ReferenceEvaluator(model).run(None, {"image": columns})[0]
    content = rewriter.rewrite(model).SerializeToString()
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3  # that the shape is another is what is printed below
    session = onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])
    seen = session.run(None, {"image": columns})[0]
    return [found[0, 0, found.shape[2] // 2].astype(int).tolist() for found in (expected, seen)]


print("onnxscript", importlib.metadata.version("onnxscript"))
as_described = []
for dilation in (1, 2, 3):
    for name, padding in (("SAME_UPPER", {"auto_pad": "SAME_UPPER"}), ("SAME_LOWER", {"auto_pad": "SAME_LOWER"}),
                          ("in numbers", {"pads": [dilation] * 4})):
        expected, seen = run(dilation, padding)
        missing = 0 if name == "in numbers" else dilation - 1
        as_described.append(seen == expected[missing:len(expected) - missing])
        print(f"dilation {dilation}, padding {name}: expected {expected}, seen {seen}")
sys.exit(0 if all(as_described) else 1)
PY
