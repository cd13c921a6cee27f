"""The folder of one run, from which every mode works: what it holds, and whether it may go on.

config.yaml         the resolved configuration        recipe.json        its numbers
environment.json    versions, devices, command        history.csv        every step
checkpoints/ best/  see training.checkpoints          evaluations.csv    every evaluation
tensorboard/        scalars and example pictures      <mode>.json        each mode's result
examples.png, precision_recall.png, confusion.png, detections.json       of the last evaluation
"""

from __future__ import annotations

import importlib.metadata
import os
import platform
import sys
from collections.abc import Sequence

import tensorflow as tf

from edet.config.loading import differences, load_config, save_config
from edet.config.schema import Config
from edet.config.sizes import list_models
from edet.errors import UserError
from edet.export.exported import exported_config, is_exported
from edet.files import write_json
from edet.weights.loading import check_source
from edet.weights.zoo import ZOO

_PACKAGES = (
    "edet", "tensorflow", "tensorflow-cpu", "tensorflow-tpu", "keras", "numpy", "pycocotools",
    "faster-coco-eval",
)  # fmt: skip


def run_config(
    workdir: str, model: str | None, path: str | None, overrides: Sequence[str], weights: str = ""
) -> Config:
    """Returns the configuration of a command: that of the workdir, unless another one is given.

    Released weights, given as `weights` or in `train.init`, bring the settings that they were
    trained with (anchors, normalisation); the YAML and the overrides are stronger. An exported
    file, a workdir or a checkpoint of one as `weights` brings its configuration along.

    Raises:
      UserError: neither a model, nor a YAML, nor a workdir with a configuration, nor released
        weights are given, or there are no weights where they should be.
    """
    saved = os.path.join(workdir, "config.yaml") if workdir else ""
    if not path and not model and saved and tf.io.gfile.exists(saved):
        return load_config(path=saved, overrides=overrides)
    if not path and not model and is_exported(weights):
        return exported_config(weights, overrides)
    if not path and not model and (saved := _config_of(weights)):
        return load_config(path=saved, overrides=overrides)
    if not path and not model and weights in ZOO and ZOO[weights].model in list_models():
        model = ZOO[weights].model
    if not path and not model:
        if weights:
            check_source(weights)
        where = f"{workdir} has no config.yaml" if workdir else "no --workdir is given"
        raise UserError(f"{where}; name a model with --model or a YAML file with --config.")
    config = load_config(model, path, overrides)
    release = ZOO.get(weights or config.train.init)
    return load_config(model, path, overrides, release.settings) if release else config


def _config_of(weights: str) -> str | None:
    """Returns the config.yaml of weights that are a workdir of ours or a checkpoint in one."""
    folders = (weights, os.path.dirname(os.path.dirname(weights)))
    saved = (os.path.join(folder, "config.yaml") for folder in folders if folder)
    return next((path for path in saved if tf.io.gfile.exists(path)), None)


def prepare_workdir(workdir: str, config: Config) -> list[str]:
    """Makes the folder for training and saves the configuration, versions and command in it.

    Returns:
      Sentences about settings that differ from those the folder's run was started with.

    Raises:
      UserError: the folder cannot be written, or belongs to a run of another model.
    """
    if not workdir:
        raise UserError("training needs --workdir, the folder that it writes to.")
    saved = os.path.join(workdir, "config.yaml")
    notes = []
    if tf.io.gfile.exists(saved):
        changed = differences(load_config(path=saved), config)
        clashes = [c for c in changed if c[0].startswith("model.") or c[0] == "train.freeze"]
        if clashes:
            key, old, new = clashes[0]
            raise UserError(
                f"{workdir} holds a run of another model: {key} was {old}, now it is {new}; use "
                "another --workdir, or the same model."
            )
        notes = [f"{key} was {old}, now it is {new}" for key, old, new in changed]
    save_config(config, saved)
    write_json(os.path.join(workdir, "environment.json"), _environment())
    return notes


def _environment() -> dict:
    versions = {}
    for package in _PACKAGES:
        try:
            versions[package] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            continue  # one of the three TensorFlow wheels is installed, the others are not
    return {
        "python": platform.python_version(),
        "versions": versions,
        "devices": [device.name for device in tf.config.list_logical_devices()],
        "command": sys.argv,
    }
