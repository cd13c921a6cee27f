#!/usr/bin/env bash
# The package tfrecord (a reader without TensorFlow) gives each record of a file as a view of one buffer that it fills
# anew for the next. Whoever keeps records before parsing them, in a list or in the package's own shuffle_iterator, has
# as many copies of the last photo as there are records, with labels and all, and no error where records are of one
# length. Here three photos become three times the third, and a shuffle of two draws "b.jpg" never.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv venv
venv/bin/pip install --quiet tfrecord==1.14.6 numpy==2.4.6 protobuf==7.36.2 crc32c==2.9.post0
venv/bin/python - <<'PY' 2> log || { code=$?; cat log; exit "$code"; }
import importlib.metadata, sys
import numpy as np
from tfrecord import TFRecordWriter, shuffle_iterator, tfrecord_iterator
from tfrecord.example_pb2 import Example

NAMES = [b"a.jpg", b"b.jpg", b"c.jpg"]
writer = TFRecordWriter("three.tfrecord")
for label, name in enumerate(NAMES, 1):
    writer.write({"image/filename": (name, "byte"), "image/object/class/label": ([label], "int")})
writer.close()


def read(record):
    feature = Example.FromString(bytes(record)).features.feature
    return feature["image/filename"].bytes_list.value[0], feature["image/object/class/label"].int64_list.value[0]


print("tfrecord", importlib.metadata.version("tfrecord"))
at_once = [read(record) for record in tfrecord_iterator("three.tfrecord")]
kept = [read(record) for record in list(tfrecord_iterator("three.tfrecord"))]
np.random.seed(0)
shuffled = [read(record) for record in shuffle_iterator(tfrecord_iterator("three.tfrecord"), 2)]
print("parsed one by one:  ", at_once)
print("kept, then parsed:  ", kept)
print("through its shuffle:", shuffled)
right = [(name, label) for label, name in enumerate(NAMES, 1)]
sys.exit(0 if at_once == right and kept == [right[2]] * 3 and sorted(shuffled) != right and len(shuffled) == 3 else 1)
PY
