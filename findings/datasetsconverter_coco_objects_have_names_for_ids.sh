#!/usr/bin/env bash
# A COCO object's category_id is the id of a category. datasetsconverter makes COCO of VOC with the class's name there,
# "cat", while the categories have the ids 0, 1, ...: no object is of any class. pycocotools reads the file without a word
# and finds no object of any category, so that its AP is -1 even for the truth itself, and a training by its categories
# has photos without objects alone. Its COCO made of YOLO has ids, and is right.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv venv
venv/bin/pip install --quiet --no-compile datasetsconverter==0.0.1 pycocotools==2.0.11 numpy==2.4.6 pillow==12.3.0 tqdm==4.70.1
venv/bin/python - <<'PY' 2> log || { code=$?; cat log; exit "$code"; }
import contextlib, importlib.metadata, io, json, pathlib, sys
import datasetsconverter
from PIL import Image
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

XML = """<annotation><filename>a.jpg</filename><size><width>100</width><height>80</height><depth>3</depth></size>
<object><name>cat</name><difficult>0</difficult><bndbox><xmin>10</xmin><ymin>10</ymin><xmax>50</xmax><ymax>60</ymax></bndbox></object>
<object><name>dog</name><difficult>0</difficult><bndbox><xmin>60</xmin><ymin>10</ymin><xmax>90</xmax><ymax>60</ymax></bndbox></object>
</annotation>"""
for name in ("photos", "voc", "yolo/labels"):
    pathlib.Path(name).mkdir(parents=True)
Image.new("RGB", (100, 80)).save("photos/a.jpg")
pathlib.Path("voc/a.xml").write_text(XML)
pathlib.Path("yolo/classes.txt").write_text("cat\ndog\n")
pathlib.Path("yolo/labels/a.txt").write_text("0 0.3 0.4375 0.4 0.625\n1 0.75 0.4375 0.3 0.625\n")


def measured(path):
    """Gives the ids of objects and categories, how many objects have a category, and AP of the truth itself."""
    with contextlib.redirect_stdout(io.StringIO()):
        truth = COCO(path)
        objects = list(truth.anns.values())
        number = sum(len(truth.getAnnIds(catIds=[key])) for key in truth.getCatIds())
        results = [{"image_id": item["image_id"], "category_id": k, "bbox": item["bbox"], "score": 0.9}
                   for k, item in enumerate(objects)]
        evaluation = COCOeval(truth, truth.loadRes(results), "bbox")
        evaluation.evaluate(), evaluation.accumulate(), evaluation.summarize()
    return [item["category_id"] for item in objects], truth.getCatIds(), number, round(float(evaluation.stats[0]), 3)


with contextlib.redirect_stdout(io.StringIO()):
    datasetsconverter.pascalvoc_to_coco("voc", "of_voc/coco.json", "photos")
    datasetsconverter.yolo_to_coco("yolo", "of_yolo/coco.json", "photos")
print("datasetsconverter", importlib.metadata.version("datasetsconverter"))
print("category_id of a cat and a dog, ids of the categories, objects that have one of them, AP of the truth itself:")
found = {kind: measured(f"of_{kind}/coco.json") for kind in ("voc", "yolo")}
for kind, values in found.items():
    print(f"of {kind}: expected ([0, 1], [0, 1], 2, 1.0), seen {values}")
as_described = found == {"voc": (["cat", "dog"], [0, 1], 0, -1), "yolo": ([0, 1], [0, 1], 2, 1)}
sys.exit(0 if as_described else 1)
PY
