#!/usr/bin/env bash
# Test-time augmentation looks at a picture and at its mirror image, and mirrors the second boxes back; odach's
# HorizontalFlip turns the pictures of a batch upside down, as its VerticalFlip does, and mirrors the boxes sideways.
# Each object is found twice: at its place, and opposite the picture's centre, where nothing is, with the same
# score; weighted box fusion (the default) halves the scores of both. VerticalFlip alone comes out right.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv venv
venv/bin/pip install --quiet torch==2.13.0 numpy==2.4.6 numba==0.68.1
venv/bin/pip install --quiet --no-deps odach==0.4.0 # ultralytics and torchvision, which it asks for, it does not import
venv/bin/python - <<'PY' 2> log || { code=$?; cat log; exit "$code"; }
import contextlib, importlib.metadata, io, sys
import torch
from odach import HorizontalFlip, TTAWrapper, VerticalFlip


def detector(pictures):
    """Finds what is bright, exactly, with a score of 0.9."""
    found = []
    for picture in pictures:
        ys, xs = torch.nonzero(picture[0] > 0.5, as_tuple=True)
        box = [int(xs.min()), int(ys.min()), int(xs.max()) + 1, int(ys.max()) + 1]
        found.append({"boxes": torch.tensor([box]).float(), "scores": torch.tensor([0.9]), "labels": torch.tensor([1])})
    return found


pictures = torch.zeros(1, 3, 100, 200)  # one of 200 x 100
pictures[0, :, 10:30, 20:60] = 1
print("odach", importlib.metadata.version("odach"))
print("expected: [[20, 10, 60, 30]] [0.9] of every one")
seen = {}
for flip in (HorizontalFlip(), VerticalFlip()):
    for fusion in ("nms", "wbf"):
        with contextlib.redirect_stdout(io.StringIO()):
            (result,) = TTAWrapper(detector, [flip], nms=fusion, skip_box_thr=0.1)(pictures)
        boxes, scores = result["boxes"].round().int().tolist(), result["scores"].tolist()
        name = type(flip).__name__, fusion
        seen[name] = sorted((box, round(score, 2)) for box, score in zip(boxes, scores))
        print("seen:    ", *name, [box for box, _ in seen[name]], [score for _, score in seen[name]])
place, opposite = [20, 10, 60, 30], [140, 70, 180, 90]
as_seen = {
    ("HorizontalFlip", "nms"): [(place, 0.9), (opposite, 0.9)],
    ("HorizontalFlip", "wbf"): [(place, 0.45), (opposite, 0.45)],
    ("VerticalFlip", "nms"): [(place, 0.9)],
    ("VerticalFlip", "wbf"): [(place, 0.9)],
}
sys.exit(0 if seen == as_seen else 1)
PY
