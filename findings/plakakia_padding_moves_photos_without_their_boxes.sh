#!/usr/bin/env bash
# plakakia can put a border of 10 pixels around photos before it cuts them into tiles (pad_image), so that objects at the
# edge get into the middle of some tile. The photo moves by 10 pixels to the right and down, its boxes do not: those of
# VOC stay where they were, and those of YOLO, which are shares, are taken of the larger picture. Nothing is said.
# Without the border each box lies on its object.
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

for name in ("photos", "voc", "yolo"):
    pathlib.Path(name).mkdir()
photo = np.zeros((120, 120, 3), np.uint8)
photo[40:60, 20:40] = 255  # the object: a white square on black
cv2.imwrite("photos/a.png", photo)
pathlib.Path("voc/a.xml").write_text(
    "<annotation><filename>a.png</filename><size><width>120</width><height>120</height><depth>3</depth></size><object>"
    "<name>square</name><bndbox><xmin>20</xmin><ymin>40</ymin><xmax>40</xmax><ymax>60</ymax></bndbox></object></annotation>")
pathlib.Path("yolo/a.txt").write_text(f"0 {30 / 120} {50 / 120} {20 / 120} {20 / 120}\n")


def tiled(kind, padded):
    """Gives left, top, right and lower side of the label and of the white pixels in the only tile."""
    size = 140 if padded else 120
    out = f"{kind}_{padded}"
    settings = Settings(
        input_dir_images="photos", input_extension_images="png", output_extension_images="png", output_dir_images=out,
        input_dir_annotations=kind, input_format_annotations="pascal_voc" if kind == "voc" else kind,
        annotation_mapping={"square": 0}, output_dir_annotations=out + "_labels", tile_size=size, step_size=size,
        pad_image=padded, validate_settings=False)
    process_tiles(0, settings.input_images[0], settings.input_annotations[0], settings)
    (tile,), (label,) = (list(pathlib.Path(name).iterdir()) for name in (out, out + "_labels"))
    _, x, y, width, height = (size * float(word) for word in label.read_text().split())
    rows, columns = np.nonzero(cv2.imread(str(tile))[:, :, 0])
    pixels = [int(columns.min()), int(rows.min()), int(columns.max()) + 1, int(rows.max()) + 1]
    return [round(side) for side in (x - width / 2, y - height / 2, x + width / 2, y + height / 2)], pixels


print("plakakia", importlib.metadata.version("plakakia"))
found = {(kind, padded): tiled(kind, padded) for kind in ("voc", "yolo") for padded in (False, True)}
for (kind, padded), (box, pixels) in found.items():
    print(f"{kind}, {'with' if padded else 'without'} the border: the object {pixels}, its box {box}")
as_described = (
    all(found[kind, False] == ([20, 40, 40, 60], [20, 40, 40, 60]) for kind in ("voc", "yolo"))
    and found["voc", True] == ([20, 40, 40, 60], [30, 50, 50, 70])
    and found["yolo", True] == ([23, 46, 46, 70], [30, 50, 50, 70]))
sys.exit(0 if as_described else 1)
PY
