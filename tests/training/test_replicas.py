"""The same steps on one device, two replicas and two workers: the same weights, all images."""

import json

import numpy as np
import pytest

from tests.training.compare_replicas import differences, start, start_workers


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("replicas")


@pytest.fixture(scope="module")
def replicas(folder):
    """The final variables of the same steps on one device and on two.

    Devices are counted before TensorFlow starts, so it runs in a process of its own.
    """
    cases = {folder / f"{count}.npz": {"steps": 6, "replicas": count} for count in (1, 2)}
    assert start(cases).wait() == 0
    return folder


@pytest.fixture(scope="module")
def workers(folder):
    """Those of steps in parts whose blocks are computed again: on one device, in two workers.

    With the assignment and the losses of the other recipe.
    """
    parts = {"micro_batches": 2, "remat": True, "losses": "modern", "steps": 4}
    assert start({folder / "parts.npz": parts}).wait() == 0
    assert [run.wait() for run in start_workers(folder, parts)] == [0, 0]
    return folder


def assert_same_weights(several, one):
    """Synchronised batch norm, clipping that clips, drop connect, decay and averages.

    Tolerance 1e-5: sums over replicas round otherwise; about 1e-6 is seen.
    tests/training/compare_replicas.py has more cases.
    """
    assert json.loads(str(np.load(one)["clipped"])), "the test must exercise clipping"
    assert max(differences(several, one).values()) < 1e-5


def assert_every_image_once(process):
    """Five images in steps of four; a picture of brightness k has the score 10 k."""
    assert np.load(process)["detected"].tolist() == [0, 10, 20, 30, 40]


def test_two_replicas_end_in_the_weights_of_one(replicas):
    assert_same_weights(replicas / "2.npz", replicas / "1.npz")


@pytest.mark.parametrize("count", [1, 2])
def test_an_evaluation_counts_every_image_once_on_replicas(replicas, count):
    assert_every_image_once(replicas / f"{count}.npz")


@pytest.mark.thorough
@pytest.mark.parametrize("number", [0, 1])
def test_two_workers_end_in_the_weights_of_one_and_count_every_image_once(workers, number):
    assert_same_weights(workers / f"worker{number}.npz", workers / "parts.npz")
    assert_every_image_once(workers / f"worker{number}.npz")
