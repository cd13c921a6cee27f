#!/usr/bin/env bash
# With --include_background photos without an annotation should be added, each once; labelme2yolo puts
# its output into the folder it reads, looks for photos there too, and finds the copies it just made.
# Every labelled photo is in the set a second time with an empty label file: it trains as "nothing here".
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv venv
venv/bin/pip install --quiet labelme2yolo==0.4.0 pillow==13.0.0
venv/bin/python - <<'PY'
import importlib.metadata, json, pathlib, subprocess, sys
from PIL import Image

folder = pathlib.Path("labelled")
folder.mkdir()
for name, level in (("cat", 50), ("street", 150)):
    Image.new("RGB", (200, 100), (level, level, level)).save(folder / f"{name}.jpg")
shape = {"label": "cat", "points": [[20, 10], [60, 50]], "group_id": None, "description": "",
         "shape_type": "rectangle", "flags": {}, "mask": None}
(folder / "cat.json").write_text(json.dumps({
    "version": "6.3.1", "flags": {}, "shapes": [shape], "imagePath": "cat.jpg", "imageData": None,
    "imageHeight": 100, "imageWidth": 200,
}))
subprocess.run(
    ["venv/bin/labelme2yolo", "--json_dir=labelled", "--val_size=0", "--include_background"],
    check=True, capture_output=True,
)
labels = folder / "YOLODataset" / "labels" / "train"
lines = {path.stem: path.read_text().split("\n")[0] for path in sorted(labels.glob("*.txt"))}
cats = [line for stem, line in lines.items() if stem.startswith("cat")]
print("labelme2yolo", importlib.metadata.version("labelme2yolo"))
print("expected: cat.jpg once with its box, street.jpg once without")
print("seen:    ", {stem: line or "(empty)" for stem, line in lines.items()})
sys.exit(0 if len(cats) == 2 and sorted(map(bool, cats)) == [False, True] else 1)
PY
