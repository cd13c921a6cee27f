#!/usr/bin/env bash
# A softmax over the classes of a map should make each pixel's shares add up to 1; OpenCV, reading it from a .tflite
# file, turns the map to channels first and takes the softmax over what stands last there, the columns: each row of
# each class adds up to 1, the classes of a pixel do not, and nothing is said. Masks of a segmenter become others, so do
# scores of a detector that has them as a map. Softmax of a list of boxes is right.
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

HEIGHT, WIDTH, CLASSES = 2, 4, 3
kernel = np.zeros((1, 1, 1, CLASSES), np.float32)
kernel[0, 0, 0] = 0, 1, 2  # logits of a pixel: 0, itself, twice itself
pixels = np.array([[3, 2, 1, 0], [0, 1, 2, 3]], np.float32).reshape(1, HEIGHT, WIDTH, 1)
networks = {
    "map": lambda x: tf.nn.softmax(tf.nn.conv2d(x, kernel, 1, "SAME")),
    "list": lambda x: tf.nn.softmax(tf.reshape(tf.nn.conv2d(x, kernel, 1, "SAME"), [1, HEIGHT * WIDTH, CLASSES])),
}
print("opencv", cv2.__version__)
found = {}
for name, network in networks.items():
    function = tf.function(network, autograph=False, input_signature=[tf.TensorSpec(pixels.shape, tf.float32)])
    content = tf.lite.TFLiteConverter.from_concrete_functions([function.get_concrete_function()]).convert()
    litert = tf.lite.Interpreter(model_content=content)
    litert.allocate_tensors()
    litert.set_tensor(litert.get_input_details()[0]["index"], pixels)
    litert.invoke()
    expected = litert.get_tensor(litert.get_output_details()[0]["index"])
    net = cv2.dnn.readNetFromTFLite(np.frombuffer(content, np.uint8))
    net.setInput(np.ascontiguousarray(pixels.transpose(0, 3, 1, 2)))  # it takes channels first
    seen = net.forward()
    if name == "map":
        seen = seen.transpose(0, 2, 3, 1)  # and gives them
    found[name] = expected, seen
    first = expected.reshape(-1, CLASSES)[0].round(3), seen.reshape(-1, CLASSES)[0].round(3)
    print(f"{name}: first pixel's classes expected {first[0]}, seen {first[1]}; sums of all pixels' classes",
          seen.sum(-1).ravel().round(2))
expected, seen = found["map"]
over_columns = np.allclose(seen.sum(2), 1) and not np.allclose(seen.sum(3), 1)
other_classes = (expected.argmax(-1) != seen.argmax(-1)).any()
print("pixels whose surest class is another:", int((expected.argmax(-1) != seen.argmax(-1)).sum()), "of 8")
sys.exit(0 if over_columns and other_classes and np.allclose(*found["list"], atol=1e-5) else 1)
PY
