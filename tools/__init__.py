"""Tools of the repository in folders by purpose; beside them doors, `python tools/<name>.py`."""

import os

# TensorFlow's notices about the processor say nothing to a user; its errors come as exceptions.
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
