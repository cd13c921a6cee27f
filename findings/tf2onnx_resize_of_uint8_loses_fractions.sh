#!/usr/bin/env bash
# tf.image.resize of uint8 pixels gives float32; tf2onnx writes an ONNX Resize, which gives what comes in,
# uint8: whatever follows sees whole numbers, cut off (0.75 -> 0, 191.75 -> 191), without a word where it is
# a Cast, and a model that onnxruntime cannot load where it is not. Cast pixels before the resize.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv venv
venv/bin/pip install --quiet tf2onnx==1.17.0 onnxruntime==1.32.0 tensorflow-cpu==2.21.0
TF_CPP_MIN_LOG_LEVEL=3 venv/bin/python - <<'PY'
import sys
import numpy as np
import onnxruntime
import tensorflow as tf
import tf2onnx


@tf.function(autograph=False, input_signature=[tf.TensorSpec([1, 2, 2, 1], tf.uint8, "pixels")])
def larger(pixels):
    return {"out": tf.cast(tf.image.resize(pixels, [4, 4]), tf.float16)}


model, _ = tf2onnx.convert.from_function(larger, input_signature=larger.input_signature, opset=18)
pixels = np.array([0, 1, 2, 255], np.uint8).reshape(1, 2, 2, 1)
session = onnxruntime.InferenceSession(model.SerializeToString())
found = session.run(["out"], {"pixels": pixels})[0][0, :, :, 0]
expected = larger(pixels)["out"].numpy()[0, :, :, 0]
print("tf2onnx", tf2onnx.__version__, "onnxruntime", onnxruntime.__version__)
print("TensorFlow, first row: ", expected[0])
print("onnxruntime, first row:", found[0])
sys.exit(0 if expected[0, 2] == 0.75 and found[0, 2] == 0 else 1)
PY
