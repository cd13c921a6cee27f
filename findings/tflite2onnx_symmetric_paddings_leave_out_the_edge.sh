#!/usr/bin/env bash
# A padding by mirroring is of two kinds: REFLECT takes the edge as the mirror, c b [a b c], SYMMETRIC has the mirror behind
# it, a [a b c]. tflite2onnx writes mode "reflect" for each MIRROR_PAD without looking at which it is, so symmetric padding
# takes the pixels one further in: a column of 1 2 3 is padded to 2 1 2 3 2 where 1 1 2 3 3 was meant. Nothing is said.
# Reflected paddings, and those with zeros, are right.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv venv
venv/bin/pip install --quiet --no-compile tflite2onnx==0.4.1 tflite==2.18.0 ai-edge-litert==2.3.0 flatbuffers==25.12.19 \
    onnx==1.23.2 onnxruntime==1.32.0 numpy==2.4.6
venv/bin/python - 2> log <<'PY' || { code=$?; tail -n 5 log; exit "$code"; }
import importlib.metadata, sys
import flatbuffers
import numpy as np
import onnx, onnxruntime, tflite2onnx
from ai_edge_litert import schema_py_generated as schema
from ai_edge_litert.interpreter import Interpreter

PADS = np.array([[0, 0], [1, 1], [0, 0], [0, 0]], np.int32)  # a row above and below
column = np.array([1, 2, 3], np.float32).reshape(1, 3, 1, 1)


def made(**settings):
    """Gives a part of a .tflite file."""
    (kind, values), = settings.items()
    part = getattr(schema, kind + "T")()
    for name, value in values.items():
        setattr(part, name, value)
    return part


def write(path, mode):
    """Writes a network of one padding; with zeros without a mode."""
    tensors = [made(Tensor={"name": name, "shape": shape, "type": kind, "buffer": buffer}) for name, shape, kind, buffer in (
        ("column", [1, 3, 1, 1], schema.TensorType.FLOAT32, 0), ("pads", [4, 2], schema.TensorType.INT32, 1),
        ("padded", [1, 5, 1, 1], schema.TensorType.FLOAT32, 0))]
    name = "PAD" if mode is None else "MIRROR_PAD"
    code = getattr(schema.BuiltinOperator, name)
    options = made(PadOptions={}) if mode is None else made(MirrorPadOptions={"mode": mode})
    operator = made(Operator={
        "opcodeIndex": 0, "inputs": [0, 1], "outputs": [2], "builtinOptions": options,
        "builtinOptionsType": getattr(schema.BuiltinOptions, type(options).__name__[:-1])})
    graph = made(SubGraph={"tensors": tensors, "inputs": [0], "outputs": [2], "operators": [operator]})
    model = made(Model={
        "version": 3, "subgraphs": [graph],
        "operatorCodes": [made(OperatorCode={"builtinCode": code, "deprecatedBuiltinCode": code, "version": 1})],
        "buffers": [made(Buffer={}), made(Buffer={"data": np.frombuffer(PADS.tobytes(), np.uint8)})]})
    builder = flatbuffers.Builder(1024)
    builder.Finish(model.Pack(builder), b"TFL3")
    with open(path, "wb") as file:
        file.write(builder.Output())


print("tflite2onnx", importlib.metadata.version("tflite2onnx"))
found = {}
for name, mode in (("zeros", None), ("reflect", schema.MirrorPadMode.REFLECT), ("symmetric", schema.MirrorPadMode.SYMMETRIC)):
    write(f"{name}.tflite", mode)
    litert = Interpreter(f"{name}.tflite")
    litert.allocate_tensors()
    litert.set_tensor(litert.get_input_details()[0]["index"], column)
    litert.invoke()
    expected = litert.get_tensor(litert.get_output_details()[0]["index"])
    tflite2onnx.convert(f"{name}.tflite", f"{name}.onnx")
    onnx.checker.check_model(f"{name}.onnx", full_check=True)
    session = onnxruntime.InferenceSession(f"{name}.onnx", providers=["CPUExecutionProvider"])
    seen = session.run(None, {"column": column})[0]
    found[name] = [result.ravel().astype(int).tolist() for result in (expected, seen)]
    print(f"{name}: LiteRT {found[name][0]}, the ONNX file {found[name][1]}")
wanted = {"zeros": [[0, 1, 2, 3, 0]] * 2, "reflect": [[2, 1, 2, 3, 2]] * 2,
          "symmetric": [[1, 1, 2, 3, 3], [2, 1, 2, 3, 2]]}
sys.exit(0 if found == wanted else 1)
PY
