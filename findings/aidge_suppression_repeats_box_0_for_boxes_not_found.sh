#!/usr/bin/env bash
# NonMaxSuppression should give a row (picture, class, box) for each box that is kept, and no more; Aidge's CPU backend
# gives as many rows as could have been kept and leaves those that nothing was kept for at zeros. A row of zeros means
# box 0 of class 0 in the first picture, which so is found again, as often as the limit is missed. Nothing is said.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv venv
venv/bin/pip install --quiet --no-compile aidge-core==0.10.1 aidge-backend-cpu==0.10.1 aidge-onnx==0.10.1 onnx==1.23.2 \
    onnxruntime==1.32.0 numpy==2.4.6
venv/bin/python - <<'PY'
import importlib.metadata, sys
import aidge_backend_cpu  # registers its kernels
import aidge_core
import aidge_onnx
import numpy as np
import onnx, onnxruntime
from onnx import helper, numpy_helper

assert aidge_backend_cpu
aidge_core.Log.set_console_level(aidge_core.Level.Fatal)
boxes = np.array([[[0, 0, 10, 10], [0, 1, 10, 11], [20, 20, 30, 30]]], np.float32)  # 1 lies on 0
scores = np.array([[[0.6, 0.9, 0.8]]], np.float32)


def run(limit):
    """Gives the rows that both runtimes find where a class may have `limit` boxes."""
    node = helper.make_node("NonMaxSuppression", ["boxes", "scores", "limit", "overlap", "least"], ["rows"])
    kinds = [helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, array.shape)
             for name, array in (("boxes", boxes), ("scores", scores))]
    result = helper.make_tensor_value_info("rows", onnx.TensorProto.INT64, ["kept", 3])
    constants = [numpy_helper.from_array(np.array([limit], np.int64), "limit"),
                 numpy_helper.from_array(np.array([0.5], np.float32), "overlap"),
                 numpy_helper.from_array(np.array([0.1], np.float32), "least")]
    graph = helper.make_graph([node], "graph", kinds, [result], constants)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    onnx.checker.check_model(model, full_check=True)
    onnx.save(model, "model.onnx")
    session = onnxruntime.InferenceSession("model.onnx", providers=["CPUExecutionProvider"])
    expected = session.run(None, {"boxes": boxes, "scores": scores})[0]
    network = aidge_onnx.load_onnx("model.onnx")
    network.set_backend("cpu")
    aidge_core.SequentialScheduler(network).forward(data=[aidge_core.Tensor(boxes), aidge_core.Tensor(scores)])
    ((node, output),) = network.get_ordered_outputs()
    return expected.tolist(), np.array(node.get_operator().get_output(output)).tolist()


print("aidge-onnx", importlib.metadata.version("aidge-onnx"))
found = {limit: run(limit) for limit in (1, 2, 3)}
for limit, (expected, seen) in found.items():
    print(f"at most {limit}: expected {expected}, seen {seen}")
as_described = [found[limit][0] == found[limit][1] for limit in (1, 2)]
as_described.append(found[3] == ([[0, 0, 1], [0, 0, 2]], [[0, 0, 1], [0, 0, 2], [0, 0, 0]]))
sys.exit(0 if all(as_described) else 1)
PY
