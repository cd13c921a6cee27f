#!/usr/bin/env bash
# A Pad of zeros before a MaxPool (ZeroPad2d((0, 1, 0, 1)) and the pooling of stride 1 of YOLOv3-tiny) should stay that;
# onnxoptimizer makes it the pooling's own padding, which is minus infinity: where a leaky ReLU left negative numbers,
# the edge is -0.1 for 0. And of two Reshapes it keeps the second, whose 0 ("as in the input") then means another
# input: 3 x 8 becomes 2 x 12. Both are among the passes of optimize(model), and say nothing.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv venv
venv/bin/pip install --quiet onnxoptimizer==0.4.2 onnx==1.23.2 onnxruntime==1.32.0 numpy==2.4.6
venv/bin/python - <<'PY'
import importlib.metadata, sys
import numpy as np
import onnx, onnxoptimizer, onnxruntime
from onnx import helper, numpy_helper


def compare(nodes, shape, constants):
    kinds = [helper.make_tensor_value_info("x", onnx.TensorProto.FLOAT, shape)]
    tensors = [numpy_helper.from_array(value, name) for name, value in constants.items()]
    graph = helper.make_graph(nodes, "graph", kinds, [onnx.ValueInfoProto(name="y")], tensors)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    model = onnx.shape_inference.infer_shapes(model)
    onnx.checker.check_model(model, full_check=True)
    x = -np.arange(1, 1 + np.prod(shape), dtype=np.float32).reshape(shape) / 10
    found = []
    for made in (model, onnxoptimizer.optimize(model)):
        options = onnxruntime.SessionOptions()
        options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
        session = onnxruntime.InferenceSession(made.SerializeToString(), options, providers=["CPUExecutionProvider"])
        found.append(session.run(None, {"x": x})[0])
    return found


pool = [helper.make_node("Pad", ["x", "pads"], ["padded"]),
        helper.make_node("MaxPool", ["padded"], ["y"], kernel_shape=[2, 2], strides=[1, 1])]
before, after = compare(pool, [1, 1, 2, 2], {"pads": np.array([0, 0, 0, 0, 0, 0, 1, 1], np.int64)})
reshapes = [helper.make_node("Reshape", ["x", "first"], ["rows"]), helper.make_node("Reshape", ["rows", "second"], ["y"])]
shapes = {"first": np.array([3, 2, 4], np.int64), "second": np.array([0, -1], np.int64)}
wide, narrow = compare(reshapes, [2, 3, 4], shapes)
print("onnxoptimizer", importlib.metadata.version("onnxoptimizer"))
print("Pad and MaxPool of [[-0.1, -0.2], [-0.3, -0.4]]: expected", before.ravel(), "seen", after.ravel())
print("Reshapes of 2 x 3 x 4 to 3 x 2 x 4 to (0, -1): expected", wide.shape, "seen", narrow.shape)
pooled = np.allclose(before.ravel(), [-0.1, 0, 0, 0]) and np.allclose(after.ravel(), [-0.1, -0.2, -0.3, -0.4])
sys.exit(0 if pooled and wide.shape == (3, 8) and narrow.shape == (2, 12) else 1)
PY
