#!/usr/bin/env bash
# ScaleNMSBoundingBoxesAndKeyPoints of onnxruntime-extensions brings boxes from the letterbox back into the photo. It
# takes one factor for both directions, from the heights, which its Resize has rounded: of 110 rows 17.6 became 18, so
# columns are multiplied by 6.11 for 6.25, and a box at the right of such a panorama ends beside its object.
# Of boxes of two corners, which its DrawBoundingBoxes takes, too, the first corner alone is freed of the padding, so
# they end below their objects. Centres and sizes in photos whose sides come out even are right.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv venv
venv/bin/pip install --quiet onnxruntime-extensions==0.15.2 onnx==1.23.2 onnxruntime==1.32.0 numpy==2.4.6
venv/bin/python - <<'PY'
import importlib.metadata, sys
import numpy as np
import onnx, onnxruntime
from onnx import helper, numpy_helper
from onnxruntime_extensions.tools.pre_post_processing import (
    Identity, LetterBox, PrePostProcessor, Resize, ScaleNMSBoundingBoxesAndKeyPoints, create_named_value, utils)

SIZE = 320


def scaled(height, width, box):
    """Gives what becomes of a box that a network found in its letterboxed input."""
    kinds = [helper.make_tensor_value_info("pixels", onnx.TensorProto.UINT8, [SIZE, SIZE, 3]),
             helper.make_tensor_value_info("found", onnx.TensorProto.FLOAT, [1, 6])]
    constant = numpy_helper.from_array(np.array([[*box, 0.9, 0]], np.float32), "constant")
    node = helper.make_node("Identity", ["constant"], ["found"])
    graph = helper.make_graph([node], "graph", kinds[:1], kinds[1:], [constant])
    network = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=8)
    onnx.checker.check_model(network, full_check=True)
    photo = create_named_value("photo", onnx.TensorProto.UINT8, ["height", "width", 3])
    steps = PrePostProcessor([photo], 18)
    steps.add_pre_processing(
        [Identity(name="Photo"), Resize((SIZE, SIZE), policy="not_larger"), LetterBox((SIZE, SIZE))])
    given = [utils.IoMapEntry(name, producer_idx=0, consumer_idx=i + 1)
             for i, name in enumerate(("Photo", "Resize", "LetterBox"))]
    steps.add_post_processing([(ScaleNMSBoundingBoxesAndKeyPoints(), given)])
    session = onnxruntime.InferenceSession(steps.run(network).SerializeToString(), providers=["CPUExecutionProvider"])
    return session.run(None, {"photo": np.zeros((height, width, 3), np.uint8)})[0][0, :4]


print("onnxruntime-extensions", importlib.metadata.version("onnxruntime-extensions"))
# 640 x 480 becomes 320 x 240 with 40 rows above, 2000 x 110 becomes 320 x 18 with 151 rows above.
cases = (("centre and size", 480, 640, [120, 80, 40, 40], [240, 80, 80, 80], [240, 80, 80, 80]),
         ("centre and size", 110, 2000, [300, 160, 16, 9], [1875, 55, 100, 55], [1833.33, 55, 97.78, 55]),
         ("two corners", 480, 640, [100, 60, 140, 100], [200, 40, 280, 120], [200, 40, 280, 200]))
same = []
for form, height, width, box, expected, known in cases:
    seen = scaled(height, width, box)
    same.append(np.allclose(seen, known, atol=0.01))
    print(f"{form}, photo of {width} x {height}: {box} expected {expected}, seen", np.round(seen, 2).tolist())
sys.exit(0 if all(same) else 1)
PY
