"""A trained detector as one object: it predicts, evaluates and exports."""

from __future__ import annotations

import difflib
import functools
import os
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import tensorflow as tf

from edet.config.schema import Config, replace
from edet.errors import UserError
from edet.export.exported import is_exported
from edet.files import bucket_errors
from edet.inference.predictor import Images
from edet.inference.run import make_picture_predictor
from edet.runtime.devices import make_strategy
from edet.workflows.common import load_predictor
from edet.workflows.configuration import run_config
from edet.workflows.evaluation import evaluate_predictor
from edet.workflows.predictions import Picture, Predictions, predict_pictures
from edet.workflows.serving import export
from edet.workflows.training import train as train_in_workdir


class Model:
    """A trained detector, of `edet.load`.

    Args:
      source: a workdir, checkpoint, name of the zoo, .tflite, .onnx or SavedModel.
      config: its configuration.

    Attributes:
      source, config: as given.
      predictor: what `predict` looks with; see `inference.predictor.Predictor`.
    """

    def __init__(self, source: str, config: Config):
        self.source, self.config = source, config
        self.predictor = load_predictor(config, source)
        # By batch size. Each builds the graph once; it takes seconds, and may be called for each
        # of thousands of pictures.
        self._infer = functools.cache(
            lambda size: make_picture_predictor(self.predictor, tf.distribute.get_strategy(), size)
        )

    @property
    def labels(self) -> dict[int, str]:
        """{id: name} of the classes, the data set's own; of masks, if it only segments."""
        return next(iter(self.predictor.heads.values())).labels

    def __call__(self, images: Images) -> dict[str, np.ndarray]:
        """Looks at a batch of pictures at once; as `edet.Detector`."""
        return self.predictor(images)

    @bucket_errors()
    def predict(
        self, pictures: Picture | Sequence[Picture], batch_size: int | None = None
    ) -> Predictions:
        """Looks at pictures and videos, in the order given, as the result is asked for.

            for found in detector.predict(["street.jpg", array, "clips/*.mp4"]):
                print(found.path, found.names, found.scores)

        Args:
          pictures: one or several of: a path of a picture or video, a folder, a glob; an encoded
            picture as bytes or as an open file; a picture of Pillow, turned upright as its file
            would be; uint8 [H, W, 3], or several of one size as uint8 [B, H, W, 3].
          batch_size: pictures (windows, where `detect` asks for several of each) that are looked
            at together; by default `data.eval_batch_size`.

        Returns:
          A sequence of `Prediction`; files that cannot be read are in its `failed`.

        Raises:
          UserError: a path matches nothing, or an array or bytes are no picture.
        """
        size = self.config.data.eval_batch_size if batch_size is None else batch_size
        if not isinstance(size, int | np.integer) or isinstance(size, bool) or size < 1:
            raise UserError(f"batch_size is {size!r}; give a whole number of 1 or more.")
        infer = self._infer(int(size))
        return predict_pictures(self.predictor, infer, pictures)

    @bucket_errors()
    def evaluate(
        self,
        records: str | os.PathLike | Sequence[str | os.PathLike] = "",
        workdir: str | os.PathLike = "",
    ) -> dict[str, Any]:
        """Evaluates on records, as `--mode=eval`.

        Args:
          records: glob of TFRecord shards, or several; by default `data.eval_records`.
          workdir: where to write eval.json and pictures; "" writes nothing.

        Returns:
          What eval.json holds: COCO's twelve numbers, 0-1, AP per class, counts and the reasons of
          a low AP; "segmentation" of a network that segments.

        Raises:
          UserError: the records are at fault.
        """
        globs = _paths(records, "records")
        given = globs[0] if len(globs) == 1 else globs
        data = {"eval_records": given or self.config.data.eval_records}
        return evaluate_predictor(
            replace(self.config, data=data), _path(workdir), self.predictor, self.source
        )

    @bucket_errors()
    def export(self, output: str = "", pictures: str | Sequence[str] = (), **settings: Any) -> str:
        """Writes a file for another runtime, as `--mode=export`.

            detector.export(format="litert", precision="int8", pictures=["pictures/"])

        Args:
          output: a file, or a folder for a SavedModel; by default beside the weights if they are a
            workdir, and in the current folder otherwise.
          pictures: a file, folder or glob, or several, that int8 is calibrated with; by default
            `data.train_records`.
          **settings: of the section `export`: format, precision, outputs, calibration_images.

        Returns:
          The path written.

        Raises:
          UserError: a setting or picture is at fault, or this model is an exported file itself.
        """
        known = vars(self.config.export)
        for key in settings:
            if key not in known:
                nearest = "".join(difflib.get_close_matches(key, known, 1, 0.0))
                raise UserError(f"export.{key} is no setting; the nearest is {nearest}.")
        config = replace(self.config, export=settings)
        is_run = tf.io.gfile.isdir(self.source) and not is_exported(self.source)
        given = _paths(pictures, "pictures")
        workdir = self.source if is_run else ""
        written = export(config, workdir, self.source, _path(output), given)
        return written[config.export.format]


def _paths(given: Any, what: str) -> tuple[str, ...]:
    """Returns the paths of one or several; raises UserError for what is none."""
    is_one = isinstance(given, str | os.PathLike) or not isinstance(given, Iterable)
    several = [given] if is_one else list(given)
    if wrong := [one for one in several if not isinstance(one, str | os.PathLike)]:
        raise UserError(f"{what} has a {type(wrong[0]).__name__}; give files, folders and globs.")
    return tuple(map(_path, several))


def _path(path: str | os.PathLike) -> str:
    return os.path.expanduser(os.fspath(path))


@bucket_errors()
def load(source: str, overrides: str | Sequence[str] = ()) -> Model:
    """Loads a trained detector.

    Args:
      source: a workdir or checkpoint of ours, a name of the zoo, or an exported .tflite, .onnx or
        SavedModel; gs:// works.
      overrides: "section.key=value", such as "detect.flip=true", or several; as `load_config`.

    Raises:
      UserError: there are no such weights, or an override is at fault.
    """
    source = _path(source)
    if not source:
        raise UserError("edet.load needs a workdir, a name of the zoo, or an exported file.")
    overrides = [overrides] if isinstance(overrides, str) else overrides
    return Model(source, run_config("", None, None, overrides, weights=source))


@bucket_errors()
def train(
    config: Config, workdir: str, strategy: str | tf.distribute.Strategy = "auto",
    evaluate: bool = False,
) -> dict[str, Any]:  # fmt: skip
    """Trains in a workdir, or goes on with the training that stopped there.

    Args:
      config: of `edet.load_config`.
      workdir: folder of the run; gs:// works.
      strategy: as `--strategy`, or one of TensorFlow's.
      evaluate: as `--mode=train_and_eval`, otherwise `--mode=train`.

    Returns:
      What <workdir>/train.json (or train_and_eval.json) holds: steps, the best evaluation, images
      per second.

    Raises:
      Interrupted: the run was stopped from outside; KeyboardInterrupt: by Ctrl-C, or by the button
        of a notebook. What was trained is saved, and the same call goes on.
      UserError: the data or settings are at fault.
    """
    if not isinstance(config, Config):
        raise UserError(
            f"edet.train takes a configuration of edet.load_config, and not a "
            f"{type(config).__name__}."
        )
    if isinstance(strategy, str):
        strategy = make_strategy(strategy)
    return train_in_workdir(config, _path(workdir), strategy, evaluate)
