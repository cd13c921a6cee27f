"""Tools of the repository in folders by purpose; beside them doors, `python tools/<name>.py`."""

import os
import sys

from edet.signals import end_with_a_sentence

# TensorFlow's notices about the processor say nothing to a user; its errors come as exceptions.
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
if sys.argv[0] == "-m":  # `python -m tools.<name>`, until the tool itself takes its signals
    end_with_a_sentence()
