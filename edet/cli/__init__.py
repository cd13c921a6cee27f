"""The command line: `edet --mode=...` (main), and the tools, `edet create_tfrecords ...`."""

import os

# TensorFlow's notices about the processor say nothing to a user; its errors come as exceptions.
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
