#!/usr/bin/env bash
# Suppression drops what scores below its score threshold, as OpenCV's NMSBoxes does, which the package nms says it
# replicates. Its score_threshold, 0.3 unless given, drops nothing in any of its three algorithms: what scores 0.05
# stays with a threshold of 0.5 (both branches of the question add the box). False detections of every score come
# through, and where top_k is set nothing else tells that the threshold was not used.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv venv
venv/bin/pip install --quiet numpy==1.26.4 opencv-python-headless==4.10.0.84
venv/bin/pip install --quiet --no-deps nms==0.1.6 # it asks for a version of OpenCV that is no longer there
venv/bin/python - <<'PY' 2> log || { code=$?; cat log; exit "$code"; }
import importlib.metadata, sys
import cv2
from nms import fast, felzenszwalb, malisiewicz, nms

boxes = [(10, 10, 40, 40), (100, 10, 40, 40), (200, 10, 40, 40)]  # x, y, width, height: far apart
scores = [0.9, 0.6, 0.05]
expected = [int(k) for k in cv2.dnn.NMSBoxes(boxes, scores, 0.5, 0.4)]
print("nms", importlib.metadata.version("nms"))
print("OpenCV keeps", expected, "of the scores", scores, "at a score threshold of 0.5")
seen = {}
for algorithm in (malisiewicz.nms, felzenszwalb.nms, fast.nms):
    kept = nms.boxes(boxes, scores, nms_algorithm=algorithm, score_threshold=0.5, nms_threshold=0.4)
    seen[algorithm.__module__] = sorted(int(k) for k in kept)
    print(algorithm.__module__, "keeps", seen[algorithm.__module__])
sys.exit(0 if sorted(expected) == [0, 1] and all(kept == [0, 1, 2] for kept in seen.values()) else 1)
PY
