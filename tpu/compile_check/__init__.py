"""The TPU compiler asked about edet's steps, on a machine without a TPU: `__main__.py`."""

import os

# Read by libtpu when it is loaded: there is no metadata server to ask, and no chip to fight over.
os.environ.setdefault("TPU_SKIP_MDS_QUERY", "1")
os.environ.setdefault("TPU_WORKER_HOSTNAMES", "localhost")
os.environ.setdefault("TPU_WORKER_ID", "0")
os.environ.setdefault("ALLOW_MULTIPLE_LIBTPU_LOAD", "true")
# What it and TensorFlow tell of the missing chip is noise here.
os.environ.setdefault("TPU_MIN_LOG_LEVEL", "3")
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
