#!/usr/bin/env bash
# COCO files may count their classes from 0, as Label Studio's do; boxlab's YOLO export takes 1 off every id but 0, so
# the classes 0 and 1 both become 0 in the lines, 2 becomes 1, while data.yaml names all of them in their order.
# Every bicycle trains as a person and every car as a bicycle, the last class has no object, and nothing is said.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv venv
venv/bin/pip install --quiet numpy==1.26.4 pandas==2.3.3 pillow==12.3.0 pydantic==2.14.4 pyyaml==6.0.3 \
  matplotlib==3.11.2
venv/bin/pip install --quiet --no-deps boxlab==0.1.4
venv/bin/python - <<'PY' 2> log || { code=$?; cat log; exit "$code"; }
import importlib.metadata, json, pathlib, sys
from PIL import Image
import boxlab.dataset.plugins.coco, boxlab.dataset.plugins.yolo
from boxlab.dataset.io import export_dataset, load_dataset

names = ["person", "bicycle", "car"]
pathlib.Path("images").mkdir()
Image.new("RGB", (100, 100)).save("images/a.jpg")
objects = [{"id": k + 1, "image_id": 1, "category_id": k, "bbox": [30 * k, 10, 20, 20], "area": 400, "iscrowd": 0}
           for k in range(3)]
content = {"images": [{"id": 1, "file_name": "a.jpg", "width": 100, "height": 100}],
           "categories": [{"id": k, "name": name} for k, name in enumerate(names)], "annotations": objects}
pathlib.Path("a.json").write_text(json.dumps(content))
export_dataset(load_dataset("a.json", format="coco"), "yolo", format="yolo")
listed = [line.split(": ")[1] for line in pathlib.Path("yolo/data.yaml").read_text().splitlines()
          if line.strip()[:1].isdigit()]
lines = pathlib.Path("yolo/labels/train/a.txt").read_text().splitlines()
seen = [listed[int(line.split()[0])] for line in lines]
print("boxlab", importlib.metadata.version("boxlab"))
print("names of data.yaml:", listed)
print("expected:", names)
print("seen:    ", seen)
sys.exit(0 if listed == names and seen == ["person", "person", "bicycle"] else 1)
PY
