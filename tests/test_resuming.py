"""Nothing is lost: real processes are killed and told to stop, and the run goes on as if not.

`python -m tools.kill_check` does the same at twenty moments, some inside writes and evaluations.
"""

import os
import shutil
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
import tensorflow as tf

from edet import workflows
from edet.checkpoint_files import read_weights
from edet.config.loading import load_config
from edet.records.sources.synthetic import SyntheticSet
from edet.records.writing import write_records
from edet.workdir import Workdir
from tests import small
from tests.conftest import REPOSITORY

pytestmark = pytest.mark.usefixtures("undrawn")
assert small.BACKBONES  # importing it makes its backbone known

STEPS = 12
# Batch norm over fewer than 32 numbers, 8 images of 2 x 2 cells, makes much of the last digit.
SETTINGS = [
    "model.image_size=64", "model.backbone=efficientnet-lite-tiny",
    "model.labels={1: disc, 2: square, 3: triangle}", "model.pyramid_width=16",
    "model.pyramid_repeats=1", "model.head_repeats=1", "model.max_level=5",
    "data.batch_size=8", "data.eval_batch_size=4", f"train.steps={STEPS}", "train.save_every=4",
    "train.log_every=2", "train.keep=3",
]  # fmt: skip


@pytest.fixture(scope="module")
def config(tmp_path_factory):
    folder = tmp_path_factory.mktemp("records")
    write_records(SyntheticSet(10, size=64, seed=0), str(folder / "train"), num_shards=2)
    records = f"data.train_records={folder}/train-*"
    return load_config("efficientdet-lite0", overrides=[*SETTINGS, records])


@pytest.fixture(scope="module")
def whole(config, tmp_path_factory):
    """The workdir of a run that nobody disturbed."""
    folder = tmp_path_factory.mktemp("whole")
    workflows.train(config, str(folder), tf.distribute.get_strategy())
    return folder


def start(workdir, config, *arguments):
    """Starts main.py; its output goes to <workdir>.log."""
    records = f"--set=data.train_records={config.data.train_records}"
    path = os.pathsep.join([str(REPOSITORY), os.environ.get("PYTHONPATH", "")])
    with open(f"{workdir}.log", "a") as log:
        return subprocess.Popen(
            [
                sys.executable, "-m", "tests.small_main", "--mode=train", f"--workdir={workdir}",
                "--model=efficientdet-lite0", records, *(f"--set={s}" for s in SETTINGS),
                *arguments,
            ],
            cwd=REPOSITORY, stdout=log, stderr=subprocess.STDOUT, env=os.environ | {
                "PYTHONPATH": path, "COLUMNS": "1000",
            },
        )  # fmt: skip


def wait_for_step(process, workdir, step):
    while len(Workdir(str(workdir)).history()) <= step:
        assert process.poll() is None, (workdir.parent / f"{workdir.name}.log").read_text()
        time.sleep(0.002)


def assert_same_run(found, expected, rtol=1e-5):
    rows, wanted = (Workdir(str(folder)).history() for folder in (found, expected))
    assert [int(row["step"]) for row in rows] == list(range(STEPS))
    assert [r["images_crc32"] for r in rows] == [r["images_crc32"] for r in wanted]
    losses = [[float(row["total_loss"]) for row in part] for part in (rows, wanted)]
    np.testing.assert_allclose(*losses, rtol=rtol)


def stopped(workdir, config, number, name, code) -> int:
    """Trains until the signal ends it, which alone makes it save; returns the step of that."""
    before = len(Workdir(str(workdir)).history())
    life = start(workdir, config, "--set=train.log_every=1", "--set=train.save_every=1000")
    wait_for_step(life, workdir, before)
    life.send_signal(number)
    assert life.wait() == code
    log = (workdir.parent / f"{workdir.name}.log").read_text()
    assert f"stopped by {name} after step" in log
    assert "Traceback" not in log
    saved = int(Workdir(str(workdir)).checkpoint("last").rpartition("-")[2])
    assert before < saved < STEPS
    return saved


def killed(workdir, config, steps, *arguments):
    """Trains until so many steps are in its history, and then has no time to save anything."""
    life = start(workdir, config, "--set=train.log_every=1", *arguments)
    wait_for_step(life, workdir, steps)
    life.kill()
    life.wait()


def assert_same_weights(found, expected):
    for kind in ("raw", "average", "velocity"):
        wanted = read_weights(str(expected / "checkpoints" / f"ckpt-{STEPS}"), kind)
        values = read_weights(str(found / "checkpoints" / f"ckpt-{STEPS}"), kind)
        for name, value in wanted.items():
            np.testing.assert_allclose(values[name], value, rtol=0, atol=1e-5, err_msg=name)


# tests/training/test_checkpoints.py shows it of a run that stopped, without a process.
@pytest.mark.thorough
def test_a_run_that_was_killed_is_the_undisturbed_one(config, whole, tmp_path):
    """It goes on from step 4 and does what came after it again."""
    workdir = tmp_path / "run"
    killed(workdir, config, 4)  # three steps before the next save
    assert Workdir(str(workdir)).checkpoint("last").endswith("ckpt-4")
    workflows.train(config, str(workdir), tf.distribute.get_strategy())
    assert_same_run(workdir, whole)
    assert_same_weights(workdir, whole)


# tests/training/test_loop.py shows the same of both signals without a process.
@pytest.mark.thorough
def test_a_run_that_was_stopped_twice_and_then_killed_is_the_undisturbed_one(
    config, whole, tmp_path
):
    workdir = tmp_path / "run"
    first = stopped(workdir, config, signal.SIGINT, "Ctrl-C", 130)
    saved = stopped(workdir, config, signal.SIGTERM, "SIGTERM", 143)
    assert saved > first
    killed(workdir, config, saved, "--set=train.save_every=1000")
    workflows.train(config, str(workdir), tf.distribute.get_strategy())
    assert_same_run(workdir, whole)
    assert_same_weights(workdir, whole)


@pytest.mark.thorough
def test_two_replicas_go_on_from_the_checkpoint_before_a_damaged_one(config, whole, tmp_path):
    workdir = tmp_path / "run"
    shutil.copytree(whole, workdir)
    data = next((workdir / "checkpoints").glob(f"ckpt-{STEPS}.data*"))
    data.write_bytes(data.read_bytes()[:1000])
    process = start(workdir, config, "--strategy=mirrored", "--devices=2")
    assert process.wait() == 0, (tmp_path / "run.log").read_text()
    log = (tmp_path / "run.log").read_text()
    assert f"ckpt-{STEPS} is damaged" in log
    assert f"resuming from step 8 of {workdir}" in log
    assert_same_run(workdir, whole, rtol=1e-3)
    assert Workdir(str(workdir)).checkpoint("last").endswith(f"ckpt-{STEPS}")
