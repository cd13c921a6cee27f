"""The whole of edet in minutes: records, training, evaluation, export, prediction, pictures.

  edet demo --output=runs/demo

Every step is the command that a user would type; it is printed before it runs.
"""

from __future__ import annotations

import pathlib
import shlex
import sys
import time

import numpy as np
import rich
import tensorflow as tf
from absl import flags
from PIL import Image
from rich.markup import escape
from rich.table import Table

from edet.cli.common import run
from edet.errors import UserError
from edet.evaluation.plots import draw_boxes
from edet.files import read_json
from edet.globs import glob_of
from edet.records.sources.synthetic import make_scene
from edet.signals import run_process
from edet.workdir import Workdir

_UNSEEN_SEED = 2  # of the scenes that are predicted; training and evaluation have 0 and 1
_SIZE = 128  # side of a scene in pixels
_PICTURES = 12


def define_flags(values: flags.FlagValues) -> None:
    """Defines the flags of the demo."""
    flags.DEFINE_string("output", "runs/demo", "Folder for everything.", flag_values=values)
    flags.DEFINE_string("config", "configs/demo.yaml", "The experiment.", flag_values=values)
    flags.DEFINE_integer("num_images", 1600, "Scenes to train on.", 8, flag_values=values)
    flags.DEFINE_multi_string("set", [], "Passed on to edet.", flag_values=values)


def demo(options: flags.FlagValues) -> None:
    """Runs the steps in order and prints where everything lies.

    Raises:
      UserError: the output is no local folder, or a step failed.
    """
    if "://" in options.output:
        raise UserError(f"--output={options.output} is no folder of this machine; give one.")
    started = time.monotonic()
    output = pathlib.Path(options.output)
    records, workdir = output / "records", output / "run"
    for name, count, seed in (
        ("train", options.num_images, 0), ("eval", max(8, options.num_images // 8), 1),
    ):  # fmt: skip
        _command(
            "create_tfrecords", "--format=synthetic", f"--num_images={count}",
            f"--image_size={_SIZE}", f"--seed={seed}", f"--output={records / name}",
        )  # fmt: skip
    globs = [f"data.{name}_records={glob_of(str(records))}/{name}-*" for name in ("train", "eval")]
    settings = [*globs, *options.set]
    _command(
        "--mode=train_and_eval", f"--config={options.config}", f"--workdir={workdir}",
        *(f"--set={setting}" for setting in settings),
    )  # fmt: skip
    _command("--mode=eval", f"--workdir={workdir}")
    scenes = _save_scenes(output / "scenes")
    _command("--mode=predict", f"--workdir={workdir}", *scenes)
    _command("--mode=export", f"--workdir={workdir}")
    trained = Workdir(str(workdir))
    exported = read_json(trained.result_file("export"), "result")["saved_model"]
    found = predict_with_plain_tensorflow(exported, scenes)
    page = _draw_page(scenes, found, exported, output / "predictions.png")
    metrics = read_json(trained.result_file("eval"), "result")["metrics"]
    table = Table(title=f"AP {100 * metrics['AP']:.1f}, AP50 {100 * metrics['AP50']:.1f}; "
                  f"{time.monotonic() - started:.0f} s in all")  # fmt: skip
    table.add_column("what")
    table.add_column("where")
    for what, where in (
        ("records", records), ("configuration, history, checkpoints", workdir),
        ("loss curve", trained.history_plot), ("evaluation", trained.result_file("eval")),
        ("examples beside their ground truth", trained.examples_page),
        ("predictions of edet", trained.predictions), ("SavedModel", exported),
        ("predictions of the SavedModel, drawn", page),
    ):  # fmt: skip
        table.add_row(what, escape(str(where)))
    rich.print(table)


def predict_with_plain_tensorflow(saved_model: str, paths: list[str]) -> dict[str, np.ndarray]:
    """Detects with nothing but TensorFlow: this is all that a server needs."""
    serve = tf.saved_model.load(saved_model).signatures["serving_default"]
    encoded = [pathlib.Path(path).read_bytes() for path in paths]
    return {name: value.numpy() for name, value in serve(image_bytes=tf.constant(encoded)).items()}


def _command(*arguments: str) -> None:
    rich.print(f"\n[bold]$ edet {escape(shlex.join(arguments))}[/bold]")
    code = run_process([sys.executable, "-m", "edet", *arguments]).returncode
    if code:
        raise UserError(f"the demo stopped: edet {arguments[0]} ended with exit code {code}.")


def _save_scenes(folder: pathlib.Path) -> list[str]:
    """Writes unseen scenes as PNG files, so that prediction starts from files like a user's."""
    folder.mkdir(parents=True, exist_ok=True)
    paths = []
    for number in range(_PICTURES):
        image, _, _ = make_scene((_UNSEEN_SEED, number), _SIZE)
        paths.append(str(folder / f"scene-{number:02d}.png"))
        Image.fromarray(image).save(paths[-1])
    return paths


def _draw_page(
    paths: list[str], found: dict[str, np.ndarray], saved_model: str, page: pathlib.Path
) -> pathlib.Path:
    """Draws the SavedModel's detections on one page; the labels lie beside the model."""
    card = read_json(pathlib.Path(saved_model) / "assets.extra" / "edet.json", "the model's card")
    labels = {int(k): name for k, name in card["labels"].items()}
    pictures = []
    for path, boxes, scores, classes in zip(
        paths, found["boxes"], found["scores"], found["classes"], strict=True
    ):
        shown = scores >= 0.4
        names = [labels[int(c)] for c in classes[shown]]
        image = np.asarray(Image.open(path))
        pictures.append(
            draw_boxes(image, boxes[shown], names, scores[shown], list(labels.values()))
        )
    rows = [np.hstack(pictures[i : i + 4]) for i in range(0, len(pictures), 4)]
    Image.fromarray(np.vstack(rows)).save(page)
    return page


if __name__ == "__main__":
    run(define_flags, demo)
