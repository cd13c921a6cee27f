#!/usr/bin/env bash
# An object that lies in a tile belongs to that tile; image_bbox_slicer looks whether a corner of its box does.
# With keep_partial_labels a train through three tiles is cut to its two ends, and the tile between them, which shows
# nothing but train, is saved without an object; one that is higher and wider than the tiles is cut to its four corners.
# Detectors learn large objects as background; with ignore_empty_tiles the tiles that they fill are left out.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv venv
venv/bin/pip install --quiet image-bbox-slicer==0.4 pascal-voc-writer==0.1.4 numpy==2.4.6 pillow==13.0.0 \
  matplotlib==3.11.2
venv/bin/python -W ignore - <<'PY' 2> log || { code=$?; cat log; exit "$code"; }
import importlib.metadata, pathlib, sys
import xml.etree.ElementTree as ET
import image_bbox_slicer
from PIL import Image

for name in ("pictures", "xml", "tiles", "tiles_xml"):
    pathlib.Path(name).mkdir()
Image.new("RGB", (300, 100)).save("pictures/a.png")
pathlib.Path("xml/a.xml").write_text(
    "<annotation><filename>a.png</filename><size><width>300</width><height>100</height><depth>3</depth></size>"
    "<object><name>train</name><bndbox><xmin>20</xmin><ymin>20</ymin><xmax>280</xmax><ymax>80</ymax></bndbox></object>"
    "</annotation>"
)
slicer = image_bbox_slicer.Slicer()
slicer.config_dirs(img_src="pictures", ann_src="xml", img_dst="tiles", ann_dst="tiles_xml")
slicer.keep_partial_labels = True
slicer.ignore_empty_tiles = False
slicer.slice_by_size(tile_size=(100, 100))
seen = []
for path in sorted(pathlib.Path("tiles_xml").glob("*.xml")):
    sides = ("xmin", "ymin", "xmax", "ymax")
    boxes = ET.parse(path).getroot().iterfind("object/bndbox")
    seen.append([[int(box.find(side).text) for side in sides] for box in boxes])
print("image_bbox_slicer", importlib.metadata.version("image-bbox-slicer"))
print("expected, tile by tile:", [[[20, 20, 100, 80]], [[0, 20, 100, 80]], [[0, 20, 80, 80]]])
print("seen:                  ", seen)
sys.exit(0 if seen == [[[20, 20, 100, 80]], [], [[0, 20, 80, 80]]] else 1)
PY
