#!/usr/bin/env bash
# image-dataset-converter writes COCO files (to-coco-od). As the area of each object it writes that of its photo. COCO's
# evaluation sorts objects by it, whatever their boxes are: in photos of 640 x 480 all are large, so a detector that
# finds the large ones and misses the small ones has no AP of small objects, and that of large ones is the mean of both.
# Boxes, classes and the AP of all sizes together are right. Nothing is said.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv venv
# Without pypfm, which only its maps of depth need: it says that it leaves these out.
venv/bin/pip install --quiet --no-compile --no-deps image-dataset-converter==0.1.0 kasperl==0.0.3 seppl==0.3.1 \
  wai-common==0.0.46 wai-logging==0.0.8 fast-opex==0.0.4 python-image-complete==0.0.6 simple-palette-utils==0.0.4 \
  defusedxml==0.7.1 imagesize==2.0.1 numpy==2.4.6 opencv-python-headless==5.0.0.93 pillow==13.0.0 shapely==2.2.0 \
  six==1.17.0 matplotlib==3.11.2 contourpy==1.3.3 cycler==0.12.1 fonttools==4.68.0 kiwisolver==1.5.1 packaging==26.4 \
  pyparsing==3.3.3 python-dateutil==2.9.0.post0 platformdirs==4.14.9 javaproperties==0.8.2 python-dotenv==1.2.4 \
  watchdog==7.1.0 croniter==7.0.0 pytz==2026.2 tzlocal==5.4.5 typing-inspect==0.9.0 mypy-extensions==1.2.0 \
  typing-extensions==4.16.0 simple-range==0.0.3 pycocotools==2.0.11
export XDG_CACHE_HOME="$folder/cache"  # of its list of plugins
venv/bin/python - <<'PY' 2> log || { code=$?; cat log; exit "$code"; }
import contextlib, importlib.metadata, io, json, pathlib, subprocess, sys
from PIL import Image
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

SMALL, LARGE = [40, 40, 20, 20], [200, 100, 200, 200]  # x, y, width and height of two cats
pathlib.Path("given").mkdir()
Image.new("RGB", (640, 480)).save("given/a.png")
entry = {"image_id": 1, "category_id": 1, "iscrowd": 0, "segmentation": []}
pathlib.Path("given/given.json").write_text(json.dumps({
    "licenses": [{"id": 1, "name": "free", "url": ""}], "categories": [{"id": 1, "name": "cat"}],
    "images": [{"id": 1, "file_name": "a.png", "width": 640, "height": 480, "license": 1}],
    "annotations": [{**entry, "id": k, "bbox": box, "area": box[2] * box[3]} for k, box in ((1, SMALL), (2, LARGE))]}))
subprocess.run([str(pathlib.Path(sys.executable).with_name("idc-convert")), "from-coco-od", "-i", "given/given.json",
                "to-coco-od", "-o", "made"], check=True)


def measured(path):
    """Gives boxes and areas of the file, and AP of all, small and large objects where only the large cat is found."""
    with contextlib.redirect_stdout(io.StringIO()):
        truth = COCO(path)
        found = truth.loadRes([{"image_id": 1, "category_id": 1, "bbox": LARGE, "score": 0.9}])
        evaluation = COCOeval(truth, found, "bbox")
        evaluation.evaluate()
        evaluation.accumulate()
        evaluation.summarize()
    objects = truth.loadAnns(truth.getAnnIds())
    return ([item["bbox"] for item in objects], [item["area"] for item in objects],
            [round(float(evaluation.stats[k]), 2) for k in (0, 3, 5)])


print("image-dataset-converter", importlib.metadata.version("image-dataset-converter"), "- boxes, areas; AP, APs, APl:")
given, made = measured("given/given.json"), measured("made/annotations.json")
print("expected", *given)
print("seen", *made)
as_described = (given == ([SMALL, LARGE], [400, 40000], [0.5, 0.0, 1.0])
                and made == ([SMALL, LARGE], [640 * 480] * 2, [0.5, -1.0, 0.5]))
sys.exit(0 if as_described else 1)
PY
