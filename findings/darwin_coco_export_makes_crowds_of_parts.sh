#!/usr/bin/env bash
# An object that is drawn as two polygons, such as a car behind a post, is one object in V7's Darwin
# JSON. The library's COCO export writes it as a crowd (iscrowd 1) of area 0: COCO's evaluation then
# ignores it, so that a detector which misses it loses nothing, and most trainings leave it out.
# The box around it is a pixel larger than the outline, while that of one polygon is not.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv venv
venv/bin/pip install --quiet darwin-py==3.6.3
venv/bin/python - <<'PY' 2> log || { cat log; exit 1; }
import importlib.metadata, json, pathlib, sys
from darwin.exporter.formats import coco
from darwin.utils import parse_darwin_json

def polygon(*paths):
    paths = [[{"x": x, "y": y} for x, y in path] for path in paths]
    box = {"x": 10, "y": 20, "w": 30, "h": 10}
    return {"id": str(len(paths)), "name": "car", "slot_names": ["0"], "bounding_box": box,
            "polygon": {"paths": paths}}

whole = polygon([(10, 20), (40, 20), (40, 30), (10, 30)])
parts = polygon([(10, 20), (20, 20), (20, 30), (10, 30)], [(30, 20), (40, 20), (40, 30), (30, 30)])
slot = {"type": "image", "slot_name": "0", "width": 100, "height": 50,
        "source_files": [{"file_name": "a.jpg", "url": ""}]}
item = {"name": "a.jpg", "path": "/", "source_info": {}, "slots": [slot]}
file = pathlib.Path("a.json")
file.write_text(json.dumps({"version": "2.0", "item": item, "annotations": [whole, parts]}))
pathlib.Path("out").mkdir()
coco.export([parse_darwin_json(file, None)], pathlib.Path("out"))
(made,) = pathlib.Path("out").rglob("*.json")
one, two = json.loads(made.read_text())["annotations"]
print("darwin-py", importlib.metadata.version("darwin-py"))
for name, it in (("one polygon ", one), ("two polygons", two)):
    print(name, {key: it[key] for key in ("bbox", "area", "iscrowd")})
print("expected: [10, 20, 30, 10] for both, areas 300 and 200, iscrowd 0")
as_seen = two["iscrowd"] == 1 and two["area"] == 0 and two["bbox"] == [10, 20, 31, 11]
sys.exit(0 if as_seen and one["iscrowd"] == 0 and one["bbox"] == [10, 20, 30, 10] else 1)
PY
