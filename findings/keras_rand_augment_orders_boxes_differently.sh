#!/usr/bin/env bash
# keras.layers.RandAugment applies the layers that it drew to pictures and masks in the order of the draw; to boxes
# in the order of its own list, and a layer that it drew twice only once. A rotation before a translation, or two
# translations, leave boxes beside their objects; a translation before a rotation, or one layer alone, come out right.
# With num_ops=2 and eleven layers a few batches of a hundred are wrong, with more layers more. (Shears are left out
# here; they are wrong in their own way.)
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv venv
venv/bin/pip install --quiet keras==3.15.1 tensorflow-cpu==2.21.0
TF_CPP_MIN_LOG_LEVEL=3 TF_ENABLE_ONEDNN_OPTS=0 KERAS_BACKEND=tensorflow venv/bin/python - <<'PY'
import sys
import keras
import numpy as np

box = [90, 85, 120, 120]  # xyxy, of a picture of 200 x 200
mask = np.zeros((1, 200, 200, 1), "float32")
mask[:, box[1] : box[3], box[0] : box[2]] = 1
picture = np.repeat(mask * 200, 3, axis=-1)
names = keras.layers.RandAugment._AUGMENT_LAYERS
moving = [name for name in names if name in ("random_shear", "random_translation", "random_rotation")]
far = {}
for seed in range(150):
    layer = keras.layers.RandAugment((0, 255), num_ops=3, factor=0.25, seed=seed, bounding_box_format="xyxy")
    # What a call does with {"images": ..., "bounding_boxes": ..., "segmentation_masks": ...}.
    drawn = layer.get_random_transformation({"images": picture}, training=True)
    moves = [names[number] for number in np.asarray(drawn["layer_idxes"]) if names[number] in moving]
    if not moves or "random_shear" in moves:
        continue
    boxes = {"boxes": np.array([[box]], "float32"), "labels": np.array([[1.0]], "float32")}
    given = np.asarray(layer.transform_bounding_boxes(boxes, drawn)["boxes"])[0, 0]
    ys, xs = np.nonzero(np.asarray(layer.transform_segmentation_masks(mask, drawn))[0, :, :, 0] > 0.5)
    painted = np.array([xs.min(), ys.min(), xs.max() + 1, ys.max() + 1])
    if len(moves) == 1:
        kind = "one"
    elif len(set(moves)) < len(moves):
        kind = "one of them twice"
    else:
        kind = "in the list's order" if moves == sorted(moves, key=names.index) else "in the other order"
    sides = [round(float(side), 1) for side in given]
    far.setdefault(kind, []).append((float(np.abs(given - painted).max()), moves, painted.tolist(), sides))
print("keras", keras.__version__)
print("expected: sides within 3 pixels of the object's mask")
for kind, rows in far.items():
    distance, moves, painted, given = max(rows)
    print(f"seen: {kind}: {sum(row[0] > 3 for row in rows)} of {len(rows)} draws further, at most {distance:.1f}:",
          *moves, "object", painted, "box", given)
worst = {kind: max(rows)[0] for kind, rows in far.items()}
right = worst["one"] < 3 and worst["in the list's order"] < 3
sys.exit(0 if right and worst["in the other order"] > 10 and worst["one of them twice"] > 10 else 1)
PY
