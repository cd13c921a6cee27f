#!/usr/bin/env bash
# A COCO file lists every photo once. pybboxes' Annotations.save_as_coco lists a photo again for each of its objects,
# with the same id, and one without objects not at all, though it was read from a VOC file of its own. Who goes through
# the list trains on a street of three cars three times as often as on a yard with a cat, and never on an empty sky;
# and what a detector finds in the sky belongs to no photo of the file.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv venv
venv/bin/pip install --quiet pybboxes==0.2.0 numpy==1.24.2 pycocotools==2.0.6 pyyaml==6.0
venv/bin/python - <<'PY' 2> log || { code=$?; cat log; exit "$code"; }
import importlib.metadata, json, pathlib, sys
from pybboxes.annotations import Annotations

PHOTOS = {
    "street.jpg": [("car", (10, 10, 50, 50)), ("car", (60, 10, 100, 50)), ("car", (110, 10, 150, 50))],
    "yard.jpg": [("cat", (20, 20, 60, 60))],
    "sky.jpg": [],
}
folder = pathlib.Path("voc")
folder.mkdir()
for name, objects in PHOTOS.items():
    written = "".join(
        f"<object><name>{label}</name><bndbox><xmin>{box[0]}</xmin><ymin>{box[1]}</ymin><xmax>{box[2]}</xmax>"
        f"<ymax>{box[3]}</ymax></bndbox></object>" for label, box in objects)
    (folder / name).with_suffix(".xml").write_text(
        f"<annotation><filename>{name}</filename><size><width>200</width><height>100</height><depth>3</depth></size>"
        f"{written}</annotation>")

annotations = Annotations(annotation_type="voc")
annotations.load_from_voc(labels_dir="voc")
annotations.save_as_coco(export_file="coco.json")
coco = json.loads(pathlib.Path("coco.json").read_text())
names = {image["id"]: image["file_name"] for image in coco["images"]}
seen = sorted(image["file_name"] for image in coco["images"])
objects = sorted(names[item["image_id"]] for item in coco["annotations"])
print("pybboxes", importlib.metadata.version("pybboxes"))
print("photos expected:", sorted(PHOTOS))
print("photos seen:    ", seen)
print("objects, by photo:", objects)
three = ["street.jpg"] * 3 + ["yard.jpg"]
sys.exit(0 if (seen, objects, len(names)) == (three, three, 2) else 1)
PY
