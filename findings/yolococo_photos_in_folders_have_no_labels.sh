#!/usr/bin/env bash
# yolococo makes COCO of YOLO's images and labels. It finds photos in folders of folders, but looks for all texts in the
# upper one: of Ultralytics' images/train and labels/train every photo is there, and none has an object. The command
# ends well and says nothing. A detector trained on the file learns that there is nothing to find. Where the texts of
# one folder do lie at the top, photos of that name in every folder get their boxes.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv venv
venv/bin/pip install --quiet yolococo==0.2.1 pillow==12.3.0 tqdm==4.70.1
venv/bin/python - <<'PY' 2> log || { code=$?; cat log; exit "$code"; }
import importlib.metadata, json, pathlib, subprocess, sys
from PIL import Image

BOXES = {"train/a": [20, 10, 40, 30], "val/a": [100, 50, 60, 40], "val/b": [60, 20, 20, 20]}
for name, (x, y, w, h) in BOXES.items():
    for kind in ("images", "labels"):
        pathlib.Path(kind, name).parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (200, 100)).save(f"images/{name}.jpg")
    pathlib.Path(f"labels/{name}.txt").write_text(f"0 {(x + w / 2) / 200} {(y + h / 2) / 100} {w / 200} {h / 100}\n")
pathlib.Path("classes.txt").write_text("cat\n")


def converted(labels):
    """The boxes of each photo in the COCO file of yolococo's command."""
    command = ["venv/bin/yolococo", "yolo2coco", "--images", "images", "--labels", labels, "--classes", "classes.txt",
               "--file-name-mode", "relative", "--out", "coco.json"]
    subprocess.run(command, check=True, capture_output=True)
    coco = json.loads(pathlib.Path("coco.json").read_text())
    photos = {image["id"]: image["file_name"].removesuffix(".jpg") for image in coco["images"]}
    boxes = {name: [] for name in photos.values()}
    for item in coco["annotations"]:
        boxes[photos[item["image_id"]]].append(item["bbox"])
    return boxes


print("yolococo", importlib.metadata.version("yolococo"))
print("expected:           ", {name: [box] for name, box in BOXES.items()})
whole, train = converted("labels"), converted("labels/train")
print("--labels=labels:      ", whole)
print("--labels=labels/train:", train)
mixed = {"train/a": [BOXES["train/a"]], "val/a": [BOXES["train/a"]], "val/b": []}
sys.exit(0 if whole == {name: [] for name in BOXES} and train == mixed else 1)
PY
