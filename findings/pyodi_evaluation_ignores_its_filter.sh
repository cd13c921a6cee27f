#!/usr/bin/env bash
# pyodi's evaluation takes string_to_match, "only images whose file_name match this parameter will be evaluated", finds
# those images, says how many there are, and evaluates all: it sets image_ids of COCOeval, which nothing reads, where
# params.imgIds is meant. A detector that finds every car by day and none at night has the same AP for day_, night_ and
# names that no photo has.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv venv
venv/bin/pip install --quiet numpy==2.4.6 pandas==2.3.3 pycocotools==2.0.11 loguru==0.7.3
venv/bin/pip install --quiet --no-deps pyodi==0.0.9 # the rest of what it asks for, its evaluation does not import
venv/bin/python - <<'PY' 2> log || { code=$?; cat log; exit "$code"; }
import contextlib, importlib.metadata, io, json, pathlib, sys
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval
from pyodi.apps.evaluation import evaluation

BOX = [10, 10, 40, 40]
images = [{"id": 1, "file_name": "day_1.jpg", "width": 200, "height": 100},
          {"id": 2, "file_name": "night_1.jpg", "width": 200, "height": 100}]
cars = [{"id": k, "image_id": k, "category_id": 1, "bbox": BOX, "area": 1600, "iscrowd": 0} for k in (1, 2)]
found = [{"image_id": 1, "category_id": 1, "bbox": BOX, "score": 0.9}]
truth = {"images": images, "annotations": cars, "categories": [{"id": 1, "name": "car"}]}
pathlib.Path("truth.json").write_text(json.dumps(truth))
pathlib.Path("found.json").write_text(json.dumps(found))


def ap(print_summary):
    """The first number that pycocotools' summary prints, AP over all thresholds."""
    with contextlib.redirect_stdout(io.StringIO()) as printed:
        print_summary()
    line = next(line for line in printed.getvalue().splitlines() if "Average Precision" in line)
    return float(line.split("=")[-1])


def of_photos(prefix):
    """pycocotools on the photos whose names start so."""
    coco = COCO("truth.json")
    evaluator = COCOeval(coco, coco.loadRes("found.json"), "bbox")
    evaluator.params.imgIds = [image["id"] for image in images if image["file_name"].startswith(prefix)]
    evaluator.evaluate(), evaluator.accumulate(), evaluator.summarize()


print("pyodi", importlib.metadata.version("pyodi"))
results = []
for prefix in ("day_", "night_", "rain_"):
    expected = ap(lambda: of_photos(prefix)) if prefix != "rain_" else "none: no photo"
    results.append((expected, ap(lambda: evaluation("truth.json", "found.json", string_to_match=prefix))))
    print(f"{prefix}: expected AP {expected}, seen {results[-1][1]}")
# Of two cars one is found: precision is 1 at 51 of the 101 recalls.
sys.exit(0 if results == [(1.0, 0.505), (0.0, 0.505), ("none: no photo", 0.505)] else 1)
PY
