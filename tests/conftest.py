"""Fixtures that every room's tests may use, and which tests `make quick` leaves out."""

import gc
import multiprocessing.process
import os
import pathlib
import signal
import subprocess

# Quiet TensorFlow and fewer threads than cores fight over; set before it is imported.
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import pytest

from tests.browser import chromium, tab
from tests.graphs import eager, run_graphs_as_traced

# What nohup or a background job of a script has ignored would stay ignored in every test.
for _number in (signal.SIGHUP, signal.SIGINT):
    if signal.getsignal(_number) is signal.SIG_IGN:
        signal.signal(
            _number, signal.default_int_handler if _number == signal.SIGINT else signal.SIG_DFL
        )

REPOSITORY = pathlib.Path(__file__).resolve().parent.parent

# They start processes, train or export, build the named networks, or look at many pictures or
# videos. Whatever is not here may do none of that, and stays quick.
SLOW = {
    ".": "browser resuming segmentation tpu wheel workflows",
    "cli": (
        "convert_checkpoint create_tfrecords inspect_tfrecords main make_mosaics serve_client sweep"
    ),
    "export": "benchmark feature_networks fold litert mediapipe onnx saved_model web",
    "inference": "detector files journal segmenter tta video",
    "input": "ground_truth masks parity pipeline",
    "models": "efficientdet parity resnet segmentation",
    "report": "comparison page",
    "tools": (
        "benchmark_input compare_speed fusion_speed fuzz measure_memory "
        "measure_networks paper_tables serve_check"
    ),
    "tpu": "compile_check cost nightly scripts",
    "training": "checkpoints feature_networks parity replicas step tasks variables",
    "weights": "keras_resnet loading names_of_other_models reference_names",
    "workflows": "model",
}
# The longest files, first of all, so that no core waits at the end for what another one does.
LONGEST = [
    "wheel", "workflows", "resuming", "segmentation", "replicas", "litert", "pipeline",
    "postprocess", "step", "saved_model", "model",
]  # fmt: skip
_TESTS = REPOSITORY / "tests"
SLOW_FILES = {_TESTS / room / f"test_{n}.py" for room, names in SLOW.items() for n in names.split()}


def pytest_collection_modifyitems(items):
    for item in items:
        if item.path in SLOW_FILES:
            item.add_marker(pytest.mark.slow)
    names = [f"test_{name}.py" for name in LONGEST]
    items.sort(key=lambda item: names.index(item.path.name) if item.path.name in names else 99)


@pytest.fixture(scope="session", autouse=True)
def _graphs_as_traced():
    run_graphs_as_traced()


@pytest.fixture(scope="session", autouse=True)
def _garbage_is_looked_for_less_often():
    """A graph is made of a million objects: looking through them was a tenth of a training."""
    gc.freeze()
    gc.set_threshold(100_000, 10, 10)


@pytest.fixture
def eagerly():
    """Without graphs, see `tests.graphs.eager`."""
    with eager():
        yield


@pytest.fixture(scope="module")
def undrawn():
    """Without the curves of trainings and evaluations, of which each takes a second."""
    from edet.evaluation import plots

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(plots, "save_figure", lambda *_, **__: None)
        yield


@pytest.fixture(autouse=True)
def _quick_tests_start_no_process(request, monkeypatch):
    if request.node.get_closest_marker("slow") is None:

        def refuse(*args, **kwargs):
            raise AssertionError("a test that starts a process is slow: SLOW in tests/conftest.py")

        monkeypatch.setattr(subprocess.Popen, "__init__", refuse)
        monkeypatch.setattr(multiprocessing.process.BaseProcess, "start", refuse)


@pytest.fixture(scope="session")
def browser():
    """Headless Chromium; a test that takes it is skipped where there is none."""
    with chromium() as opened:
        yield opened


@pytest.fixture
def page(browser):
    """A tab in which nothing goes wrong and nothing is asked of another machine."""
    with tab(browser) as opened:
        yield opened


@pytest.fixture(scope="session")
def golden() -> pathlib.Path:
    """The folder of small figures that the reference printed."""
    return REPOSITORY / "tests" / "golden"


@pytest.fixture(scope="session")
def shared() -> pathlib.Path:
    """The folder of large figures and real data beside the checkout; absent on a user's machine."""
    folder = REPOSITORY.parent / "shared"
    if not folder.is_dir():
        pytest.skip("../shared (golden data and real images) is not on this machine")
    return folder
