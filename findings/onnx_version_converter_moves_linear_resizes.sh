#!/usr/bin/env bash
# Bringing a file of opset 7 to 10 to a newer opset should not change what it computes; onnx's own version converter
# leaves linear Upsample and Resize without coordinate_transformation_mode, whose default since opset 11 is half_pixel,
# while onnxruntime and OpenVINO lay pixels of the older opsets out from the corner, as "asymmetric" does. Doubling
# moves the map by a quarter of a pixel, halving mixes two pixels for one, and nothing is said. Nearest stays as it was.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv venv
venv/bin/pip install --quiet onnx==1.23.2 onnxruntime==1.32.0 openvino==2026.4.1 numpy==2.4.6
venv/bin/python - <<'PY'
import sys
import numpy as np
import onnx, onnxruntime, openvino
from onnx import helper, numpy_helper, version_converter

row = np.arange(1, 5, dtype=np.float32).reshape(1, 1, 1, 4)


def old_file(operation, opset, mode, factor):
    """Makes a model of one resize that scales the width."""
    node = helper.make_node(operation, ["row", "scales"], ["scaled"], mode=mode)
    kinds = [helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, [1, 1, 1, width])
             for name, width in (("row", 4), ("scaled", int(4 * factor)))]
    scales = numpy_helper.from_array(np.array([1, 1, 1, factor], np.float32), "scales")
    graph = helper.make_graph([node], "graph", kinds[:1], kinds[1:], [scales])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=8)
    onnx.checker.check_model(model, full_check=True)
    return model


def run(model):
    """Gives what onnxruntime and OpenVINO make of the row."""
    onnx.save(model, "model.onnx")
    session = onnxruntime.InferenceSession("model.onnx", providers=["CPUExecutionProvider"])
    compiled = openvino.Core().compile_model("model.onnx", "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
    return session.run(None, {"row": row})[0].ravel(), compiled(row)[0].ravel()


print("onnx", onnx.__version__)
as_described = []
for operation, opset, mode, factor in (("Upsample", 9, "linear", 2), ("Resize", 10, "linear", 2),
                                       ("Resize", 10, "linear", 0.5), ("Upsample", 9, "nearest", 2),
                                       ("Resize", 10, "nearest", 0.5)):
    old = old_file(operation, opset, mode, factor)
    before, after = run(old), run(version_converter.convert_version(old, 18))
    agree = all(np.allclose(*pair, atol=1e-5) for pair in (before, after))
    stays = np.allclose(before[0], after[0], atol=1e-5)
    as_described.append(agree and stays == (mode == "nearest"))
    print(f"{operation} of opset {opset}, {mode}, by {factor}: expected {before[0].tolist()}, as before,"
          f" seen {after[0].tolist()}; OpenVINO {'agrees on both' if agree else 'differs'}")
sys.exit(0 if all(as_described) else 1)
PY
