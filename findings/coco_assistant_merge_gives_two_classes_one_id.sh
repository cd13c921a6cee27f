#!/usr/bin/env bash
# Merging COCO files, coco-assistant gives a class that the first file lacks the number of classes plus one as its id,
# which is free only where ids have no gaps. COCO's own 80 classes have ids up to 90: a new class gets 81, the sink's.
# Both categories are written with that id; whoever reads the file takes one of the two names for the objects of both.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv venv
# pycocotools stands in for coco-ash, a copy of it that is asked for and no longer to be had.
venv/bin/pip install --quiet pycocotools==2.0.11 numpy==2.4.6 pandas==3.1.1 matplotlib==3.11.2 seaborn==0.13.2 \
  pillow==13.0.0 tqdm==4.70.1
venv/bin/pip install --quiet --no-deps coco-assistant==0.4.0
MPLBACKEND=agg venv/bin/python - <<'PY' 2> log || { code=$?; cat log; exit "$code"; }
import contextlib, importlib.metadata, io, json, pathlib, sys
from coco_assistant import COCO_Assistant
from pycocotools.coco import COCO


def write(split, names):
    """Writes a COCO file with one photo, and an object of each class."""
    pathlib.Path("images", split).mkdir(parents=True)
    pathlib.Path("annotations").mkdir(exist_ok=True)
    box = {"image_id": 1, "bbox": [10, 10, 20, 20], "area": 400, "iscrowd": 0}
    content = {
        "images": [{"id": 1, "file_name": f"{split}.jpg", "width": 100, "height": 100}],
        "categories": [{"id": number, "name": name} for number, name in names.items()],
        "annotations": [{"id": place + 1, "category_id": number, **box} for place, number in enumerate(names)],
    }
    pathlib.Path("annotations", f"{split}.json").write_text(json.dumps(content))


first, second = {1: "person", 2: "bicycle", 4: "motorcycle"}, {1: "person", 2: "scooter"}
write("a", first)
write("b", second)
with contextlib.redirect_stdout(io.StringIO()):
    COCO_Assistant(pathlib.Path("images"), pathlib.Path("annotations")).merge()
    merged = COCO("results/merged/annotations/merged.json")
written = [(item["id"], item["name"]) for item in merged.dataset["categories"]]
read = [merged.cats[item["category_id"]]["name"] for item in merged.dataset["annotations"]]
print("coco-assistant", importlib.metadata.version("coco-assistant"))
print("given:", first, "and", second)
print("classes written:", written)
print("expected objects:", [*first.values(), *second.values()])
print("as pycocotools reads them:", read)
as_seen = written[-2:] == [(4, "motorcycle"), (4, "scooter")]
sys.exit(0 if as_seen and read == ["person", "bicycle", "scooter", "person", "scooter"] else 1)
PY
