"""The command line: `edet --mode=...` (main), and the tools, `edet create_tfrecords ...`."""

import os
import platform
import sys

# TensorFlow's notices about the processor say nothing to a user; its errors come as exceptions.
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

# TensorFlow leaves oneDNN off on x86 processors that have no instructions for int8. These train a
# fifth faster with it, by the layers of models.cpu, but predict at half the speed (docs/speed.md).
_MODE = {argument.rpartition("=")[2] for argument in sys.argv[1:]}
if _MODE & {"train", "train_and_eval"} and platform.machine().lower() in ("x86_64", "amd64"):
    os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "1")
