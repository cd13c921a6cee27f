#!/usr/bin/env bash
# detection-datasets writes a divided set as COCO: a folder of photos and a file of annotations for each split. Every
# file lists the photos and objects of all splits, so that training sees what validation will ask, if the photos lie
# together. And they list photos by the names that they had, while the copies beside them are called by their ids.
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

SPLITS = {"train": {1: "a.jpg", 2: "b.jpg"}, "val": {3: "c.jpg"}}
for split, photos in SPLITS.items():
    pathlib.Path(split).mkdir()
    images = [{"id": k, "file_name": name, "width": 200, "height": 100} for k, name in photos.items()]
    objects = [{"id": k, "image_id": k, "category_id": 0, "bbox": [10, 20, 40, 30], "area": 1200, "iscrowd": 0}
               for k in photos]
    for name in photos.values():
        Image.new("RGB", (200, 100)).save(f"{split}/{name}")
    content = {"images": images, "annotations": objects, "categories": [{"id": 0, "name": "cat"}]}
    pathlib.Path(f"{split}.json").write_text(json.dumps(content))

read = DetectionDataset().from_disk(dataset_format="coco", path=".",
                                    splits={split: (f"{split}.json", split) for split in SPLITS})
read.to_disk(dataset_format="coco", name="written", absolute_path=str(pathlib.Path.cwd()))
print("detection-datasets", importlib.metadata.version("detection-datasets"))
wrong = []
for split, photos in SPLITS.items():
    content = json.loads(pathlib.Path(f"written/annotations/instances_{split}.json").read_text())
    listed = sorted(image["file_name"] for image in content["images"])
    owners = sorted(item["image_id"] for item in content["annotations"])
    copies = sorted(path.name for path in pathlib.Path("written", split).iterdir())
    print(f"{split}: expected {sorted(photos.values())}; listed {listed}, objects of photos {owners}, files {copies}")
    wrong.append(listed == ["a.jpg", "b.jpg", "c.jpg"] and owners == [1, 2, 3]
                 and copies == [f"{k}.jpg" for k in photos])
sys.exit(0 if all(wrong) else 1)
PY
