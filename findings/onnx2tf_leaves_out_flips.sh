#!/usr/bin/env bash
# A Slice from the last column to the first, step -1, is how PyTorch writes torch.flip into ONNX (a mirrored second pass,
# or BGR to RGB on channels); what onnx2tf makes of it does not flip. The file converts, runs and has the right shape, so
# a mirrored pass is looked for in the picture that was there before, and its boxes are mirrored all the same.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv venv
venv/bin/pip install --quiet tensorflow-cpu==2.21.0 onnx==1.23.2 onnxruntime==1.32.0 onnx-graphsurgeon==0.6.1 \
  ai-edge-litert==2.3.0 simple-onnx-processing-tools==1.1.32 psutil==7.2.2 requests onnxsim==0.8.1 onnxoptimizer==0.4.2
# Both ask for TensorFlow with CUDA; the CPU's is enough.
venv/bin/pip install --quiet --no-deps onnx2tf==1.29.24 tf-keras==2.21.0
TF_CPP_MIN_LOG_LEVEL=3 venv/bin/python - 2> log <<'PY' || { code=$?; tail -n 5 log; exit "$code"; }
import importlib.metadata, sys
import numpy as np
import onnx, onnx2tf, onnxruntime
import tensorflow as tf
from onnx import helper, numpy_helper

SMALLEST = -(2**63) + 1  # the end that PyTorch's exporter writes for torch.flip
maps = np.arange(1 * 4 * 2 * 5, dtype=np.float32).reshape(1, 4, 2, 5)


def run(axis, start, end):
    names = ["maps", "start", "end", "axis", "step"]
    nodes = [helper.make_node("Slice", names, ["flipped"]), helper.make_node("Neg", ["flipped"], ["result"])]
    kinds = [helper.make_tensor_value_info("maps", onnx.TensorProto.FLOAT, maps.shape)]
    values = zip(names[1:], (start, end, axis, -1))
    constants = [numpy_helper.from_array(np.array([value], np.int64), name) for name, value in values]
    outputs = [helper.make_tensor_value_info("result", onnx.TensorProto.FLOAT, maps.shape)]
    graph = helper.make_graph(nodes, "graph", kinds, outputs, constants)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    onnx.checker.check_model(model, full_check=True)
    onnx.save(model, "flip.onnx")
    session = onnxruntime.InferenceSession("flip.onnx", providers=["CPUExecutionProvider"])
    expected = session.run(None, {"maps": maps})[0]
    onnx2tf.convert(input_onnx_file_path="flip.onnx", output_folder_path="made", non_verbose=True)
    litert = tf.lite.Interpreter("made/flip_float32.tflite")
    litert.allocate_tensors()
    litert.set_tensor(litert.get_input_details()[0]["index"], maps.transpose(0, 2, 3, 1))
    litert.invoke()
    seen = litert.get_tensor(litert.get_output_details()[0]["index"]).transpose(0, 3, 1, 2)
    return -expected, -seen


print("onnx2tf", importlib.metadata.version("onnx2tf"))
asleep = []
for name, axis in (("columns", 3), ("rows", 2), ("channels", 1)):
    expected, seen = run(axis, -1, SMALLEST)
    asleep.append(np.array_equal(seen, maps) and not np.array_equal(expected, maps))
    line = [0, 0, 0, 0]
    line[axis] = slice(None)
    print(f"flip of the {name}: expected {expected[tuple(line)].astype(int)}, seen {seen[tuple(line)].astype(int)}")
sys.exit(0 if all(asleep) else 1)
PY
