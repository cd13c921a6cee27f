#!/usr/bin/env bash
# cocoutils-cv makes COCO files of VOC, YOLO or LabelMe, with an object Transfer() for each. All of them fill one and the same
# dictionary, so the file that is made second, of the validation as a rule, holds the training's photos and objects as
# well, and counts its own from 0 again: two photos have the id 0, and each has the boxes of both. The classes of both
# stand in it, with ids from 0 twice, so a dog may be a cat. A detector is scored on what it was trained with, by boxes of
# other photos. Nothing is said. The first file of a program is right.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv venv
venv/bin/pip install --quiet --no-deps cocoutils-cv==0.0.2 numpy==2.4.6 pycocotools==2.0.11 opencv-python-headless==5.0.0.93 \
  matplotlib==3.11.2 tqdm==4.70.1 contourpy==1.3.3 cycler==0.12.1 fonttools==4.68.0 kiwisolver==1.5.1 packaging==26.4 \
  pillow==12.3.0 pyparsing==3.3.3 python-dateutil==2.9.0.post0 six==1.17.0
cat > convert.py <<'PY'
import sys
from cocoutils import Transfer

for split in sys.argv[1:]:
    Transfer().voc2coco(f"{split}.json", split)
PY
cat > compare.py <<'PY'
import contextlib, importlib.metadata, io, json, pathlib, subprocess, sys
from pycocotools.coco import COCO

OBJECTS = {"train": ("street.jpg", "dog", [10, 20, 40, 30]), "val": ("yard.jpg", "cat", [100, 50, 60, 40])}
for split, (photo, name, (x, y, w, h)) in OBJECTS.items():
    corners = {"xmin": x, "ymin": y, "xmax": x + w, "ymax": y + h}
    box = "".join(f"<{side}>{number}</{side}>" for side, number in corners.items())
    pathlib.Path(split).mkdir()
    pathlib.Path(split, f"{photo[:-4]}.xml").write_text(
        f"<annotation><filename>{photo}</filename><size><width>200</width><height>100</height><depth>3</depth></size>"
        f"<object><name>{name}</name><bndbox>{box}</bndbox></object></annotation>")


def converted(*splits):
    """Makes the COCO files of these splits in one program, and gives what the last one lists: photos, classes, boxes."""
    subprocess.run([sys.executable, "convert.py", *splits], check=True, capture_output=True)
    coco = json.loads(pathlib.Path(f"{splits[-1]}.json").read_text())
    return ([(photo["id"], photo["file_name"]) for photo in coco["images"]],
            [(category["id"], category["name"]) for category in coco["categories"]],
            [(item["image_id"], item["bbox"]) for item in coco["annotations"]])


print("cocoutils-cv", importlib.metadata.version("cocoutils-cv"))
alone, second = converted("val"), converted("train", "val")
first = converted("train")
for name, seen in (("train", first), ("val by itself", alone), ("val after train", second)):
    print(f"{name}: photos {seen[0]}, classes {seen[1]}, boxes {seen[2]}")
converted("train", "val")
with contextlib.redirect_stdout(io.StringIO()):
    coco = COCO("val.json")
boxes = [item["bbox"] for item in coco.imgToAnns[0]]
print(f"pycocotools, val after train: {coco.imgs[0]['file_name']} has the boxes {boxes}")
right = {split: ([(0, photo)], [(0, name)], [(0, box)]) for split, (photo, name, box) in OBJECTS.items()}
both = tuple(train + val for train, val in zip(right["train"], right["val"]))
as_described = first == right["train"] and alone == right["val"] and second == both
sys.exit(0 if as_described and boxes == [box for _, _, box in OBJECTS.values()] else 1)
PY
venv/bin/python compare.py 2> log || { code=$?; cat log; exit "$code"; }
