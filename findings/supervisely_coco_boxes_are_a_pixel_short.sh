#!/usr/bin/env bash
# A Supervisely rectangle counts whole pixels, both ends included: columns 20 to 40 are 21 pixels,
# which its area and its YOLO export say too. Its COCO export of the same project writes 20, beside
# an "area" of 21 x 21; so boxes of small objects lose a tenth of their area on the way to COCO, and
# models trained on the two exports of one project are scored against different boxes.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv venv
venv/bin/pip install --quiet supervisely==6.74.51
venv/bin/python - <<'PY' 2> log || { cat log; exit 1; }
import importlib.metadata, json, pathlib, sys
from PIL import Image
import supervisely as sly

dog = sly.ObjClass("dog", sly.Rectangle)
project = sly.Project("project", sly.OpenMode.CREATE)
project.set_meta(sly.ProjectMeta([dog]))
dataset = project.create_dataset("train")
Image.new("RGB", (100, 50)).save("a.png")
rectangle = sly.Rectangle(top=10, left=20, bottom=30, right=40)
label = sly.Label(rectangle, dog)
dataset.add_item_file("a.png", "a.png", ann=sly.Annotation((50, 100), [label]))

sly.convert.to_coco("project", dest_dir="coco")
sly.convert.to_yolo("project", dest_dir="yolo")
(coco,) = pathlib.Path("coco").rglob("*.json")
(made,) = json.loads(coco.read_text())["annotations"]
(text,) = pathlib.Path("yolo").rglob("labels/train/*.txt")
_, _, _, width, height = map(float, text.read_text().split())
yolo = [round(width * 100, 3), round(height * 50, 3)]
print("supervisely", importlib.metadata.version("supervisely"))
print("the rectangle itself:", [rectangle.width, rectangle.height], "area", rectangle.area)
print("YOLO export:         ", yolo)
print("COCO export:         ", made["bbox"][2:], "area", made["area"])
print("expected in all three: 21 x 21, area 441")
as_seen = made["bbox"][2:] == [20, 20] and made["area"] == 441 and yolo == [21, 21]
sys.exit(0 if as_seen and rectangle.area == 441 else 1)
PY
