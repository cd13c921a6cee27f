#!/usr/bin/env bash
# OpenCV's Image2BlobParams, told how a picture was made the network's input, brings boxes found there back into the
# picture. If the picture has the input's size already, they should stay as they are; each becomes (0, 0, 0, 0),
# for every way of fitting, and nothing is said: a camera of 640 x 640 pixels and a network of 640 find nothing.
# A pixel more on one side, and the boxes are right.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv venv
venv/bin/pip install --quiet opencv-python-headless==5.0.0.93 numpy==2.4.6
venv/bin/python - <<'PY'
import sys
import cv2

BOX = (160, 80, 320, 240)  # a corner, width and height, in the network's input
fits = {"stretched": cv2.dnn.DNN_PMODE_NULL, "cropped": cv2.dnn.DNN_PMODE_CROP_CENTER,
        "letterboxed": cv2.dnn.DNN_PMODE_LETTERBOX}
print("opencv", cv2.__version__)
lost, kept = [], []
for name, mode in fits.items():
    params = cv2.dnn.Image2BlobParams()
    params.size = (640, 640)
    params.paddingmode = mode
    for picture, found in (((640, 640), lost), ((641, 640), kept)):
        one = tuple(params.blobRectToImageRect(BOX, picture))
        (many,) = params.blobRectsToImageRects([BOX], picture)
        found.append((one, tuple(int(side) for side in many)))
        print(f"picture of {picture}, {name}: expected about {BOX}, seen {found[-1][0]} and {found[-1][1]}")
nothing = (0, 0, 0, 0)
is_near = all(abs(a - b) <= 2 for pair in kept for box in pair for a, b in zip(box, BOX))
sys.exit(0 if lost == [(nothing, nothing)] * 3 and is_near else 1)
PY
