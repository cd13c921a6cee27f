#!/usr/bin/env bash
# tf.image.resize(..., "nearest") to twice the size should repeat every pixel, 0 0 1 1 2 2 3 3; MNN's converter
# makes 0 0 0 1 1 2 2 3 of the .tflite file: all after the first is one pixel late, the last pixel is there once.
# A feature pyramid does this on every way down, so each level is added to the next beside its place; the file
# converts and runs, and boxes fit worse. The older form without half_pixel_centers comes out right.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv venv
venv/bin/pip install --quiet mnn==3.6.1 tensorflow-cpu==2.21.0
cat > convert.py <<'PY'
import sys, _tools  # what the command mnnconvert calls
_tools.mnnconvert(["mnnconvert", "-f", "TFLITE", "--bizCode", "x",
                   "--modelFile", sys.argv[1], "--MNNModel", sys.argv[2]])
PY
TF_CPP_MIN_LOG_LEVEL=3 venv/bin/python - 2> log <<'PY' || { code=$?; tail -n 5 log; exit "$code"; }
import importlib.metadata, subprocess, sys
import MNN
import MNN.expr
import numpy as np
import tensorflow as tf

pixels = np.arange(4, dtype=np.float32).reshape(1, 4, 1, 1)
resizes = {
    "tf.image.resize": lambda x: tf.image.resize(x, (8, 1), "nearest"),
    "without half_pixel_centers": lambda x: tf.raw_ops.ResizeNearestNeighbor(images=x, size=(8, 1)),
}
print("mnn", importlib.metadata.version("mnn"))
seen = {}
for name, resize in resizes.items():
    function = tf.function(resize, input_signature=[tf.TensorSpec(pixels.shape)], autograph=False)
    content = tf.lite.TFLiteConverter.from_concrete_functions([function.get_concrete_function()]).convert()
    open("resize.tflite", "wb").write(content)
    litert = tf.lite.Interpreter(model_content=content)
    litert.allocate_tensors()
    litert.set_tensor(litert.get_input_details()[0]["index"], pixels)
    litert.invoke()
    expected = litert.get_tensor(litert.get_output_details()[0]["index"]).ravel().astype(int).tolist()
    subprocess.run([sys.executable, "convert.py", "resize.tflite", "resize.mnn"], check=True, capture_output=True)
    placed = MNN.expr.placeholder([1, 4, 1, 1], MNN.expr.NHWC)
    placed.write(pixels)
    output = MNN.nn.load_module_from_file("resize.mnn", [], []).forward([placed])[0]
    if output.data_format == MNN.expr.NC4HW4:
        output = MNN.expr.convert(output, MNN.expr.NHWC)
    seen[name] = np.array(output.read()).ravel().astype(int).tolist()
    print(f"{name}: expected {expected}, as LiteRT; seen {seen[name]}")
wanted = {"tf.image.resize": [0, 0, 0, 1, 1, 2, 2, 3], "without half_pixel_centers": [0, 0, 1, 1, 2, 2, 3, 3]}
sys.exit(0 if seen == wanted else 1)
PY
