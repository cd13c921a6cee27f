#!/usr/bin/env bash
# cocomltools merges COCO files and matches their classes by name. It asks whether the merged file has a class by the
# truth of its id, and an id of 0 counts as none: of two files that number cat and dog from 0 the merged one lists cat
# twice, as 0 and as 2. The cats of the first file keep 0, those of the second get 2, so a detector learns two classes,
# and each is scored against half of the cats. Files that count from 1 merge as they should. Nothing is said.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv venv
venv/bin/pip install --quiet --no-compile --no-deps cocomltools==0.1.8 numpy==1.26.4 scipy==1.17.1 pillow==10.4.0 \
  pydantic==2.8.2 pydantic-core==2.20.1 annotated-types==0.8.0 typing-extensions==4.16.0 rich==13.9.4 mdurl==0.1.2 \
  markdown-it-py==4.0.0 pygments==2.20.0 scikit-learn==1.9.1 scikit-multilearn==0.2.0 joblib==1.6.0 cloudpickle==3.1.3 \
  threadpoolctl==3.8.0 narwhals==2.29.0
venv/bin/python - <<'PY'
import importlib.metadata, json, pathlib, sys
from cocomltools.coco_ops import CocoOps

NAMES = ["cat", "dog"]


def merged(first_id):
    """Merges two files with a cat and a dog each; gives the classes, and the ids that cats and dogs have."""
    for part in ("a", "b"):
        ids = [first_id, first_id + 1]
        box = {"bbox": [1, 1, 30, 30], "area": 900, "iscrowd": 0}
        pathlib.Path(f"{part}.json").write_text(json.dumps({
            "categories": [{"id": k, "name": name} for k, name in zip(ids, NAMES)],
            "images": [{"id": k, "file_name": f"{part}_{name}.jpg", "width": 90, "height": 90}
                       for k, name in zip(ids, NAMES)],
            "annotations": [{"id": k, "image_id": k, "category_id": k, **box} for k in ids]}))
    data = CocoOps.merge(["a.json", "b.json"]).get_coco_dict()
    photos = {image["id"]: image["file_name"] for image in data["images"]}
    classes = {photos[item["image_id"]]: item["category_id"] for item in data["annotations"]}
    return [(entry["id"], entry["name"]) for entry in data["categories"]], classes


print("cocomltools", importlib.metadata.version("cocomltools"), "- two files of cat and dog; classes and objects:")
found = {first_id: merged(first_id) for first_id in (0, 1)}
for first_id, (classes, objects) in found.items():
    print(f"ids from {first_id}: expected {list(enumerate(NAMES, first_id))}, seen {classes}; {objects}")
as_described = (
    found[0] == ([(0, "cat"), (1, "dog"), (2, "cat")], {"a_cat.jpg": 0, "a_dog.jpg": 1, "b_cat.jpg": 2, "b_dog.jpg": 1})
    and found[1] == ([(1, "cat"), (2, "dog")], {"a_cat.jpg": 1, "a_dog.jpg": 2, "b_cat.jpg": 1, "b_dog.jpg": 2}))
sys.exit(0 if as_described else 1)
PY
