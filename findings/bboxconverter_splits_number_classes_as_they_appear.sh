#!/usr/bin/env bash
# bboxconverter divides a COCO file into train, val and test. It numbers the classes of each file from 0 in the order
# in which they first appear there, whatever their ids were: "cat" is 0 in one file and 1 in the next. Each file is
# right by itself; a detector trained by the ids of one and scored by those of another has dogs for cats. Ids of a
# training set that appear in no other file, and photos without objects, are in none.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv venv
venv/bin/pip install --quiet numpy==2.4.6 pandas==2.3.3 scikit-learn==1.9.1
venv/bin/pip install --quiet --no-deps bboxconverter==0.1.9 # it asks for pyarrow, too, which it does not import
venv/bin/python - <<'PY' 2> log || { code=$?; cat log; exit "$code"; }
import importlib.metadata, json, pathlib, sys
from bboxconverter import read_coco

NAMES = {1: "cat", 2: "dog", 3: "bird"}
folder = pathlib.Path("set")
folder.mkdir()
images, objects = [], []
for k in range(1, 22):
    images.append({"id": k, "file_name": f"{k}.jpg", "width": 200, "height": 100})
    (folder / f"{k}.jpg").write_bytes(b"copied, never read")
    # Twenty photos of one class each, by turns; the last has no object.
    if k < 21:
        objects.append({"id": k, "image_id": k, "category_id": k % 3 + 1, "bbox": [10, 10, 20, 20], "area": 400,
                        "iscrowd": 0})
categories = [{"id": number, "name": name} for number, name in NAMES.items()]
pathlib.Path("all.json").write_text(json.dumps({"images": images, "annotations": objects, "categories": categories}))
read_coco("all.json").export("set", "coco", split=True)

print("bboxconverter", importlib.metadata.version("bboxconverter"))
print("classes given:", NAMES)
seen, photos = {}, 0
for split in ("train", "val", "test"):
    content = json.loads((folder / split / f"{split}.json").read_text())
    seen[split] = {category["id"]: category["name"] for category in content["categories"]}
    photos += len(content["images"])
    print(f"classes of {split}:", seen[split])
print(f"photos given: {len(images)}, photos in the three files: {photos}")
clash = any(a[number] != b[number] for a in seen.values() for b in seen.values() for number in a.keys() & b.keys())
sys.exit(0 if clash and photos == 20 else 1)
PY
