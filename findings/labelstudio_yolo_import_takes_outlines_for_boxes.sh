#!/usr/bin/env bash
# A YOLO line with an outline (class x y x y x y ...) should become a polygon, or its bounds; the YOLO
# importer of label-studio-sdk reads its first four numbers as a box and the fifth as a score.
# Every object of a segmentation set is shown, corrected and exported at a wrong place, without a word.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv venv
venv/bin/pip install --quiet label-studio-sdk==2.1.2
venv/bin/python - <<'PY'
import importlib.metadata, json, pathlib, sys
from PIL import Image
from label_studio_sdk.converter.imports.yolo import convert_yolo_to_ls

for name in ("images", "labels"):
    pathlib.Path("set", name).mkdir(parents=True)
Image.new("RGB", (200, 100)).save("set/images/a.jpg")
pathlib.Path("set/classes.txt").write_text("cat\n")
# The rectangle from (10%, 20%) to (50%, 80%), as an outline of four points.
pathlib.Path("set/labels/a.txt").write_text("0 0.1 0.2 0.5 0.2 0.5 0.8 0.1 0.8\n")
convert_yolo_to_ls("set", "tasks.json")
task = json.loads(pathlib.Path("tasks.json").read_text())[0]
(result,) = task["annotations"][0]["result"]
seen = [result["value"].get(key) for key in ("x", "y", "width", "height")]
print("label-studio-sdk", importlib.metadata.version("label-studio-sdk"))
print("expected: a polygon, or x, y, width, height of [10, 20, 40, 60] percent")
print("seen:    ", result["type"], [round(value, 3) for value in seen], "score", result.get("score"))
wrong = [-15, 10, 50, 20]
same = all(abs(a - b) < 1e-6 for a, b in zip(seen, wrong))
sys.exit(0 if result["type"] == "rectanglelabels" and same and result.get("score") == 0.5 else 1)
PY
