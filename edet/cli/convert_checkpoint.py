"""Released checkpoints into edet's own, and edet's into one that the reference reads.

  edet convert_checkpoint --source=efficientdet-d0 --output=weights/d0
  edet convert_checkpoint --source=runs/d0 --to=tf1 --output=weights/d0_tf1

--source is whatever `edet.load_weights` takes. --to=edet writes a workdir (config.yaml and a
checkpoint), so that every mode of edet works from it; --to=tf1 writes a name-based checkpoint
with each variable's raw value and its moving average, as google/automl's released ones. The result
is read back; names.csv lists what each variable is called on both sides and the largest difference.
"""

from __future__ import annotations

import csv
import io
import os

import keras
import numpy as np
import rich
import rich.markup
import tensorflow as tf
from absl import flags

from edet.checkpoint_files import read_weights
from edet.cli.common import run
from edet.config.loading import save_config
from edet.config.schema import Config
from edet.errors import UserError
from edet.files import folder_aside, write_text
from edet.models.efficientdet import build_network
from edet.ownership import lock_beside, owned
from edet.training.checkpoints import Checkpoints
from edet.training.variables import TrainingVariables
from edet.weights.loading import load_weights
from edet.weights.reference_names import joined, reference_names, split
from edet.weights.released import read_released, write_released
from edet.workdir import Workdir
from edet.workflows.configuration import run_config

Weights = dict[str, np.ndarray]  # by the path of our variable


def define_flags(values: flags.FlagValues) -> None:
    """Defines the flags of the tool."""
    flags.DEFINE_string("source", None, "The weights to convert.", flag_values=values)
    flags.DEFINE_string("output", None, "The folder to make.", flag_values=values)
    flags.DEFINE_enum("to", "edet", ["edet", "tf1"], "The format to write.", flag_values=values)
    flags.DEFINE_string(
        "model", None, "The model's name, if the source has none.", flag_values=values
    )
    flags.DEFINE_string("config", None, "YAML of its experiment.", flag_values=values)
    flags.DEFINE_multi_string("set", [], "section.key=value.", flag_values=values)
    for name in ("source", "output"):
        flags.mark_flag_as_required(name, flag_values=values)


def convert(options: flags.FlagValues) -> None:
    """Reads the source, writes the output aside, reads it back and renames it."""
    with owned(lock_beside(options.output), options.output, "a conversion", "use another --output"):
        _convert(options)


def _convert(options: flags.FlagValues) -> None:
    if tf.io.gfile.exists(options.output):
        raise UserError(f"{options.output} exists already; name a new folder, or remove it.")
    config = run_config(
        options.source, options.model, options.config, options.set, weights=options.source
    )
    network = build_network(config.model)
    report = load_weights(network, options.source)
    rich.print(rich.markup.escape(str(report)))
    if left := report.untrained:
        raise UserError(
            f"{options.source} lacks {len(left)} of what {config.model.name} has, such as "
            f"{left[0]}: nothing is converted; give the --model, --config or labels that it was "
            "made with."
        )
    averages = _values(network)
    load_weights(network, options.source, average=False)
    with folder_aside(options.output) as aside:
        write = _write_own if options.to == "edet" else _write_tf1
        theirs, written = write(aside, config, network, averages)
        largest = max(float(np.abs(written[path] - averages[path]).max()) for path in averages)
        write_text(os.path.join(aside, "names.csv"), _table(averages, theirs, written))
    print(f"{len(averages)} variables -> {options.output}; largest difference {largest:g}")


def _values(network: keras.Model) -> Weights:
    return {v.path: v.numpy() for v in network.variables}


def _write_own(
    folder: str, config: Config, network: keras.Model, averages: Weights
) -> tuple[dict[str, list[str]], Weights]:
    """Writes a workdir; returns (names there, averages read back)."""
    variables = TrainingVariables(network)
    raw = _values(network)
    for variable in network.variables:
        variable.assign(averages[variable.path])
    variables.restart_averages()
    for variable in network.variables:
        variable.assign(raw[variable.path])
    workdir = Workdir(folder)
    save_config(config, workdir.config_file)
    checkpoint = Checkpoints(workdir, variables, keep=1).save()
    return {path: [f"average/{path}"] for path in averages}, read_weights(checkpoint)


def _write_tf1(
    folder: str, config: Config, network: keras.Model, averages: Weights
) -> tuple[dict[str, list[str]], Weights]:
    """Writes a name-based checkpoint; returns (names there, averages read back)."""
    names = reference_names(network, config.model)
    write_released(folder, split(_values(network), names), split(averages, names))
    stored, _ = read_released(os.path.join(folder, "model"))
    return names, joined(stored, names)


def _table(averages: Weights, theirs: dict[str, list[str]], written: Weights) -> str:
    """Returns CSV: our name, theirs, shape, largest difference."""
    text = io.StringIO()
    rows = csv.writer(text)
    rows.writerow(["variable", "written as", "shape", "largest difference"])
    for path, value in averages.items():
        shape = "x".join(map(str, value.shape))
        rows.writerow(
            [path, " ".join(theirs[path]), shape, float(np.abs(written[path] - value).max())]
        )
    return text.getvalue()


if __name__ == "__main__":
    run(define_flags, convert)
