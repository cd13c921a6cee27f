"""The folder of one run, from which every mode works: what it holds, and whether it may resume."""

from __future__ import annotations

import contextlib
import importlib.metadata
import os
import platform
import sys
from collections.abc import Sequence

import tensorflow as tf

from edet.checkpoint_files import CheckpointFolder, find_damage
from edet.config.loading import differences, load_config, save_config
from edet.config.schema import Config
from edet.errors import UserError
from edet.files import read_text, write_json
from edet.ownership import owned
from edet.step_log import read_steps

_PACKAGES = (
    "edet", "tensorflow", "tensorflow-cpu", "tensorflow-tpu", "keras", "numpy", "pycocotools",
    "faster-coco-eval",
)  # fmt: skip

_RECIPE = "train.recipe"  # what it stands for may change without being named


class Workdir:
    """A run's folder, by which each of its files is found.

    Args:
      path: the folder; gs:// works. "" is the current one, which prediction and export write to
        where no run is named; such a Workdir is false.
    """

    def __init__(self, path: str | os.PathLike):
        self.path = os.fspath(path)
        at = self.at
        self.config_file = at("config.yaml")  # the resolved configuration
        self.recipe_file = at("recipe.json")  # the run's numbers
        self.environment_file = at("environment.json")  # versions, devices, command
        # The last `train.keep`, with which a stopped run resumes; the one with the highest AP.
        self.last_checkpoints = CheckpointFolder(at("checkpoints"))
        self.best_checkpoints = CheckpointFolder(at("best"))
        self.best_file = os.path.join(self.best_checkpoints.path, "best.json")
        self.starts_file = at("starts.json")  # when it was started, and what had changed
        self.report_page = at("report.html")  # all of it, to look at
        self.history_file = at("history.csv")  # every step
        self.history_plot = at("history.png")
        self.evaluations_file = at("evaluations.csv")  # every evaluation
        self.fusion_weights_file = at("fusion_weights.csv")
        self.tensorboard = at("tensorboard")  # scalars and example pictures
        # of the last evaluation
        self.examples_page = at("examples.png")
        self.detections_file = at("detections.json")
        self.precision_recall_plot = at("precision_recall.png")
        self.confusion_plot = at("confusion.png")
        self.segmentation_page = at("segmentation.png")
        self.records_source = at("records/source.json")  # which files the records are made of
        # of other modes
        self.check_data_page = at("check_data.png")
        self.near_duplicates_page = at("near_duplicates.png")
        self.predictions = at("predict")
        self.saved_model = at("saved_model")

    def __bool__(self) -> bool:
        return bool(self.path)

    def __str__(self) -> str:
        return self.path

    def at(self, name: str) -> str:
        """Returns the path of a file in the folder."""
        return os.path.join(self.path, name)

    def result_file(self, mode: str) -> str:
        """Returns the path of what a mode returned, of "eval" for example."""
        return self.at(f"{mode}.json")

    def report_file(self, section: str) -> str:
        """Returns the path of what only a section of the page needs, such as "evaluation"."""
        return self.at(f"report/{section}.json")

    def records(self, split: str) -> str:
        """Returns the prefix of the records that were made of a data set's folder."""
        return self.at(f"records/{split}")

    def has_records(self) -> bool:
        """Whether all records of a data set's folder have been made."""
        return bool(self) and tf.io.gfile.exists(self.records_source)

    @classmethod
    def of(cls, weights: str) -> Workdir | None:
        """Returns the run that weights are of: a workdir or a checkpoint in one, or None."""
        runs = (cls(folder) for folder in (weights, os.path.dirname(os.path.dirname(weights))))
        return next((run for run in runs if run.has_config()), None)

    def has_config(self) -> bool:
        """Returns whether a run was started here."""
        return bool(self) and tf.io.gfile.exists(self.config_file)

    def config(self, overrides: Sequence[str] = ()) -> Config:
        """Returns the run's configuration; raises what `load_config` does."""
        if not read_text(self.config_file, "configuration").strip():
            raise UserError(
                f"{self.config_file} is empty; write the run's settings into it again, or delete "
                "it and start with the same --model or --config."
            )
        return load_config(path=self.config_file, overrides=overrides)

    def checkpoint(self, prefer: str = "best") -> str | None:
        """Returns the path of the best checkpoint if asked and there, else of the last one.

        A damaged checkpoint is passed over while there is a whole one; `skipped_checkpoints` says
        so.

        Args:
          prefer: "best" or "last".
        """
        found = self._checkpoints(prefer)
        return next((path for path in found if not find_damage(path)), found[0] if found else None)

    def skipped_checkpoints(self) -> list[str]:
        """Returns a sentence for each damaged checkpoint that `checkpoint` passes over."""
        sentences = []
        for path in self._checkpoints("best"):
            why = find_damage(path)
            if not why:
                break
            sentences.append(f"{path} is damaged ({why}) and was skipped")
        return sentences

    def _checkpoints(self, prefer: str) -> list[str]:
        best = self.best_checkpoints.paths() if prefer == "best" else []
        return best + self.last_checkpoints.paths()

    def history(self) -> list[dict[str, float]]:
        """Returns a row of numbers for each step; none before the first."""
        return read_steps(self.history_file)

    def evaluations(self) -> list[dict[str, float]]:
        """Returns "step" and the metrics, 0-1, of each evaluation while training."""
        return read_steps(self.evaluations_file)

    def fusion_weights(self) -> list[dict[str, float]]:
        """Returns {"step": 300, "cell0.node5.input0": 0.5, ...}, as `FusionLog` wrote them."""
        return read_steps(self.fusion_weights_file)

    def owned(self, what: str, is_chief: bool = True) -> contextlib.AbstractContextManager[None]:
        """Keeps others who do the same out of the folder while the context is open.

        A training owns the checkpoints, the best one, the configuration and the logs; an evaluation
        what only `--mode=eval` writes. So one may watch the other in one folder.

        Args:
          what: "a training" or "an evaluation".
          is_chief: of several workers of one run only the chief writes, and owns.

        Raises:
          UserError: another one runs here; it says which process, on which host, since when.
        """
        if not self or not is_chief:
            return contextlib.nullcontext()
        lock = self.at(f"{what.rpartition(' ')[2]}.lock")
        return owned(lock, self.path, what, "use another --workdir")

    def prepare(self, config: Config) -> list[str]:
        """Makes the folder for training and saves configuration, versions and command in it.

        Returns:
          Sentences about settings that differ from those the folder's run was started with.

        Raises:
          UserError: the folder cannot be written, or belongs to a run of another model.
        """
        if not self:
            raise UserError("training needs --workdir, the folder that it writes to.")
        notes = []
        if self.has_config() and self.checkpoint("last"):  # else nothing has been trained yet
            changed = differences(self.config(), config)
            kept = ("train.freeze", "train.optimizer")
            if clashes := [c for c in changed if c[0].startswith("model.") or c[0] in kept]:
                key, old, new = clashes[0]
                recipes = [f" (--set train.recipe={c[1]})" for c in changed if c[0] == _RECIPE]
                raise UserError(
                    f"{self} holds another run: {key} was {old}, now it is {new}; use another "
                    f"--workdir (--set train.init={self} starts from these weights), or the "
                    f"settings that this one began with{''.join(recipes)}."
                )
            notes = [f"{key} was {old}, now it is {new}" for key, old, new in changed]
        save_config(config, self.config_file)
        write_json(self.environment_file, _environment())
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
