#!/usr/bin/env bash
# An object of a COCO file (a bbox and its segmentation) should be one object after it went into Label
# Studio and came back as COCO; label-studio-sdk makes a rectangle and a polygon of it, both exported.
# All objects are there twice, so a perfect detector scores AP 0.50 instead of 1.00 on what comes back.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv venv
venv/bin/pip install --quiet label-studio-sdk==2.1.2 pycocotools==2.0.11
venv/bin/python - <<'PY'
import contextlib, importlib.metadata, io, json, pathlib, sys
from label_studio_sdk.converter import Converter
from label_studio_sdk.converter.imports.coco import convert_coco_to_ls
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

box, outline = [10, 20, 30, 40], [10, 20, 40, 20, 25, 60]
coco = {
    "images": [{"id": 1, "file_name": "a.jpg", "width": 200, "height": 100}],
    "categories": [{"id": 1, "name": "cat"}],
    "annotations": [{"id": 1, "image_id": 1, "category_id": 1, "bbox": box, "area": 600,
                     "iscrowd": 0, "segmentation": [outline]}],
}
pathlib.Path("coco.json").write_text(json.dumps(coco))
convert_coco_to_ls("coco.json", "tasks.json")
tasks = json.loads(pathlib.Path("tasks.json").read_text())
for number, task in enumerate(tasks, 1):  # what the server adds when it stores a task
    task["id"] = number
    task["annotations"][0] |= {"id": number, "completed_by": 1, "was_cancelled": False}
pathlib.Path("tasks.json").write_text(json.dumps(tasks))
config = pathlib.Path("tasks.label_config.xml").read_text()
Converter(config, None, download_resources=False).convert("tasks.json", "back", "COCO", is_dir=False)
back = json.loads(pathlib.Path("back/result.json").read_text())
for item in back["annotations"]:
    item["id"] += 1  # pycocotools takes the annotation id 0 for "no match"
pathlib.Path("back.json").write_text(json.dumps(back))
with contextlib.redirect_stdout(io.StringIO()):
    truth = COCO("back.json")
    image = truth.getImgIds()[0]
    category = back["annotations"][0]["category_id"]
    found = [{"image_id": image, "category_id": category, "bbox": box, "score": 0.9}]
    evaluation = COCOeval(truth, truth.loadRes(found), "bbox")
    evaluation.evaluate(), evaluation.accumulate(), evaluation.summarize()
seen = [item["bbox"] for item in back["annotations"]]
print("label-studio-sdk", importlib.metadata.version("label-studio-sdk"))
print("expected: one object,", box, "and AP 1 of a detection that is this box")
print("seen:    ", len(seen), "objects,", seen, "and AP", round(float(evaluation.stats[0]), 3))
sys.exit(0 if seen == [box, box] and abs(evaluation.stats[0] - 0.505) < 0.01 else 1)
PY
