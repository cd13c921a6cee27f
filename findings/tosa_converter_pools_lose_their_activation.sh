#!/usr/bin/env bash
# A MAX_POOL_2D or AVERAGE_POOL_2D of a .tflite file holds the activation that follows it: the LiteRT converter puts a RELU6
# after a pool into it. tosa-converter-for-tflite leaves it out, in float32 and in int8, so what is to be cut at 0 or 6 goes
# on uncut. Nothing is said. Activations in convolutions are kept. Run in the reference model of TOSA.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv venv
venv/bin/pip install --quiet --no-compile tensorflow-cpu==2.21.0
python3 -m venv tools # whose requirements are not TensorFlow's
tools/bin/pip install --quiet --no-compile tosa-converter-for-tflite==2026.2.0 tosa-tools==2026.8.0
TF_CPP_MIN_LOG_LEVEL=3 venv/bin/python - 2> log <<'PY' || { code=$?; tail -n 5 log; exit "$code"; }
import subprocess, sys
import numpy as np
import tensorflow as tf

pixels = np.array([-8, -8, 3, 3, 9, 9], np.float32).reshape(1, 1, 6, 1)
kernel = np.ones((1, 1, 1, 1), np.float32)
networks = {
    "MAX_POOL_2D": lambda x: tf.nn.relu6(tf.nn.max_pool2d(x, [1, 2], [1, 2], "VALID")),
    "AVERAGE_POOL_2D": lambda x: tf.nn.relu6(tf.nn.avg_pool2d(x, [1, 2], [1, 2], "VALID")),
    "CONV_2D": lambda x: tf.nn.relu6(tf.nn.conv2d(x, kernel, [1, 2], "VALID")),
}


def litert_file(network):
    function = tf.function(network, autograph=False, input_signature=[tf.TensorSpec(pixels.shape, tf.float32)])
    return tf.lite.TFLiteConverter.from_concrete_functions([function.get_concrete_function()]).convert()


def run(content):
    """Gives what LiteRT finds, and TOSA's reference model in what the converter makes of the file."""
    litert = tf.lite.Interpreter(model_content=content)
    litert.allocate_tensors()
    litert.set_tensor(litert.get_input_details()[0]["index"], pixels)
    litert.invoke()
    with open("model.tflite", "wb") as file:
        file.write(content)
    np.save("start.npy", pixels)
    for command in (
        "tosa-converter-for-tflite model.tflite --bytecode -o model.mlirbc",
        "tosa-opt model.mlirbc --tosa-serialize --tosa-flatbuffer-filename=model.tosa -o other",
        "tosa_reference_model --tosa_file=model.tosa --flatbuffer_dir=. --output_dir=. --ifm_name=TosaInput_0 "
        "--ifm_file=start.npy --ofm_name=TosaOutput_0 --ofm_file=end.npy",
    ):
        subprocess.run(["tools/bin/" + command.split()[0], *command.split()[1:]], check=True, stdout=sys.stderr)
    expected = litert.get_tensor(litert.get_output_details()[0]["index"])
    return [found.ravel().tolist() for found in (expected, np.load("end.npy"))]


subprocess.run(["tools/bin/tosa-converter-for-tflite", "--version"], check=True)
found = {name: run(litert_file(network)) for name, network in networks.items()}
print("pixels", pixels.ravel().tolist())
for name, (expected, seen) in found.items():
    print(f"{name} with RELU6: LiteRT {expected}, seen {seen}")
uncut = all(found[name] == [[0, 3, 6], [-8, 3, 9]] for name in ("MAX_POOL_2D", "AVERAGE_POOL_2D"))
sys.exit(0 if uncut and found["CONV_2D"][0] == found["CONV_2D"][1] else 1)
PY
