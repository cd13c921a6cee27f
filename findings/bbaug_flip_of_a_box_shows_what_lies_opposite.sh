#!/usr/bin/env bash
# bbaug's augmentations whose names end in BBox change the inside of boxes alone; Fliplr_BBox mirrors it. It mirrors the
# whole photo and takes from that what lies in the box: the place opposite the photo's middle. An object at the left is
# replaced with the background at the right, and its box and class stay: a label on nothing. Where another object lies
# opposite, the box gets that one: cat and dog become two dogs, one of which is called cat. Nothing is said. An object
# in the middle of the photo is mirrored as it should be.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv venv
venv/bin/pip install --quiet --no-compile --no-deps bbaug==0.4.2 imgaug==0.4.0 numpy==1.23.5 scipy==1.10.1 pillow==13.0.0 \
  scikit-image==0.20.0 opencv-python-headless==4.9.0.80 imageio==2.38.1 six==1.17.0 shapely==2.2.0 packaging==26.4 \
  lazy_loader==0.6 PyWavelets==1.9.0
venv/bin/python - <<'PY'
import importlib.metadata, sys
import numpy as np
from bbaug.policies import policies

CAT, DOG = (250, 200), (100, 50)  # brightness of the left and of the right half of each animal, on black
PLACES = {"left": [20, 60, 100, 140], "middle": [110, 60, 190, 140], "right": [200, 60, 280, 140]}


def flipped(objects):
    """Gives {place: its two halves after Fliplr_BBox} of {place: the halves of its object}; the labels are 0, 1, ..."""
    photo = np.zeros((200, 300, 3), np.uint8)
    for place, halves in objects.items():
        left, top, right, bottom = PLACES[place]
        photo[top:bottom, left:right] = np.repeat(halves, 40)[:, None]
    boxes = [PLACES[place] for place in objects]
    photo, rows = policies.PolicyContainer([]).apply_augmentation(
        [policies.POLICY_TUPLE("Fliplr_BBox", 1.0, 5)], photo, boxes, range(len(boxes)))
    assert rows.tolist() == [[label, *box] for label, box in enumerate(boxes)]
    return {place: (int(photo[100, box[0] + 20, 0]), int(photo[100, box[0] + 60, 0])) for place, box in zip(objects, boxes)}


print("bbaug", importlib.metadata.version("bbaug"), "- halves of the objects after Fliplr_BBox, black is 0:")
cases = {"a cat in the middle": {"middle": CAT}, "a cat at the left": {"left": CAT},
         "a cat at the left, a dog at the right": {"left": CAT, "right": DOG}}
seen = {case: flipped(objects) for case, objects in cases.items()}
for case, objects in cases.items():
    print(f"{case}: expected { {place: halves[::-1] for place, halves in objects.items()} }, seen {seen[case]}")
as_described = list(seen.values()) == [
    {"middle": CAT[::-1]}, {"left": (0, 0)}, {"left": DOG[::-1], "right": DOG}]
sys.exit(0 if as_described else 1)
PY
