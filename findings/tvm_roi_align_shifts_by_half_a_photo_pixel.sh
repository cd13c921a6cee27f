#!/usr/bin/env bash
# RoiAlign brings a box of the photo onto a feature map (spatial_scale, 1/4 here) and then moves it by half a cell of
# that map; TVM takes the half off the photo's coordinates first and scales that too, so of 0.5 cells 0.125 are left.
# With spatial_scale 1, and in the older mode output_half_pixel, it is right. A detector of two stages cuts every
# object out beside its place, by 7.5 pixels of the photo at a stride of 16, and its classes and boxes are worse for it.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv venv
venv/bin/pip install --quiet apache-tvm==0.27.0.post1 apache-tvm-ffi==0.1.15.post2 onnx==1.23.2 onnxruntime==1.32.0 numpy==2.4.6
venv/bin/python - <<'PY'
import importlib.metadata, sys
import numpy as np
import onnx, onnxruntime, tvm
from onnx import helper
from tvm import relax
from tvm.relax.frontend.onnx import from_onnx

# Each cell of the map holds the number of its column, so what is cut out tells where it was cut out.
columns = np.tile(np.arange(16, dtype=np.float32), (1, 1, 16, 1))
photos = np.array([0], np.int64)


def run(scale, mode):
    node = helper.make_node("RoiAlign", ["columns", "boxes", "photos"], ["seen"], output_height=1, output_width=2,
                            sampling_ratio=1, spatial_scale=scale, coordinate_transformation_mode=mode)
    boxes = np.array([[4, 4, 8, 8]], np.float32) / scale  # on the map always 4 to 8
    kinds = [helper.make_tensor_value_info(name, kind, shape)
             for name, kind, shape in (("columns", 1, [1, 1, 16, 16]), ("boxes", 1, [1, 4]), ("photos", 7, [1]))]
    outputs = [helper.make_tensor_value_info("seen", onnx.TensorProto.FLOAT, [1, 1, 1, 2])]
    graph = helper.make_graph([node], "graph", kinds, outputs)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 16)], ir_version=8)
    onnx.checker.check_model(model, full_check=True)
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    expected = session.run(None, {"columns": columns, "boxes": boxes, "photos": photos})[0]
    module = relax.transform.LegalizeOps()(from_onnx(model))
    machine = relax.VirtualMachine(relax.build(module, tvm.target.Target("llvm")), tvm.cpu())
    seen = machine["main"](*(tvm.runtime.tensor(value) for value in (columns, boxes, photos))).numpy()
    return expected.ravel().tolist(), seen.ravel().tolist()


print("apache-tvm", importlib.metadata.version("apache-tvm"))
right = []
for scale, mode in ((1.0, "half_pixel"), (0.25, "output_half_pixel"), (0.25, "half_pixel"), (0.0625, "half_pixel")):
    expected, seen = run(scale, mode)
    right.append(np.allclose(expected, seen))
    print(f"{mode}, spatial_scale {scale}: columns expected {expected}, seen {seen}")
sys.exit(0 if right == [True, True, False, False] and np.allclose(seen, [4.96875, 6.96875]) else 1)
PY
