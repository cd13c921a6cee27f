#!/usr/bin/env bash
# globox numbers the objects of every COCO file from 0, those it read with other ids, too. pycocotools notes the id of
# the object that a detection matched, and takes 0 for none: the first object of a file counts as missed, what found it
# as false. The same two perfect detections have AP 1.0 by the file that globox read, and 0.25 by the one it wrote.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv venv
venv/bin/pip install --quiet globox==2.9.0 numpy==2.4.6 pycocotools==2.0.11
venv/bin/python - <<'PY' 2> log || { code=$?; cat log; exit "$code"; }
import contextlib, importlib.metadata, io, json, pathlib, sys
from globox import AnnotationSet
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

objects = [{"image_id": number, "category_id": 1, "bbox": [10 * number, 10, 40, 30]} for number in (1, 2)]
given = {
    "info": {},
    "images": [{"id": number, "file_name": f"{number}.jpg", "width": 100, "height": 100} for number in (1, 2)],
    "categories": [{"id": 1, "name": "cat", "supercategory": "none"}],
    "annotations": [{"id": place + 1, **box, "area": 1200, "iscrowd": 0} for place, box in enumerate(objects)],
}
pathlib.Path("read.json").write_text(json.dumps(given))
AnnotationSet.from_coco("read.json").save_coco("written.json")
written = {"info": {}, **json.loads(pathlib.Path("written.json").read_text())}
pathlib.Path("written.json").write_text(json.dumps(written))


def precision(path):
    """AP of detections that lie exactly on the objects."""
    with contextlib.redirect_stdout(io.StringIO()):
        truth = COCO(path)
        evaluation = COCOeval(truth, truth.loadRes([{**box, "score": 0.9} for box in objects]), "bbox")
        evaluation.evaluate(), evaluation.accumulate(), evaluation.summarize()
    return round(float(evaluation.stats[0]), 2)


def told(dataset):
    """The ids of the objects, and the objects."""
    ids = [item["id"] for item in dataset["annotations"]]
    return ids, [{key: item[key] for key in objects[0]} for item in dataset["annotations"]]


print("globox", importlib.metadata.version("globox"), "and pycocotools", importlib.metadata.version("pycocotools"))
(before, kept), (after, seen) = told(given), told(written)
results = precision("read.json"), precision("written.json")
print("ids of the objects read:   ", before, "AP", results[0])
print("ids of the objects written:", after, "AP expected", results[0], "seen", results[1])
sys.exit(0 if kept == seen and after == [0, 1] and results == (1, 0.25) else 1)
PY
