#!/usr/bin/env bash
# OpenVINO should take the pixels that TensorFlow and LiteRT take in tf.image.resize(..., "nearest"); from a .tflite
# file it reads the operation without its half_pixel_centers, from a SavedModel of the same function with it.
# Halving takes the other pixel of each pair (0 and 2 for 1 and 3), and a pyramid level of 3 rows brought to 5 is
# another one. Doubling is right, so a model can be right at one input size and wrong at the next.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv venv
venv/bin/pip install --quiet openvino==2026.4.1 tensorflow-cpu==2.21.0
TF_CPP_MIN_LOG_LEVEL=3 venv/bin/python - 2> log <<'PY' || { code=$?; tail -n 5 log; exit "$code"; }
import importlib.metadata, sys
import numpy as np
import openvino
import tensorflow as tf

core, different = openvino.Core(), []
print("openvino", importlib.metadata.version("openvino"))
print("expected: the same pixels everywhere")
for before, after in ((4, 2), (3, 5), (5, 3), (4, 8)):
    module = tf.Module()
    module.resize = tf.function(
        lambda x: tf.image.resize(x, (after, 1), "nearest"),
        input_signature=[tf.TensorSpec([1, before, 1, 1], tf.float32)], autograph=False,
    )
    function = module.resize.get_concrete_function()
    tf.saved_model.save(module, "saved", signatures=function)
    content = tf.lite.TFLiteConverter.from_concrete_functions([function], module).convert()
    open("resize.tflite", "wb").write(content)
    rows = np.arange(before, dtype=np.float32).reshape(1, before, 1, 1)
    litert = tf.lite.Interpreter(model_content=content)
    litert.allocate_tensors()
    litert.set_tensor(litert.get_input_details()[0]["index"], rows)
    litert.invoke()
    f32 = {"INFERENCE_PRECISION_HINT": "f32"}
    found = {
        "TensorFlow": module.resize(rows).numpy(),
        "LiteRT": litert.get_tensor(litert.get_output_details()[0]["index"]),
        "OpenVINO, SavedModel": core.compile_model(openvino.convert_model("saved"), "CPU", f32)(rows)[0],
        "OpenVINO, .tflite": core.compile_model("resize.tflite", "CPU", f32)(rows)[0],
    }
    found = {name: value.ravel().astype(int).tolist() for name, value in found.items()}
    print(f"seen, rows {before} -> {after}:", ", ".join(f"{name} {value}" for name, value in found.items()))
    truth = found["TensorFlow"]
    different.append([name for name, value in found.items() if value != truth])
sys.exit(0 if different == [["OpenVINO, .tflite"]] * 3 + [[]] else 1)
PY
