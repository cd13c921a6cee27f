#!/usr/bin/env bash
# motpy's MultiObjectTracker is told the time between two frames, dt. It writes it into the settings of its motion model,
# of which there is one for all trackers: after a second one is made for another camera, new tracks of the first one move
# by the second's dt. A camera of 10 frames a second beside one of 1 frame gives other boxes for the same detections than
# alone. It is so with the motion model that is taken unless told otherwise, and with those chosen by name; a dictionary
# of one's own for each tracker is right.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv venv
venv/bin/pip install --quiet setuptools==80.9.0 wheel==0.45.1
venv/bin/pip install --quiet --no-compile --no-deps --no-build-isolation motpy==0.0.10 filterpy==1.4.5 numpy==2.4.6 scipy==1.17.1
venv/bin/python - <<'PY'
import importlib.metadata, sys
import numpy as np
from motpy import Detection, MultiObjectTracker

SPEC = {"order_pos": 1, "dim_pos": 2, "order_size": 0, "dim_size": 2}
NAMED = "constant_velocity_and_static_box_size_2d"


def followed(second, spec=None):
    """Follows a box that moves 20 pixels a frame; gives its left side in the fourth frame, and the dt of its track."""
    def made(dt):
        if spec is None:
            return MultiObjectTracker(dt=dt)
        return MultiObjectTracker(dt=dt, model_spec=dict(spec) if isinstance(spec, dict) else spec)

    tracker = made(0.1)
    if second:
        made(1.0)
    for frame in range(4):
        box = np.array([10.0 + 20 * frame, 10, 60 + 20 * frame, 60])
        tracks = tracker.step([Detection(box=box, score=0.9, class_id=1)])
    return round(float(tracks[0].box[0]), 2), tracker.trackers[0].model.dt


print("motpy", importlib.metadata.version("motpy"))
found = {}
for name, spec in {"default": None, "by name": NAMED, "own dictionary": SPEC}.items():
    found[name] = followed(False, spec), followed(True, spec)
    print(f"{name}: left side and dt of a tracker with dt=0.1, alone {found[name][0]}, beside one with dt=1.0 {found[name][1]}")
shared = [found[name] for name in ("default", "by name")]
as_described = all(alone[1] == 0.1 and beside[1] == 1.0 and abs(alone[0] - beside[0]) > 0.5 for alone, beside in shared)
sys.exit(0 if as_described and found["own dictionary"][0] == found["own dictionary"][1] else 1)
PY
