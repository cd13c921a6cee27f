"""The modes of the command line, each told as a story: train, evaluate, check_data and others.

They put the rooms together; what is said here in a line is done in one of them.
"""

from edet.workflows.data_folder import records_of
from edet.workflows.evaluation import evaluate
from edet.workflows.inspection import check_data, inspect
from edet.workflows.serving import benchmark, export, predict
from edet.workflows.training import train

__all__ = [
    "benchmark",
    "check_data",
    "evaluate",
    "export",
    "inspect",
    "predict",
    "records_of",
    "train",
]
