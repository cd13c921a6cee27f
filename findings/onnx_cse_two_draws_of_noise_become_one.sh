#!/usr/bin/env bash
# Each RandomNormal of a network draws numbers of its own. onnx-cse takes two nodes that read alike for two ways to write
# the same value and keeps one, so noise added in two places is the same noise: two draws that should be unlike become
# equal, and their difference is 0 everywhere. Noise that follows a map's shape and draws of classes go the same way.
# Nothing is said. Draws whose nodes have seeds of their own stay two.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv venv
venv/bin/pip install --quiet --no-compile onnx-cse==0.3.1 xxhash==3.8.2 onnx==1.23.2 onnxruntime==1.32.0 numpy==2.4.6
venv/bin/python - <<'PY'
import importlib.metadata, sys
import numpy as np
import onnx, onnxruntime
from onnx import helper
from onnx_cse import eliminate_common_subexpressions

SHAPE = [1, 64]
CASES = {
    "RandomNormal": ({"shape": SHAPE}, [None, None]),
    "RandomUniform": ({"shape": SHAPE}, [None, None]),
    "RandomNormalLike": ({}, [None, None]),
    "Multinomial": ({"sample_size": 64}, [None, None]),
    "RandomNormal with seeds 1 and 2": ({"shape": SHAPE}, [1.0, 2.0]),
}


def draws(model):
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    return session.run(None, {"map": np.zeros(SHAPE, np.float32)})  # as logits: all of 64 classes alike


def model_of(name):
    """Gives a network of two draws."""
    settings, seeds = CASES[name]
    operation = name.split()[0]
    inputs = ["map"] if operation in ("RandomNormalLike", "Multinomial") else []
    nodes = [helper.make_node(operation, inputs, [output], **settings, **({} if seed is None else {"seed": seed}))
             for output, seed in zip(("first", "second"), seeds)]
    kind = onnx.TensorProto.INT32 if operation == "Multinomial" else onnx.TensorProto.FLOAT
    graph = helper.make_graph(
        nodes, "graph", [helper.make_tensor_value_info("map", onnx.TensorProto.FLOAT, SHAPE)],
        [helper.make_tensor_value_info(output, kind, SHAPE) for output in ("first", "second")])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    onnx.checker.check_model(model, full_check=True)
    return model


print("onnx-cse", importlib.metadata.version("onnx-cse"))
equal = {}
for name in CASES:
    model = model_of(name)
    before = np.array_equal(*draws(model))
    eliminate_common_subexpressions(model)
    onnx.checker.check_model(model, full_check=True)
    equal[name] = before, np.array_equal(*draws(model))
    print(f"{name}: are the two draws of 64 numbers equal? before {equal[name][0]}, after {equal[name][1]};",
          "nodes after:", *(node.op_type for node in model.graph.node))
as_described = all(found == (False, "seeds" not in name) for name, found in equal.items())
sys.exit(0 if as_described else 1)
PY
