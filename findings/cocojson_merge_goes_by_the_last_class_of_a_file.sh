#!/usr/bin/env bash
# cocojson's merge takes a list of category ids for each file, and keeps the objects of these alone. Before an object is
# kept it asks for the category that its loop over the categories has left behind, the last one of the file, instead of
# the object's own: where the last one is not chosen, no object of that file is merged, of the chosen classes neither,
# while its photos are, as photos without objects. Nothing is said; without lists of ids all is merged rightly.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv venv
venv/bin/pip install --quiet --no-compile --no-deps cocojson==0.1.1 pillow==12.3.0 tqdm==4.70.1 numpy==2.4.6 \
  opencv-python-headless==4.14.0.94
venv/bin/python - <<'PY' 2> log || { code=$?; cat log; exit "$code"; }
import contextlib, importlib.metadata, io, json, pathlib, sys
from PIL import Image
from cocojson.tools.merge import merge

CLASSES = {1: "cat", 2: "dog", 3: "bird"}
for name in ("first", "second"):
    pathlib.Path(name).mkdir()
    Image.new("RGB", (100, 80)).save(f"{name}/{name}.jpg")
    pathlib.Path(f"{name}.json").write_text(json.dumps({
        "info": {"description": name},
        "images": [{"id": 1, "file_name": f"{name}.jpg", "width": 100, "height": 80}],
        "categories": [{"id": key, "name": value} for key, value in CLASSES.items()],
        "annotations": [{"id": k, "image_id": 1, "category_id": 1 if name == "first" else 3, "bbox": [10 * k, 10, 5, 5],
                         "area": 25, "iscrowd": 0} for k in (1, 2)],
    }))


def merged(ids):
    """Gives the photos and the classes of the objects of both files together."""
    with contextlib.redirect_stdout(io.StringIO()):
        merge(["first.json", "second.json"], ["first", "second"], "out", cids=ids)
    content = json.loads(pathlib.Path("out/merged.json").read_text())
    names = {category["id"]: category["name"] for category in content["categories"]}
    return len(content["images"]), [names[item["category_id"]] for item in content["annotations"]]


print("cocojson", importlib.metadata.version("cocojson"), "- two cats in the first file, two birds in the second")
cases = {"all": None, "cats and dogs of the first, birds of the second": [[1, 2], [3]]}
found = {name: merged(ids) for name, ids in cases.items()}
for name, (photos, objects) in found.items():
    print(f"{name}: expected 2 photos, ['cat', 'cat', 'bird', 'bird'], seen {photos} photos, {objects}")
as_described = list(found.values()) == [(2, ["cat", "cat", "bird", "bird"]), (2, ["bird", "bird"])]
sys.exit(0 if as_described else 1)
PY
