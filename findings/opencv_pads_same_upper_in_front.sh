#!/usr/bin/env bash
# auto_pad SAME_UPPER puts the odd pixel of padding behind the picture, as TensorFlow's SAME does; OpenCV puts it in
# front. A convolution or pooling of 3 or 5 pixels that halves an even picture, as the first of most networks does,
# sees it a pixel further to the left and top, each halving adds to that, and nothing is said.
# tf2onnx writes SAME_UPPER where a model leaves the size of its pictures open. Padding in numbers comes out right.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv venv
venv/bin/pip install --quiet opencv-python-headless==5.0.0.93 onnx==1.23.2 onnxruntime==1.32.0 numpy==2.4.6
venv/bin/python - <<'PY'
import sys
import cv2
import numpy as np
import onnx, onnxruntime
from onnx import helper, numpy_helper

SIZE = 8
columns = np.tile(np.arange(1, SIZE + 1, dtype=np.float32), (1, 1, SIZE, 1))  # each pixel is its column's number


def run(operation, size, padding):
    """Gives the first row of what onnxruntime and OpenCV make of the columns with a stride of 2."""
    kernel = np.zeros((1, 1, size, size), np.float32)
    kernel[0, 0, size // 2, size // 2] = 1  # takes the pixel in its middle as it is
    names = ["image", "kernel"] if operation == "Conv" else ["image"]
    node = helper.make_node(operation, names, ["map"], kernel_shape=[size, size], strides=[2, 2], **padding)
    kinds = [helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, [1, 1, width, width])
             for name, width in (("image", SIZE), ("map", SIZE // 2))]
    constants = [numpy_helper.from_array(kernel, "kernel")] if operation == "Conv" else []
    graph = helper.make_graph([node], "graph", kinds[:1], kinds[1:], constants)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    onnx.checker.check_model(model, full_check=True)
    onnx.save(model, "halving.onnx")
    session = onnxruntime.InferenceSession("halving.onnx", providers=["CPUExecutionProvider"])
    expected = session.run(None, {"image": columns})[0]
    net = cv2.dnn.readNetFromONNX("halving.onnx")
    net.setInput(columns)
    return expected[0, 0, 0].tolist(), net.forward()[0, 0, 0].tolist()


print("opencv", cv2.__version__)
wrong, right = [], []
for operation, size in (("Conv", 3), ("Conv", 5), ("MaxPool", 3), ("AveragePool", 3)):
    front = (size - 2) // 2
    numbers = {"pads": [front, front, size - 2 - front, size - 2 - front]}
    for padding, found in (({"auto_pad": "SAME_UPPER"}, wrong), (numbers, right)):
        expected, seen = run(operation, size, padding)
        found.append(expected == seen)
        print(f"{operation} of {size}, {padding}: expected {expected}, seen {seen}")
sys.exit(0 if not any(wrong) and all(right) else 1)
PY
