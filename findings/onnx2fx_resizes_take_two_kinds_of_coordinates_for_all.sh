#!/usr/bin/env bash
# A Resize says how pixels of the large map lie on the small one (coordinate_transformation_mode) and how coordinates of
# nearest neighbours are rounded (nearest_mode). onnx2fx reads of all that whether linear ones align corners: other linear
# ones are done half_pixel, all nearest ones asymmetric and rounded down. So linear doubling by TensorFlow 1's
# asymmetric resizes moves the map by up to half a pixel, and nearest neighbours are other ones. Nothing is said.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv venv
venv/bin/pip install --quiet --no-compile onnx2fx==0.0.1 torch==2.13.0 onnx==1.23.2 onnxruntime==1.32.0 numpy==2.4.6
venv/bin/python - <<'PY'
import importlib.metadata, sys
import numpy as np
import onnx, onnx2fx, onnxruntime, torch
from onnx import helper, numpy_helper

row = np.array([0, 10, 20], np.float32).reshape(1, 1, 1, 3)


def run(mode, coordinates, rounding, columns):
    """Gives the row of so many columns that both runtimes make of three."""
    more = {"nearest_mode": rounding} if rounding else {}
    node = helper.make_node("Resize", ["row", "", "", "sizes"], ["result"], mode=mode,
                            coordinate_transformation_mode=coordinates, **more)
    kinds = [helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, [1, 1, 1, width])
             for name, width in (("row", 3), ("result", columns))]
    sizes = numpy_helper.from_array(np.array([1, 1, 1, columns], np.int64), "sizes")
    graph = helper.make_graph([node], "graph", kinds[:1], kinds[1:], [sizes])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    onnx.checker.check_model(model, full_check=True)
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    expected = session.run(None, {"row": row})[0]
    with torch.no_grad():
        seen = onnx2fx.convert(model).eval()(torch.from_numpy(row))
    seen = seen[0] if isinstance(seen, tuple) else seen
    return expected.ravel().tolist(), seen.numpy().ravel().tolist()


print("onnx2fx", importlib.metadata.version("onnx2fx"))
wrong = [("linear", "asymmetric", "", 6), ("nearest", "asymmetric", "round_prefer_ceil", 6),
         ("nearest", "half_pixel", "ceil", 6), ("nearest", "half_pixel", "round_prefer_floor", 2)]
right = [("linear", "half_pixel", "", 6), ("linear", "align_corners", "", 6), ("nearest", "asymmetric", "floor", 6)]
different = []
for case in wrong + right:
    expected, seen = run(*case)
    different.append(not np.allclose(expected, seen, atol=1e-4))
    print(", ".join(map(str, case)), "columns: expected", np.round(expected, 2), "seen", np.round(seen, 2))
sys.exit(0 if different == [True] * len(wrong) + [False] * len(right) else 1)
PY
