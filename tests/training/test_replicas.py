"""The same steps on one device, two replicas and two workers: the same weights, all images."""

import json

import numpy as np
import pytest

from tests.training.compare_replicas import differences, start, start_workers


@pytest.fixture(scope="module")
def states(tmp_path_factory):
    """The final variables of the same steps on one device, on two, and in two workers.

    Devices are counted before TensorFlow starts, so each runs in processes of its own.
    """
    folder = tmp_path_factory.mktemp("replicas")
    parts = {"micro_batches": 2, "remat": True, "steps": 4}
    cases = {f"{count}.npz": {"steps": 6, "replicas": count} for count in (1, 2)}
    cases = {folder / name: case for name, case in (cases | {"parts.npz": parts}).items()}
    assert start(cases).wait() == 0
    assert [run.wait() for run in start_workers(folder, parts)] == [0, 0]
    return folder


@pytest.mark.parametrize(
    ("several", "one"), [("2", "1"), ("worker0", "parts"), ("worker1", "parts")]
)
def test_any_number_of_replicas_and_workers_ends_in_the_same_weights(states, several, one):
    """Steps with synchronised batch norm, clipping that clips, drop connect, decay and averages.

    The workers with micro-batches whose blocks are computed again. Tolerance 1e-5: sums over
    replicas round otherwise; about 1e-6 is seen. tests/training/compare_replicas.py has more cases.
    """
    clipped = np.load(states / f"{one}.npz")["clipped"]
    assert json.loads(str(clipped)), "the test must exercise clipping"
    assert max(differences(states / f"{several}.npz", states / f"{one}.npz").values()) < 1e-5


@pytest.mark.parametrize("process", ["1", "2", "worker0", "worker1"])
def test_an_evaluation_counts_every_image_once_on_replicas_and_workers(states, process):
    """Five images in steps of four; a picture of brightness k has the score 10 k."""
    assert np.load(states / f"{process}.npz")["detected"].tolist() == [0, 10, 20, 30, 40]
