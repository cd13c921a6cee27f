#!/usr/bin/env bash
# LabelMe keeps a circle as two points, its centre and one on its rim. pylabelme2yolo takes the two for the corners of a
# box, whatever the shape is: a ball of 40 pixels gets a box that holds a quarter of it, or, where the rim was touched
# beside the centre, one of height 0. Photos without objects it leaves out altogether, so nothing is learnt from them.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv venv
venv/bin/pip install --quiet --no-compile numpy==2.4.6 pillow==12.3.0 tqdm==4.70.1
venv/bin/pip install --quiet --no-deps pylabelme2yolo==0.1.2 # typer, which it asks for, its command alone imports
venv/bin/python - <<'PY' 2> log || { code=$?; cat log; exit "$code"; }
import importlib.metadata, json, pathlib, sys
from PIL import Image
from pylabelme2yolo.converter import convert_labelme_to_yolo

WIDTH, HEIGHT = 200, 100
CIRCLES = {"slant": [[100, 50], [112, 66]], "beside": [[100, 50], [120, 50]]}  # both of radius 20
folder = pathlib.Path("labelme")
folder.mkdir()
for name in (*CIRCLES, "nothing"):
    shapes = [{"label": "ball", "points": CIRCLES[name], "group_id": None, "shape_type": "circle", "flags": {}}
              ] if name in CIRCLES else []
    content = {"version": "5.4.1", "flags": {}, "shapes": shapes, "imagePath": f"{name}.jpg", "imageData": None,
               "imageHeight": HEIGHT, "imageWidth": WIDTH}
    (folder / f"{name}.json").write_text(json.dumps(content))
    Image.new("RGB", (WIDTH, HEIGHT)).save(folder / f"{name}.jpg")
(folder / "classes.txt").write_text("0: ball\n")
convert_labelme_to_yolo(folder, val_size=0.0)

print("pylabelme2yolo", importlib.metadata.version("pylabelme2yolo"))
seen = {}
for path in (folder / "data/labels/train").iterdir():
    x, y, w, h = (float(value) for value in path.read_text().split()[1:])
    box = (x - w / 2) * WIDTH, (y - h / 2) * HEIGHT, (x + w / 2) * WIDTH, (y + h / 2) * HEIGHT
    seen[path.stem] = [round(side, 2) for side in box]
for name in CIRCLES:
    print(f"{name}: expected [80, 30, 120, 70], seen {seen[name]}")
print("nothing: expected a photo without objects, seen", seen.get("nothing", "no photo"))
sys.exit(0 if seen == {"slant": [100, 50, 112, 66], "beside": [100, 50, 120, 50]} else 1)
PY
