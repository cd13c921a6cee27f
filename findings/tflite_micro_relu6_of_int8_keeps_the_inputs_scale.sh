#!/usr/bin/env bash
# A RELU6 of its own in an int8 file, as the converter writes after a concatenation, has an output scale of 6/255 and
# another one for its input: bytes are to be brought from one to the other. TensorFlow Lite Micro's kernel cuts the
# input's bytes at its own 0 and 6 and hands them on as they are, so the output's scale reads other values out of them.
# Nothing is said. A RELU6 in a convolution, and RELU in the same place, are right.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv venv
venv/bin/pip install --quiet --no-compile tflite-micro==0.dev20261023182759 tensorflow-cpu==2.21.0
TF_CPP_MIN_LOG_LEVEL=3 venv/bin/python - 2> log <<'PY' || { code=$?; tail -n 5 log; exit "$code"; }
import importlib.metadata, sys
import numpy as np
import tensorflow as tf
from tflite_micro import runtime

pixels = np.array([-2, -1, 0, 1, 2, 3, 4, 8], np.float32).reshape(1, 2, 2, 2)
kernel = np.eye(2, dtype=np.float32).reshape(1, 1, 2, 2)
networks = {
    "RELU6 after a concatenation": lambda x: tf.nn.relu6(tf.concat([x, x], 3)),
    "RELU after a concatenation": lambda x: tf.nn.relu(tf.concat([x, x], 3)),
    "RELU6 in a convolution": lambda x: tf.nn.relu6(tf.nn.conv2d(x, kernel, 1, "SAME")),
}


def int8_file(network):
    function = tf.function(network, autograph=False, input_signature=[tf.TensorSpec(pixels.shape, tf.float32)])
    converter = tf.lite.TFLiteConverter.from_concrete_functions([function.get_concrete_function()])
    converter.optimizations = [tf.lite.Optimize.DEFAULT]
    converter.representative_dataset = lambda: [[pixels]]
    converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
    converter.inference_input_type = converter.inference_output_type = tf.int8
    return converter.convert()


def run(content):
    """Gives the values that both runtimes find, as numbers again."""
    litert = tf.lite.Interpreter(model_content=content)
    litert.allocate_tensors()
    (end,), (start,) = litert.get_output_details(), litert.get_input_details()
    scale, zero = start["quantization"]
    given = np.clip(np.round(pixels / scale) + zero, -128, 127).astype(np.int8)
    litert.set_tensor(start["index"], given)
    litert.invoke()
    micro = runtime.Interpreter.from_bytes(content, arena_size=100_000)
    micro.set_input(given, 0)
    micro.invoke()
    scale, zero = end["quantization"]
    return [(values.astype(float) - zero) * scale for values in (litert.get_tensor(end["index"]), micro.get_output(0))]


print("tflite-micro", importlib.metadata.version("tflite-micro"))
right = {}
for name, network in networks.items():
    expected, seen = run(int8_file(network))
    right[name] = np.allclose(expected, seen, atol=0.05)
    first = [values.reshape(4, -1)[:, :2].ravel().round(2).tolist() for values in (expected, seen)]
    print(f"{name} of {pixels.ravel().tolist()}: LiteRT {first[0]}, seen {first[1]}")
sys.exit(0 if list(right.values()) == [False, True, True] else 1)
PY
