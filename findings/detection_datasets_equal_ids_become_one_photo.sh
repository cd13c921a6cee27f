#!/usr/bin/env bash
# The files of a COCO set number their photos each for itself; Roboflow's train and valid both start with 0.
# detection-datasets reads the splits into one table by that number alone: the first photo of valid is gone, its
# objects are now those of the first photo of train, with their boxes, and there is nothing left to evaluate on. What
# it writes then, YOLO or a set for the hub, is wrong in the same way, and nothing is said.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv venv
venv/bin/pip install --quiet --no-compile datasets==4.4.1 numpy==2.4.6 pandas==2.3.3 pillow==12.3.0
venv/bin/pip install --quiet --no-deps detection-datasets==0.3.8 # it asks for a version of datasets of 2022
HF_HUB_OFFLINE=1 HOME=$folder venv/bin/python - <<'PY' 2> log || { code=$?; cat log; exit "$code"; }
import importlib.metadata, json, pathlib, sys
from PIL import Image
from detection_datasets import DetectionDataset

SETS = {"train": {"a.jpg": [10, 20, 40, 30], "b.jpg": [50, 20, 40, 30]}, "valid": {"c.jpg": [120, 60, 70, 30]}}
for split, photos in SETS.items():
    pathlib.Path(split).mkdir()
    images = [{"id": k, "file_name": name, "width": 200, "height": 100} for k, name in enumerate(photos)]
    objects = [{"id": k, "image_id": k, "category_id": 0, "bbox": box, "area": box[2] * box[3], "iscrowd": 0}
               for k, box in enumerate(photos.values())]
    for name in photos:
        Image.new("RGB", (200, 100)).save(f"{split}/{name}")
    content = {"images": images, "annotations": objects, "categories": [{"id": 0, "name": "cat"}]}
    pathlib.Path(f"{split}.json").write_text(json.dumps(content))

read = DetectionDataset().from_disk(dataset_format="coco", path=".",
                                    splits={split: (f"{split}.json", split) for split in SETS})
table = read.get_data("image").reset_index()
seen = {pathlib.Path(row.image_path).name: (row.split, sorted(box.to_coco() for box in row.bbox))
        for row in table.itertuples()}
print("detection-datasets", importlib.metadata.version("detection-datasets"))
for split, photos in SETS.items():
    for name, box in photos.items():
        print(f"{name}: expected {(split, [box])}, seen", seen.get(name, "nothing"))
expected = {"a.jpg": ("train", [SETS["train"]["a.jpg"], SETS["valid"]["c.jpg"]]),
            "b.jpg": ("train", [SETS["train"]["b.jpg"]])}
sys.exit(0 if seen == expected else 1)
PY
