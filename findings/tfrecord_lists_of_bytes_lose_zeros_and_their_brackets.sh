#!/usr/bin/env bash
# The package tfrecord gives the bytes of a record in two shapes. A list of two or more becomes a NumPy array of texts,
# which drops zeros at the end of each: raw masks of the objects come back shorter than they were written. A list of
# one becomes its only element: in a photo of one object the classes are b"cat", and going through them gives 99, 97
# and 116, three classes for one box. The float and int lists beside them stay lists. No error either way.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv venv
venv/bin/pip install --quiet tfrecord==1.14.6 numpy==2.4.6 protobuf==7.36.2 crc32c==2.9.post0
venv/bin/python - <<'PY' 2> log || { code=$?; cat log; exit "$code"; }
import importlib.metadata, sys
from tfrecord import TFRecordWriter, tfrecord_loader

MASKS = [bytes([0, 1, 1, 0, 0, 0]), bytes([1, 1, 1, 1, 1, 1])]  # 2 x 3 pixels each
photos = [([b"cat", b"dog"], MASKS), ([b"cat"], MASKS[:1])]
writer = TFRecordWriter("two.tfrecord")
for classes, masks in photos:
    writer.write({"image/object/class/text": (classes, "byte"), "image/object/mask": (masks, "byte"),
                  "image/object/class/label": (list(range(len(classes))), "int")})
writer.close()

print("tfrecord", importlib.metadata.version("tfrecord"))
seen = []
for (classes, masks), record in zip(photos, tfrecord_loader("two.tfrecord", None)):
    names = list(record["image/object/class/text"])
    sizes = [len(mask) for mask in record["image/object/mask"]] if len(classes) > 1 else None
    seen.append((names, sizes, len(record["image/object/class/label"])))
    print(f"{len(classes)} object(s): classes {classes}, seen {names};",
          f"bytes of each mask {[len(mask) for mask in masks]}, seen {sizes if sizes else 'no list'}")
sys.exit(0 if seen == [([b"cat", b"dog"], [3, 6], 2), ([99, 97, 116], None, 1)] else 1)
PY
