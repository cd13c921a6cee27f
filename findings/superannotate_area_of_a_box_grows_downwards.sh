#!/usr/bin/env bash
# The area of a COCO box is its width times its height; SuperAnnotate's COCO export (object_detection) lacks a pair of
# brackets and writes width x lower edge - upper edge, so the same box of 20 x 20 has an area of 400 at the top of a
# photo of 640 x 480 and one of 8760 at its foot. COCO's evaluation sorts objects into small, medium and large by it.
# Of two small objects one counts as medium; AP of small, medium and large tells where objects lie, not their size.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv venv
venv/bin/pip install --quiet superannotate==4.6.2 superannotate-schemas==1.0.49 numpy==2.4.6 pandas==2.3.3 \
  opencv-python-headless==4.14.0.94 pillow==12.3.0 pydantic==2.14.4 pycocotools==2.0.11
SA_VERSION_CHECK=false venv/bin/python - <<'PY' 2> log || { code=$?; cat log; exit "$code"; }
import contextlib, importlib.metadata, io, json, pathlib, sys
import numpy as np
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval
from superannotate import export_annotation


def instance(x1, y1, x2, y2):
    return {"type": "bbox", "classId": 1, "className": "cat", "groupId": 0, "attributes": [],
            "points": {"x1": x1, "y1": y1, "x2": x2, "y2": y2}}


pathlib.Path("sa/classes").mkdir(parents=True)
cat = {"id": 1, "name": "cat", "color": "#ff0000", "attribute_groups": []}
pathlib.Path("sa/classes/classes.json").write_text(json.dumps([cat]))
content = {"metadata": {"name": "a.jpg", "width": 640, "height": 480}, "tags": [], "comments": [],
           "instances": [instance(100, 0, 120, 20), instance(100, 440, 120, 460)]}
pathlib.Path("sa/a.jpg___objects.json").write_text(json.dumps(content))
with contextlib.redirect_stdout(io.StringIO()):
    export_annotation("sa", "coco", "COCO", "cats", "Vector", "object_detection")
    truth = COCO("coco/cats.json")
    objects = list(truth.anns.values())
    keys = ("image_id", "category_id", "bbox")
    found = truth.loadRes([{**{key: item[key] for key in keys}, "score": 0.9} for item in objects])
    evaluation = COCOeval(truth, found, "bbox")
    evaluation.evaluate(), evaluation.accumulate()
numbers = [int(np.sum(evaluation.evalImgs[size]["gtIgnore"] == 0)) for size in (1, 2, 3)]
areas = [item["area"] for item in objects]
print("superannotate", importlib.metadata.version("superannotate"))
print("boxes:", [item["bbox"] for item in objects])
print("expected: areas [400, 400], objects that are small, medium, large: [2, 0, 0]")
print("seen:     areas", areas, "objects that are small, medium, large:", numbers)
sys.exit(0 if areas == [400, 8760] and numbers == [1, 1, 0] else 1)
PY
