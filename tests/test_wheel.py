"""An installed wheel is only `edet`, and does everything beside files of other projects."""

import json
import os
import pathlib
import shutil
import subprocess
import sys
import sysconfig
import venv
import zipfile

import pytest

from tests.conftest import REPOSITORY

pytestmark = pytest.mark.wheel
SMALL = (
    "model.image_size=64", "model.backbone=efficientnet-w0.35-d0.3", "model.pyramid_width=16",
    "model.pyramid_repeats=1", "model.head_repeats=1", "model.max_level=5", "train.steps=2",
    "train.eval_every=2", "data.batch_size=2",
)  # fmt: skip


@pytest.fixture(scope="module")
def wheel(tmp_path_factory) -> pathlib.Path:
    """The wheel of a copy of the sources, so that no build/ of before is taken along."""
    folder = tmp_path_factory.mktemp("wheel")
    ignore = shutil.ignore_patterns(".*", "__pycache__", "build", "*.egg-info", "runs")
    shutil.copytree(REPOSITORY, folder / "source", ignore=ignore)
    subprocess.run(
        [
            sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--no-build-isolation",
            f"--wheel-dir={folder}", str(folder / "source"),
        ],
        check=True,
    )  # fmt: skip
    (path,) = folder.glob("*.whl")
    return path


@pytest.fixture(scope="module")
def edet(wheel, tmp_path_factory):
    """Runs the installed `edet` in a folder with a main.py and a tools/ of somebody else."""
    home = tmp_path_factory.mktemp("installed")
    venv.create(home / "venv", symlinks=True)
    python = home / "venv" / "bin" / "python"
    site = next((home / "venv").glob("lib/python*/site-packages"))
    subprocess.run(
        [
            sys.executable, "-m", "pip", f"--python={python}", "install", "--quiet", "--no-deps",
            "--no-index", str(wheel),
        ],
        check=True,
    )  # fmt: skip
    # The other packages are this environment's; a .pth in a folder named by a .pth is not read.
    (site / "others.pth").write_text(sysconfig.get_path("purelib"))
    folder = home / "project"
    (folder / "tools").mkdir(parents=True)
    for name in ("main.py", "tools/__init__.py", "tools/common.py"):
        (folder / name).write_text("raise SystemExit('this is not edet')\n")

    def run(*arguments: str) -> pathlib.Path:
        done = subprocess.run(
            [python.with_name("edet"), *arguments],
            cwd=folder, env=os.environ | {"PYTHONPATH": "."}, capture_output=True, text=True,
        )  # fmt: skip
        assert done.returncode == 0, done.stdout + done.stderr
        return folder

    return run


def test_a_wheel_installs_nothing_but_edet_and_takes_every_experiment_along(wheel):
    files = {pathlib.PurePath(name) for name in zipfile.ZipFile(wheel).namelist()}
    assert {name.parts[0] for name in files} == {
        "edet",
        f"edet-{wheel.name.split('-')[1]}.dist-info",
    }
    experiments = {
        path.relative_to(REPOSITORY) for path in (REPOSITORY / "configs").rglob("*.yaml")
    }
    assert {name.relative_to("edet") for name in files if name.suffix == ".yaml"} == experiments


def test_edet_runs_beside_a_main_py_and_tools_of_somebody_else(edet):
    folder = edet(
        "--mode=inspect", "--config=configs/coco/lite0.yaml", "--set=model.image_size=64",
        "--workdir=inspected",
    )  # fmt: skip
    found = json.loads((folder / "inspected" / "inspect.json").read_text())
    assert found["parts"]["total"]["trainable_parameters"] == 3_243_470


@pytest.mark.thorough
def test_records_training_evaluation_prediction_and_export_work_from_a_wheel(edet):
    """The demo's steps are commands of a user; its experiment is one that edet brings along."""
    folder = edet(
        "demo", "--output=demo", "--num_images=8", *(f"--set={setting}" for setting in SMALL)
    )
    found = json.loads((folder / "demo" / "run" / "train_and_eval.json").read_text())
    assert found
    for name in (
        "records/train.labels.yaml",
        "run/eval.json",
        "run/export.json",
        "predictions.png",
    ):
        assert (folder / "demo" / name).exists(), name
