#!/usr/bin/env bash
# SPACE_TO_BATCH_ND, which stands before a dilated convolution, pads with zeros: in an int8 file that is the byte of the
# zero point. TensorFlow Lite Micro pads with another byte (0, as a rule), so the edge of the map is no longer 0 but, where
# the zero point is -64, some way up. Nothing is said. PAD in the same place is right.
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

MARGIN = [[2, 0], [2, 0]]  # above and at the left
networks = {
    "SPACE_TO_BATCH_ND": lambda x: tf.space_to_batch(x, [2, 2], MARGIN),
    "PAD": lambda x: tf.pad(x, [[0, 0], *MARGIN, [0, 0]]),
}


def int8_file(network, pixels):
    function = tf.function(network, autograph=False, input_signature=[tf.TensorSpec(pixels.shape, tf.float32)])
    converter = tf.lite.TFLiteConverter.from_concrete_functions([function.get_concrete_function()])
    converter.optimizations = [tf.lite.Optimize.DEFAULT]
    converter.representative_dataset = lambda: [[pixels]]
    converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
    converter.inference_input_type = converter.inference_output_type = tf.int8
    return converter.convert()


def run(content, pixels):
    """Gives the first number, one of the margin, and all others by both runtimes, as numbers again."""
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
    found = [(values.astype(float) - zero) * scale for values in (litert.get_tensor(end["index"]), micro.get_output(0))]
    return zero, *found


print("tflite-micro", importlib.metadata.version("tflite-micro"))
described = []
for low, high in ((-1, 3), (0, 4)):
    pixels = np.linspace(low, high, 16, dtype=np.float32).reshape(1, 4, 4, 1)
    for name, network in networks.items():
        zero, expected, seen = run(int8_file(network, pixels), pixels)
        margin = expected == 0
        same_inside = np.allclose(expected[~margin], seen[~margin], atol=0.05)
        same_margin = np.allclose(seen[margin], 0, atol=0.05)
        described.append(same_inside and same_margin == (name == "PAD"))
        print(f"{name}, zero point {zero}: margin LiteRT {expected.ravel()[0]:.2f}, seen {seen.ravel()[0]:.2f};",
              "the rest equal" if same_inside else "the rest differs")
sys.exit(0 if all(described) else 1)
PY
