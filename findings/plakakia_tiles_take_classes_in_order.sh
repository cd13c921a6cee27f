#!/usr/bin/env bash
# plakakia cuts photos with boxes into tiles. The boxes of a tile are chosen from those of the photo, their classes are not:
# the first box of each tile gets the class of the photo's first box, the second that of its second, and so on. A dog in
# a tile without the cat that comes before it in the file is a cat. Boxes are right; one class for all is right, too.
# It is the same for YOLO, VOC and COCO, which are read into one list each. Nothing is said.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv venv
venv/bin/pip install --quiet --no-compile --no-deps plakakia==0.2.1 numpy==2.4.6 pandas==2.3.3 opencv-python-headless==4.14.0.94 \
  imagesize==1.4.1 psutil==7.2.2 pyyaml==6.0.3 tqdm==4.70.1 matplotlib==3.11.2 contourpy==1.3.3 cycler==0.12.1 fonttools==4.68.0 \
  kiwisolver==1.5.1 packaging==26.4 pillow==12.3.0 pyparsing==3.3.3 python-dateutil==2.9.0.post0 pytz==2026.2 six==1.17.0
venv/bin/python - <<'PY' 2> log || { code=$?; cat log; exit "$code"; }
import importlib.metadata, pathlib, sys
import cv2
import numpy as np
from plakakia.settings import Settings
from plakakia.utils_tiling import process_tiles

NAMES = ["cat", "dog", "bird"]
OBJECTS = [(0, 10, 10, 40, 40), (1, 120, 20, 160, 60), (2, 220, 30, 280, 70)]  # class and corners in 300 x 100 pixels
for name in ("photos", "labels"):
    pathlib.Path(name).mkdir()
cv2.imwrite("photos/a.jpg", np.zeros((100, 300, 3), np.uint8))
lines = [f"{kind} {(x1 + x2) / 600} {(y1 + y2) / 200} {(x2 - x1) / 300} {(y2 - y1) / 100}" for kind, x1, y1, x2, y2 in OBJECTS]
pathlib.Path("labels/a.txt").write_text("\n".join(lines) + "\n")
settings = Settings(input_dir_images="photos", input_dir_annotations="labels", output_dir_images="tiles",
                    output_dir_annotations="tile_labels", tile_size=100, step_size=100)
process_tiles(0, settings.input_images[0], settings.input_annotations[0], settings)
found = []
for path in sorted(pathlib.Path("tile_labels").iterdir(), key=lambda path: int(path.stem.split("_")[2])):
    left = int(path.stem.split("_")[2])
    for line in path.read_text().splitlines():
        kind, x, y, width, height = line.split()
        x, width = left + 100 * float(x), 100 * float(width)
        found.append((NAMES[int(kind)], round(x - width / 2), round(x + width / 2)))
expected = [(NAMES[kind], x1, x2) for kind, x1, _, x2, _ in OBJECTS]
print("plakakia", importlib.metadata.version("plakakia"), "- a photo of 300 x 100 pixels in three tiles of 100 x 100")
print("expected: class, left and right side", expected)
print("seen:    ", found)
as_described = [name for name, *_ in found] == ["cat"] * 3 and all(
    abs(a - b) <= 1 for one, other in zip(expected, found) for a, b in zip(one[1:], other[1:]))
sys.exit(0 if as_described else 1)
PY
