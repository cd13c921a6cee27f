#!/usr/bin/env bash
# An evaluation gives each detection to one object at most. hbb2obb's evaluate_obb looks for the best detection of each
# object and does not take it away from the others: one box over three cars that stand side by side is matched with all
# three, so that no object is missed. With exclude_edge_cases the objects at the photo's edges are taken off the number
# of objects twice, and there may be more matches than objects. Nothing is said. A box for each object is counted rightly.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv venv
venv/bin/pip install --quiet --no-compile torch==2.13.0 numpy==2.4.6
venv/bin/pip install --quiet --no-compile --no-deps hbb2obb==1.12.0 shapely==2.1.2 pandas==2.3.3 pytz==2026.2 \
  python-dateutil==2.9.0.post0 six==1.17.0 tqdm==4.70.1 psutil==7.2.2 pyyaml==6.0.3
venv/bin/python - <<'PY' 2> log || { code=$?; cat log; exit "$code"; }
import importlib.metadata, pathlib, sys
from hbb2obb.evaluator import evaluate_obb

SIZE = {"exclude_edge_cases": True, "img_width": 400, "img_height": 400}
CARS = [(100, 100, 120, 140), (120, 100, 140, 140), (140, 100, 160, 140)]  # side by side


def counts(objects, found, **settings):
    """Gives the numbers of objects, detections, matches, and objects and detections without a partner."""
    for name, boxes in (("objects", objects), ("found", found)):
        pathlib.Path(name).mkdir(exist_ok=True)
        lines = [f"0 {x1} {y1} {x2} {y1} {x2} {y2} {x1} {y2}\n" for x1, y1, x2, y2 in boxes]
        pathlib.Path(name, "a.txt").write_text("".join(lines))
    result = evaluate_obb(pathlib.Path("objects"), pathlib.Path("found"), no_bar=True, **settings)
    keys = ("total_gt", "total_pred", "total_matches", "total_unmatched_gt", "total_unmatched_pred")
    return tuple(int(result[key]) for key in keys)


edge = [(0, 200, 20, 240), *CARS]
print("hbb2obb", importlib.metadata.version("hbb2obb"))
print("objects, detections, matches, objects missed, false detections:")
cases = {"a box for each": ((3, 3, 3, 0, 0), counts(CARS, CARS)),
         "one box over all": ((3, 1, 1, 2, 0), counts(CARS, [(100, 100, 160, 140)])),
         "an object at the edge left out": ((3, 3, 3, 0, 0), counts(edge, CARS, **SIZE))}
for name, (expected, seen) in cases.items():
    print(f"{name}: expected {expected}, seen {seen}")
as_described = [seen for _, seen in cases.values()] == [(3, 3, 3, 0, 0), (3, 1, 3, 0, 0), (2, 3, 3, 0, 0)]
sys.exit(0 if as_described else 1)
PY
