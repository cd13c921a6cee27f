#!/usr/bin/env bash
# polimorfo's Splitter divides a COCO set by the shares for training, validation and test. What is not for training it
# divides by the share of validation among the two, but the part of that size, which the function under it gives last, it
# calls test: 30 and 10 photos for validation and test become 10 and 30. Equal shares hide it. Nothing is said.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv venv
venv/bin/pip install --quiet --no-compile polimorfo==0.10.35 scikit-multilearn==0.2.0 scikit-learn==1.9.1 scikit-image==0.26.0 \
  numpy==2.4.6 scipy==1.17.1 matplotlib==3.11.2 opencv-python-headless==5.0.0.93 pillow==13.0.0 pycocotools==2.0.11 \
  Deprecated==1.3.1 rich==15.0.0 tqdm==4.70.1
venv/bin/python - <<'PY' 2> log || { code=$?; cat log; exit "$code"; }
import collections, contextlib, importlib.metadata, io, json, pathlib, sys
from polimorfo.datasets import CocoDataset
from polimorfo.datasets.splitter import Splitter

NUMBERS = range(1, 81)
pathlib.Path("coco.json").write_text(json.dumps({
    "info": {}, "licenses": [], "categories": [{"id": 1, "name": "cat"}],
    "images": [{"id": k, "file_name": f"{k}.jpg", "width": 10, "height": 10} for k in NUMBERS],
    "annotations": [{"id": k, "image_id": k, "category_id": 1, "bbox": [1, 1, 4, 4], "area": 16, "iscrowd": 0}
                    for k in NUMBERS]}))


def divided(*shares):
    """Gives the numbers of photos for training, validation and test, in the data sets and in the list of names."""
    with contextlib.redirect_stdout(io.StringIO()):
        lines, *sets = Splitter.split(CocoDataset("coco.json", verbose=False), *shares)
    names = collections.Counter(line.strip().split(",")[1] for line in lines)
    assert [names[name] for name in ("train", "val", "test")] == [len(part) for part in sets]
    return [len(part) for part in sets]


print("polimorfo", importlib.metadata.version("polimorfo"), "- 80 photos; for training, validation and test:")
found = {}
for shares in ((0.5, 0.375, 0.125), (0.5, 0.375), (0.5, 0.25, 0.25)):
    full = shares if len(shares) == 3 else (*shares, 1 - sum(shares))
    found[shares] = [round(80 * share) for share in full], divided(*shares)
    print(f"{shares}: expected {found[shares][0]}, seen {found[shares][1]}")
as_described = list(found.values()) == [([40, 30, 10], [40, 10, 30])] * 2 + [([40, 20, 20], [40, 20, 20])]
sys.exit(0 if as_described else 1)
PY
