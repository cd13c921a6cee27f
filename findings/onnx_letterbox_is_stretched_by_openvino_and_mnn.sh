#!/usr/bin/env bash
# ONNX's Resize has had keep_aspect_ratio_policy since opset 18: "not_larger" brings a photo of 640 x 480 into
# 320 x 320 as 320 x 240, the first half of letterboxing, inside the file. OpenVINO and MNN take no notice of it (nor
# of antialias) and give 320 x 320, without a word: what the network sees is stretched, and boxes that are brought back
# by the letterbox's factor are off by up to a quarter of the photo's height. antialias=1 gives the pixels of antialias=0.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv venv
venv/bin/pip install --quiet openvino==2026.4.1 mnn==3.6.1 onnx==1.23.2 onnxruntime==1.32.0 numpy==2.4.6
cat > convert.py <<'PY'
import _tools  # what the command mnnconvert calls
_tools.mnnconvert(["mnnconvert", "-f", "ONNX", "--modelFile", "a.onnx", "--MNNModel", "a.mnn", "--bizCode", "x"])
PY
venv/bin/python - <<'PY'
import importlib.metadata, os, subprocess, sys
import MNN
import MNN.expr
import numpy as np
import onnx, onnxruntime, openvino
from onnx import helper, numpy_helper


def run(photo, size, **attributes):
    node = helper.make_node("Resize", ["photo", "", "", "size"], ["small"], mode="linear", **attributes)
    inputs = [helper.make_tensor_value_info("photo", onnx.TensorProto.FLOAT, photo.shape)]
    outputs = [helper.make_tensor_value_info("small", onnx.TensorProto.FLOAT, [1, 1, "height", "width"])]
    constants = [numpy_helper.from_array(np.array(size, np.int64), "size")]
    graph = helper.make_graph([node], "graph", inputs, outputs, constants)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=8)
    onnx.checker.check_model(model, full_check=True)
    onnx.save(model, "a.onnx")
    session = onnxruntime.InferenceSession("a.onnx", providers=["CPUExecutionProvider"])
    found = {"onnxruntime": session.run(None, {"photo": photo})[0]}
    f32 = {"INFERENCE_PRECISION_HINT": "f32"}
    found["OpenVINO"] = openvino.Core().compile_model("a.onnx", "CPU", f32)(photo)[0]
    if os.path.exists("a.mnn"):
        os.remove("a.mnn")
    subprocess.run([sys.executable, "convert.py"], check=True, capture_output=True)
    placed = MNN.expr.placeholder(list(photo.shape), MNN.expr.NCHW)
    placed.write(photo)
    output = MNN.nn.load_module_from_file("a.mnn", ["photo"], ["small"]).forward([placed])[0]
    if output.data_format == MNN.expr.NC4HW4:
        output = MNN.expr.convert(output, MNN.expr.NCHW)
    found["MNN"] = np.array(output.read())
    return found


print("openvino", openvino.__version__, "mnn", importlib.metadata.version("mnn"))
photo = np.zeros((1, 1, 480, 640), np.float32)
letterbox = run(photo, [320, 320], axes=[2, 3], keep_aspect_ratio_policy="not_larger")
shapes = {name: value.shape[2:] for name, value in letterbox.items()}
print("not_larger, expected (240, 320), seen:", shapes)
columns = np.array([0, 0, 0, 0, 0, 9, 0, 0], np.float32).reshape(1, 1, 1, 8)  # one bright column of eight
smooth = {name: [round(float(pixel), 2) for pixel in value.ravel()] for name, value in run(columns, [1, 1, 1, 2], antialias=1).items()}
print("8 columns to 2 with antialias=1, expected the bright one in them, seen:", smooth)
plain = {name: [round(float(pixel), 2) for pixel in value.ravel()] for name, value in run(columns, [1, 1, 1, 2]).items()}
stretched = shapes == {"onnxruntime": (240, 320), "OpenVINO": (320, 320), "MNN": (320, 320)}
sharp = all((smooth[name] == plain[name]) == (name != "onnxruntime") for name in smooth)
sys.exit(0 if stretched and sharp else 1)
PY
