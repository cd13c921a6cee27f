#!/usr/bin/env bash
# A COCO file whose categories are 1 cat, 2 dog, 3 bird should become YOLO lines with 0, 1, 2, which
# is how data.yml counts its names; sahi's export_as_yolo writes COCO's ids into the lines instead.
# So every box trains as the next class (a cat as a dog), and birds as a class that does not exist.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv venv
venv/bin/pip install --quiet sahi==0.12.8 pyyaml==6.0.3
venv/bin/python - <<'PY'
import importlib.metadata, json, pathlib, sys
import yaml
from PIL import Image
from sahi.utils.coco import Coco

Image.new("RGB", (100, 50)).save("a.jpg")
names = {1: "cat", 2: "dog", 3: "bird"}
boxes = [(1, [10, 10, 20, 20]), (3, [50, 10, 20, 20])]  # a cat, then a bird
pathlib.Path("coco.json").write_text(json.dumps({
    "images": [{"id": 1, "file_name": "a.jpg", "width": 100, "height": 50}],
    "categories": [{"id": key, "name": name} for key, name in names.items()],
    "annotations": [
        {"id": k, "image_id": 1, "category_id": c, "bbox": b, "area": 400, "iscrowd": 0,
         "segmentation": []}
        for k, (c, b) in enumerate(boxes, 1)
    ],
}))
coco = Coco.from_coco_dict_or_path("coco.json", image_dir=".")
coco.export_as_yolo(output_dir="yolo", train_split_rate=1, disable_symlink=True)
listed = yaml.safe_load(pathlib.Path("yolo/data.yml").read_text())["names"]
lines = pathlib.Path("yolo/train/a.txt").read_text().split("\n")
numbers = [int(line.split()[0]) for line in lines if line.strip()]
print("sahi", importlib.metadata.version("sahi"))
print("names in data.yml:", listed)
print("expected classes: [0, 2], a cat and a bird")
print("seen classes:    ", numbers, [listed[n] if n < len(listed) else "no such name" for n in numbers])
sys.exit(0 if listed == ["cat", "dog", "bird"] and numbers == [1, 3] else 1)
PY
