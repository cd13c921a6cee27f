#!/usr/bin/env bash
# bbaug applies Google's learned augmentation policies of object detection with imgaug. Their shear is a ratio: at the
# largest magnitude, 10, a row moves by 0.3 pixels for each pixel down, which is 16.7 degrees. bbaug gives the 0.3 to
# imgaug, where it is degrees: in a photo of 400 x 400 the upper and the lower edge move by 2 pixels against each other
# instead of by 120. So four augmentations, which 12 steps of its policies ask for, do next to nothing without a word.
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

SIZE = 400
NAMES = "Shear_X", "Shear_Y", "Shear_X_BBox", "Shear_Y_BBox"


def moved(name, magnitude):
    """Gives by how many pixels a bar across the photo has moved at its one end against the other."""
    photo = np.zeros((SIZE, SIZE, 3), np.uint8)
    photo[190:210] = 255
    upright = name.startswith("Shear_X")
    np.random.seed(0)  # of the direction
    augmented, _ = policies.PolicyContainer([]).apply_augmentation(
        [policies.POLICY_TUPLE(name, 1.0, magnitude)], photo.transpose(1, 0, 2).copy() if upright else photo,
        [[0, 0, SIZE, SIZE]], [1])
    lines = augmented[:, :, 0] if upright else augmented[:, :, 0].T
    ends = [np.average(np.arange(SIZE), weights=lines[k]) for k in (0, -1)]
    return round(abs(float(ends[1] - ends[0])), 1)


print("bbaug", importlib.metadata.version("bbaug"), "- pixels between the ends of a bar, after a shear:")
seen = {(name, magnitude): moved(name, magnitude) for name in NAMES for magnitude in (0, 5, 10)}
for (name, magnitude), pixels in seen.items():
    print(f"{name} of magnitude {magnitude}: expected {0.3 * magnitude / 10 * SIZE:.0f}, seen {pixels}")
sets = [getattr(policies, f"policies_v{k}")() for k in range(4)]
steps = sum(step.name in NAMES for policy in sets for steps in policy for step in steps)
print("steps of its policies that shear:", steps)
small = all(0.5 * magnitude / 5 <= pixels <= 1.5 * magnitude / 5 for (_, magnitude), pixels in seen.items())
sys.exit(0 if small and steps == 12 else 1)
PY
