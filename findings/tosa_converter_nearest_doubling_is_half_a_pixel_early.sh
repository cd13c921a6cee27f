#!/usr/bin/env bash
# RESIZE_NEAREST_NEIGHBOR of a .tflite file, without half_pixel_centers, rounds down: doubled, pixels 0 1 2 3 become
# 0 0 1 1 2 2 3 3. tosa-converter-for-tflite makes a tosa.resize with the offset 0 of it, which rounds to the nearest, halves
# up: 0 1 1 2 2 3 3 3, another pixel in each second place; with a factor of 3, in each third. Feature pyramids double so.
# Nothing is said. With half_pixel_centers it is right, as are bilinear ones. Run in the reference model of TOSA.
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

pixels = np.arange(4, dtype=np.float32).reshape(1, 1, 4, 1)


def litert_file(operation, columns, half_pixels):
    def network(images):
        return operation(images=images, size=[1, columns], half_pixel_centers=half_pixels)

    function = tf.function(network, autograph=False, input_signature=[tf.TensorSpec(pixels.shape, tf.float32)])
    return tf.lite.TFLiteConverter.from_concrete_functions([function.get_concrete_function()]).convert()


def run(content):
    """Gives the row that LiteRT finds, and TOSA's reference model in what the converter makes of the file."""
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
nearest, bilinear = tf.raw_ops.ResizeNearestNeighbor, tf.raw_ops.ResizeBilinear
cases = {
    "nearest, 8 columns": (nearest, 8, False),
    "nearest, 12 columns": (nearest, 12, False),
    "nearest, 8 columns, half_pixel_centers": (nearest, 8, True),
    "bilinear, 8 columns": (bilinear, 8, False),
}
found = [run(litert_file(*case)) for case in cases.values()]
for name, (expected, seen) in zip(cases, found):
    print(f"{name}: LiteRT {expected}, seen {seen}")
early = found[0] == [[0, 0, 1, 1, 2, 2, 3, 3], [0, 1, 1, 2, 2, 3, 3, 3]]
sys.exit(0 if early and found[1][0] != found[1][1] and all(np.allclose(*pair) for pair in found[2:]) else 1)
PY
