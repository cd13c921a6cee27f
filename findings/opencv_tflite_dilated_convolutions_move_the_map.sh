#!/usr/bin/env bash
# A dilated convolution with SAME padding should leave what it sees where it was; OpenCV, reading it from a .tflite
# file, pads as if it were not dilated and the rest at the far side: the map moves left and up by one pixel with
# a dilation of 2 and by two with 3, in depthwise convolutions too, and nothing is said. Objects and masks of a network
# with such layers, as DeepLab's, come out in another place. VALID padding and a dilation of 1 are right.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv venv
venv/bin/pip install --quiet opencv-python-headless==5.0.0.93 tensorflow-cpu==2.21.0
TF_CPP_MIN_LOG_LEVEL=3 venv/bin/python - 2> log <<'PY' || { code=$?; tail -n 5 log; exit "$code"; }
import sys
import cv2
import numpy as np
import tensorflow as tf

SIZE = 8
columns = np.tile(np.arange(1, SIZE + 1, dtype=np.float32).reshape(1, 1, SIZE, 1), (1, SIZE, 1, 1))
kernel = np.zeros((3, 3, 1, 1), np.float32)
kernel[1, 1] = 1  # gives each pixel as it is


def run(operation, dilation, padding):
    """Gives a middle row of what LiteRT and OpenCV make of a picture whose pixels are their columns' numbers."""
    if operation == "plain":
        network = lambda x: tf.nn.conv2d(x, kernel, 1, padding, dilations=dilation)
    else:
        network = lambda x: tf.nn.depthwise_conv2d(x, kernel, [1] * 4, padding, dilations=[dilation] * 2)
    function = tf.function(network, autograph=False, input_signature=[tf.TensorSpec(columns.shape, tf.float32)])
    content = tf.lite.TFLiteConverter.from_concrete_functions([function.get_concrete_function()]).convert()
    litert = tf.lite.Interpreter(model_content=content)
    litert.allocate_tensors()
    litert.set_tensor(litert.get_input_details()[0]["index"], columns)
    litert.invoke()
    expected = litert.get_tensor(litert.get_output_details()[0]["index"])
    net = cv2.dnn.readNetFromTFLite(np.frombuffer(content, np.uint8))
    net.setInput(np.ascontiguousarray(columns.transpose(0, 3, 1, 2)))  # it takes channels first
    seen = net.forward()
    return expected[0, 1, :, 0].astype(int).tolist(), seen[0, 0, 1].astype(int).tolist()


print("opencv", cv2.__version__)
moved = {1: 0, 2: 1, 3: 2}
as_described = []
for operation in ("plain", "depthwise"):
    for dilation, pixels in moved.items():
        expected, seen = run(operation, dilation, "SAME")
        print(f"{operation}, dilation {dilation}, SAME: expected {expected}, seen {seen}")
        as_described.append(seen == expected[pixels:] + [0] * pixels)
    expected, seen = run(operation, 2, "VALID")
    print(f"{operation}, dilation 2, VALID: expected {expected}, seen {seen}")
    as_described.append(seen == expected)
sys.exit(0 if all(as_described) else 1)
PY
