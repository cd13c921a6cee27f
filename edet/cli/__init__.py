"""The command line: `edet --mode=...` (main), and the tools, `edet create_tfrecords ...`."""

import os
import platform
import re
import sys

MODES = (
    "train",
    "eval",
    "train_and_eval",
    "predict",
    "export",
    "benchmark",
    "inspect",
    "check_data",
    "watch",
)
TOOLS = (
    "beam_predict",
    "compare_runs",
    "convert_checkpoint",
    "convert_labels",
    "create_tfrecords",
    "demo",
    "inspect_tfrecords",
    "make_mosaics",
    "serve_client",
    "serve_web",
    "sweep",
)

# TensorFlow's notices about the processor say nothing to a user; its errors come as exceptions.
# Those about oneDNN come while its libraries are loaded, before any level counts (2.21). Without
# file descriptor 2 meanwhile they would not, nor what a signal says then, or a processor too old.
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

# TensorFlow leaves oneDNN off on x86 processors that have no instructions for int8. With it these
# train a fifth faster, by the layers of models.cpu, and predict at half the speed (docs/speed.md).
_trains = re.search(r" --?mode[= ]train(_and_eval)? ", f" {' '.join(sys.argv[1:])} ")
if _trains and platform.machine().lower() in ("x86_64", "amd64"):
    os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "1")
