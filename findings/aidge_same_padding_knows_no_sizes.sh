#!/usr/bin/env bash
# With auto_pad SAME_UPPER a 3x3 convolution or pool of stride 2 should halve a map of 5x5 to 3x3: the standard rounds sizes
# up and pads by what that takes, here one pixel on each side. Aidge pads by kernel minus stride, one pixel in all, whatever
# the map's size is: it gives 2x2, each pixel off by one, the rest lost. Nothing is said. Convolutions of maps whose sizes
# are even are right, pools of them are not: they have the pixel in front.
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
kernel = np.zeros((1, 1, 3, 3), np.float32)
kernel[0, 0, 1, 1] = 1  # takes the pixel in the middle


def run(operation, side):
    """Gives the map that both runtimes make of an image of so many rows and columns."""
    image = np.arange(side**2, dtype=np.float32).reshape(1, 1, side, side)
    is_convolution = operation == "Conv"
    inputs = ["image", "kernel"] if is_convolution else ["image"]
    node = helper.make_node(operation, inputs, ["map"], kernel_shape=[3, 3], strides=[2, 2], auto_pad="SAME_UPPER")
    kinds = [helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, [1, 1, size, size])
             for name, size in (("image", side), ("map", (side + 1) // 2))]
    constants = [numpy_helper.from_array(kernel, "kernel")] if is_convolution else []
    graph = helper.make_graph([node], "graph", kinds[:1], kinds[1:], constants)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    onnx.checker.check_model(model, full_check=True)
    onnx.save(model, "model.onnx")
    session = onnxruntime.InferenceSession("model.onnx", providers=["CPUExecutionProvider"])
    expected = session.run(None, {"image": image})[0]
    network = aidge_onnx.load_onnx("model.onnx")
    aidge_core.expand_metaops(network, True)
    network.set_backend("cpu")
    aidge_core.SequentialScheduler(network).forward(data=[aidge_core.Tensor(image)])
    ((node, output),) = network.get_ordered_outputs()
    return expected[0, 0].tolist(), np.array(node.get_operator().get_output(output))[0, 0].tolist()


print("aidge-onnx", importlib.metadata.version("aidge-onnx"))
found = {(operation, side): run(operation, side) for operation in ("Conv", "MaxPool") for side in (5, 6)}
for (operation, side), (expected, seen) in found.items():
    print(f"{operation} of {side}x{side}: expected {expected}, seen {seen}")
lost = all(len(found[operation, 5][0]) == 3 and len(found[operation, 5][1]) == 2 for operation in ("Conv", "MaxPool"))
even = [expected == seen for expected, seen in (found["Conv", 6], found["MaxPool", 6])]
sys.exit(0 if lost and even == [True, False] else 1)
PY
