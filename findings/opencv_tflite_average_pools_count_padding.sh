#!/usr/bin/env bash
# Average pooling of TensorFlow and LiteRT takes the mean of the pixels that there are; OpenCV, reading it from a
# .tflite file, counts the padding of SAME as pixels of 0: along all edges a map gets 2/3 of its values, in the corners
# 4/9, and nothing is said. What lies at the photo's edge looks weaker to all that follows. Pools that need no padding
# are right.
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

image = np.full((1, 6, 6, 1), 9, np.float32)  # the mean is 9 everywhere


def run(size, stride, padding):
    """Gives what LiteRT and OpenCV make of the image by average pooling."""
    function = tf.function(
        lambda x: tf.nn.avg_pool2d(x, size, stride, padding),
        autograph=False, input_signature=[tf.TensorSpec(image.shape, tf.float32)],
    )
    content = tf.lite.TFLiteConverter.from_concrete_functions([function.get_concrete_function()]).convert()
    litert = tf.lite.Interpreter(model_content=content)
    litert.allocate_tensors()
    litert.set_tensor(litert.get_input_details()[0]["index"], image)
    litert.invoke()
    expected = litert.get_tensor(litert.get_output_details()[0]["index"])[0, :, :, 0]
    net = cv2.dnn.readNetFromTFLite(np.frombuffer(content, np.uint8))
    net.setInput(np.ascontiguousarray(image.transpose(0, 3, 1, 2)))  # it takes channels first
    return expected, net.forward()[0, 0]


print("opencv", cv2.__version__)
maps = {}
for case in ((3, 1, "SAME"), (3, 1, "VALID"), (2, 2, "SAME")):
    expected, seen = maps[case] = run(*case)
    for name, found in (("expected", expected), ("seen", seen)):
        print(f"pools of {case[0]}, stride {case[1]}, {case[2]}, {name}: first rows {found[:2].tolist()}")
shares = np.array([4, 6, 6, 6, 6, 4]) / 6  # of the three pixels, two are there at an edge
right = all(np.allclose(*maps[case]) for case in list(maps)[1:])
expected, seen = maps[3, 1, "SAME"]
sys.exit(0 if right and np.allclose(expected, 9) and np.allclose(seen, 9 * np.outer(shares, shares)) else 1)
PY
