"""Fixtures that every room's tests may use."""

import os
import pathlib

# Quiet TensorFlow and fewer threads than cores fight over; set before it is imported.
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import pytest

REPOSITORY = pathlib.Path(__file__).resolve().parent.parent


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
