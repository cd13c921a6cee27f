#!/usr/bin/env bash
# VOC files name each object's class (<name>), and cvannotate is given the list of classes (-c); it looks for the class
# in an element <name_id> of its own instead, which VOC does not have and its own VOC export does not write, and
# takes 0 where there is none. Every object becomes one of the first class, in YOLO and COCO alike, without a word.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv venv
venv/bin/pip install --quiet cvannotate==1.0.0
cat > a.xml <<'XML'
<annotation><filename>a.jpg</filename><size><width>200</width><height>100</height><depth>3</depth></size>
<object><name>cat</name><bndbox><xmin>20</xmin><ymin>10</ymin><xmax>60</xmax><ymax>50</ymax></bndbox></object>
<object><name>dog</name><bndbox><xmin>100</xmin><ymin>30</ymin><xmax>160</xmax><ymax>80</ymax></bndbox></object>
</annotation>
XML
for format in yolo coco; do
  venv/bin/cvannotate convert -i a.xml --from-format voc -f "$format" -o "$format" -c cat,dog
done
venv/bin/python - <<'PY'
import importlib.metadata, json, pathlib, sys

(text,) = pathlib.Path("yolo").glob("*.txt")
yolo = [int(line.split()[0]) for line in text.read_text().splitlines()]
coco = json.loads(pathlib.Path("coco/annotations.json").read_text())
names = {item["id"]: item["name"] for item in coco["categories"]}
found = [names[item["category_id"]] for item in coco["annotations"]]
print("cvannotate", importlib.metadata.version("cvannotate"))
print("expected: YOLO classes [0, 1], COCO ['cat', 'dog']")
print("seen:     YOLO classes", yolo, "COCO", found)
sys.exit(0 if yolo == [0, 0] and found == ["cat", "cat"] else 1)
PY
