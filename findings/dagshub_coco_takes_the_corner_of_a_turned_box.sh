#!/usr/bin/env bash
# A rectangle that was turned in CVAT should become its outline or its bounds in COCO; dagshub-annotation-converter
# moves the corner to where the turn brought it (as Label Studio counts), and its COCO export then writes that corner
# with the unturned width and height and leaves out the angle, without the warning that its YOLO export gives.
# A box turned by a quarter, of 40 x 20 pixels, lands beside its object: the two do not overlap at all.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv venv
venv/bin/pip install --quiet dagshub-annotation-converter==0.3.0
cat > annotations.xml <<'XML'
<?xml version="1.0" encoding="utf-8"?>
<annotations><version>1.1</version><image id="0" name="a.jpg" width="200" height="100">
<box label="cat" occluded="0" xtl="80.0" ytl="40.0" xbr="120.0" ybr="60.0" z_order="0"></box>
<box label="cat" occluded="0" xtl="80.0" ytl="40.0" xbr="120.0" ybr="60.0" rotation="90.0" z_order="0"></box>
</image></annotations>
XML
venv/bin/python - <<'PY'
import importlib.metadata, json, sys
from dagshub_annotation_converter.converters.coco import export_to_coco_file
from dagshub_annotation_converter.converters.cvat import load_cvat_from_xml_file

(annotations,) = load_cvat_from_xml_file("annotations.xml").values()
export_to_coco_file(annotations, "coco.json")
with open("coco.json") as file:
    plain, turned = (item["bbox"] for item in json.load(file)["annotations"])
print("dagshub-annotation-converter", importlib.metadata.version("dagshub-annotation-converter"))
print("as drawn:            expected [80, 40, 40, 20], seen", plain)
# Around the centre (100, 50) by a quarter: 20 wide, 40 high, from (90, 30) to (110, 70).
print("turned by a quarter: expected [90, 30, 20, 40], seen", turned)
sys.exit(0 if plain == [80, 40, 40, 20] and turned == [110, 30, 40, 20] else 1)
PY
