#!/usr/bin/env bash
# datasetool divides a YOLO set, with folders of folders, into train and val. It knows photos and texts by their names
# without the folder: of day/1.jpg and night/1.jpg one is left, and its text may be that of the other, as the disk
# lists them. Its strict mode, the default, which is to stop where photos and texts do not fit together, counts none
# missing, and --keep-structure keeps the folder of what is left. Of cameras that number their photos alike one remains.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv venv
venv/bin/pip install --quiet datasetool==0.1.2
venv/bin/python - <<'PY' 2> log || { code=$?; cat log; exit "$code"; }
import importlib.metadata, pathlib, sys
from datasetool.split import SplitConfig, split_dataset

PHOTOS = [f"{time}/{number}" for time in ("day", "dusk", "night") for number in range(10)]
for photo in PHOTOS:
    for kind, end in (("images", ".jpg"), ("labels", ".txt")):
        path = pathlib.Path("set", kind, photo + end)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("0 0.5 0.5 0.2 0.2\n" if kind == "labels" else "copied, never read")
root = pathlib.Path("set")
split_dataset(SplitConfig(root / "images", root / "labels", pathlib.Path("made"), val_ratio=0.2, seed=1,
                          keep_structure=True, use_progress=False))
copies = sorted(str(path.relative_to("made/images")) for path in pathlib.Path("made/images").rglob("*.jpg"))
print("datasetool", importlib.metadata.version("datasetool"))
print(f"photos expected in train and val: {len(PHOTOS)}, seen: {len(copies)}, such as {copies[:3]}")
print("it says:", pathlib.Path("log").read_text().strip().splitlines()[-1])
sys.exit(0 if len(copies) == 10 and len({pathlib.Path(copy).stem for copy in copies}) == 10 else 1)
PY
