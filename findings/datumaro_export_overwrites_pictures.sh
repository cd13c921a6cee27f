#!/usr/bin/env bash
# Datumaro names the pictures that it saves after their items, and writes "/" of an id as "_". So two
# pictures of one subset, day/a and day_a, are both saved as day_a.jpg: the second goes over the first
# without a word, both entries of the JSON name it, and the first one's boxes lie on another picture.
# Ids with folders are what its COCO importer makes of file names with folders; its COCO, VOC and YOLO
# exports keep both pictures.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv venv
venv/bin/pip install --quiet datumaro==1.13.12
venv/bin/python - <<'PY' 2> log || { cat log; exit 1; }
import importlib.metadata, json, pathlib, sys
import numpy as np
from datumaro import Dataset
from datumaro.components.annotation import Bbox
from datumaro.components.dataset_base import DatasetItem
from datumaro.components.media import Image

def item(name, height, width):
    picture = Image.from_numpy(np.zeros((height, width, 3), np.uint8))
    box = Bbox(0, 0, width, height, label=0)
    return DatasetItem(name, subset="train", media=picture, annotations=[box])

items = [item("day/a", 40, 60), item("day_a", 90, 90)]
dataset = Dataset.from_iterable(items, categories=["dog"])
dataset.export("out", "datumaro", save_media=True)
files = sorted(path.name for path in pathlib.Path("out/images").rglob("*.*"))
entries = json.loads(pathlib.Path("out/annotations/train.json").read_text())["items"]
named = {one["id"]: one["image"]["path"] for one in entries}
back = {one.id: one.media.data.shape[:2] for one in Dataset.import_from("out", "datumaro")}
print("datumaro", importlib.metadata.version("datumaro"))
print("given:         {'day/a': (40, 60), 'day_a': (90, 90)}")
print("pictures saved:", files)
print("named in JSON: ", named)
print("read again:    ", back)
print("expected: two files, and the sizes that were given")
as_seen = len(files) == 1 and set(named.values()) == set(files) and set(back.values()) == {(90, 90)}
sys.exit(0 if as_seen and len(back) == 2 else 1)
PY
