"""The modes: flags -> configuration -> one function of edet.workflows.

edet --mode=train --strategy=tpu --config=configs/coco/d0.yaml --workdir=gs://...
edet --mode=train_and_eval --data=FOLDER --model=efficientdet-lite0 --workdir=runs/mine
edet --mode=eval --workdir=runs/d0
edet --mode=predict --workdir=runs/d0 street.jpg pictures/
"""

from __future__ import annotations

import os
import textwrap
from collections.abc import Sequence

import tensorflow as tf
from absl import flags

from edet import workflows
from edet.cli import MODES, TOOLS
from edet.cli.common import exit_code_of, spare_imported, start
from edet.cli.watch import watch
from edet.config.schema import Config
from edet.errors import UserError
from edet.runtime.devices import STRATEGIES, make_strategy
from edet.workflows.configuration import run_config

# What --help prints: absl takes the module's.
_TOOLS = f"The tools, each as in `edet {TOOLS[0]} --help`: {', '.join(TOOLS)}."
__doc__ = f"{__doc__}\n{textwrap.fill(_TOOLS, 100)}\n"

_TAKE_FILES = ("predict", "export", "benchmark")
_USE_DEVICES = ("train", "eval", "train_and_eval", "predict")
_CONFIGURED = tuple(mode for mode in MODES if mode != "watch")
_TAKE = {  # flag: modes; what is not here is for all
    "model": _CONFIGURED,
    "config": _CONFIGURED,
    "set": _CONFIGURED,
    "strategy": _USE_DEVICES,
    "tpu": _USE_DEVICES,
    "zone": _USE_DEVICES,
    "project": _USE_DEVICES,
    "devices": _USE_DEVICES,
    "weights": ("eval", "inspect", "check_data", *_TAKE_FILES),  # they may bring the model
    "data": ("train", "eval", "train_and_eval", "check_data"),
    "output": ("predict", "export"),
    "port": ("watch",),
}

_MODE = flags.DEFINE_enum("mode", None, MODES, "What to do.")
flags.register_validator("mode", bool, f"say what to do: one of {', '.join(MODES)}")
_MODEL = flags.DEFINE_string("model", None, "A model's name, such as efficientdet-d0.")
_CONFIG = flags.DEFINE_string("config", None, "YAML of the experiment: what differs from defaults.")
_SET = flags.DEFINE_multi_string("set", [], "section.key=value; may be repeated.")
_WORKDIR = flags.DEFINE_string("workdir", "", "Folder of the run; may be gs://.")
_STRATEGY = flags.DEFINE_enum("strategy", "auto", STRATEGIES, "The devices to use.")
_TPU = flags.DEFINE_string("tpu", "", "Name or address of the TPU; 'local' on a TPU VM.")
_ZONE = flags.DEFINE_string("zone", "", "Zone of a TPU given by name; default: this machine's.")
_PROJECT = flags.DEFINE_string(
    "project", "", "Cloud project of a TPU given by name; default: this machine's."
)
_DEVICES = flags.DEFINE_integer("devices", 0, "Devices of --strategy=mirrored; 0: all.", 0)
_WEIGHTS = flags.DEFINE_string(
    "weights",
    "",
    "Weights instead of the workdir's best checkpoint: a name of the zoo, a file or a folder.",
)
_DATA = flags.DEFINE_string(
    "data",
    "",
    "Folder of a data set as an annotation tool wrote it (docs/data.md), or its annotation file; "
    "its records are made once, in <workdir>/records.",
)
_OUTPUT = flags.DEFINE_string("output", "", "Where predict and export write; default: workdir.")


_PORT = flags.DEFINE_integer("port", 8000, "Of --mode=watch; 0 takes any free one.", 0, 65535)


def main(argv: Sequence[str]) -> int:
    """Runs one mode. A sentence and exit code 2 end it after a mistake of the user, 75 if a file
    cannot be read or written for now, 143 after a training was stopped from outside, 130 after
    Ctrl-C: but for the first the same command goes on with it.
    """
    tf.get_logger().setLevel("ERROR")  # its warnings are about TensorFlow, not about the user
    return exit_code_of(lambda: _run_mode(argv[1:]), "edet: ")


def _run_mode(inputs: Sequence[str]) -> None:
    for flag in (
        _WORKDIR,
        _CONFIG,
        _WEIGHTS,
        _DATA,
        _OUTPUT,
    ):  # a shell leaves the "~" behind a "="
        flags.FLAGS[flag.name].value = flag.value and os.path.expanduser(flag.value)
    _refuse_what_is_not_for_the_mode(inputs)
    if _MODE.value == "watch":
        watch(_WORKDIR.value, _PORT.value)
        return
    settings = []
    if _DATA.value:
        # A mistyped setting is said before the records are made, which may take hours.
        _configure(["model.labels={}"])
        settings = workflows.records_of(_DATA.value, _WORKDIR.value)
    _run(_configure(settings), inputs)


def _configure(settings: Sequence[str]) -> Config:
    """Returns the configuration; `settings` are stronger than the YAML, weaker than --set."""
    return run_config(
        _WORKDIR.value, _MODEL.value, _CONFIG.value, [*settings, *_SET.value], _WEIGHTS.value
    )


def _refuse_what_is_not_for_the_mode(inputs: Sequence[str]) -> None:
    mode = _MODE.value
    if inputs and mode not in _TAKE_FILES:
        why = f"only the modes {', '.join(_TAKE_FILES)} take files"
        if "=" in inputs[0]:
            why = "give every setting a --set of its own"
        raise UserError(f"{inputs[0]!r} is not a flag; {why}.")
    if mode.startswith("train") and _WEIGHTS.value:
        raise UserError(
            f"--weights={_WEIGHTS.value} is not for training, which starts from train.init; use "
            f"--set train.init={_WEIGHTS.value}."
        )
    for name, modes in _TAKE.items():
        flag = flags.FLAGS[name]
        if flag.value and flag.value != flag.default and mode not in modes:
            raise UserError(f"--{name} is for {', '.join(modes)}, not for {mode}.")
    if _OUTPUT.present and not _OUTPUT.value:
        raise UserError("--output= is empty; is the variable set that it is made of?")
    strategy = _STRATEGY.value
    if _DATA.value and strategy == "multi_worker":
        raise UserError(
            "--data makes records on one machine; make them first with edet create_tfrecords, and "
            "give all workers data.train_records."
        )
    if strategy == "multi_worker" and mode == "predict":
        raise UserError("--mode=predict runs on one machine; give each its own pictures instead.")


def _run(config: Config, inputs: Sequence[str]) -> dict:
    mode, workdir, weights = _MODE.value, _WORKDIR.value, _WEIGHTS.value
    if mode == "inspect":
        return workflows.inspect(config, workdir)
    if mode == "check_data":
        return workflows.check_data(config, workdir)
    if mode == "benchmark":
        return workflows.benchmark(config, workdir, weights, inputs)
    if not (workdir or weights) and not mode.startswith("train"):
        raise UserError(f"--mode={mode} needs trained weights: give --workdir or --weights.")
    if mode == "export":
        return workflows.export(config, workdir, weights, _OUTPUT.value, inputs)
    strategy = make_strategy(
        _STRATEGY.value, _TPU.value, _DEVICES.value, _ZONE.value, _PROJECT.value
    )
    if mode == "predict":
        return workflows.predict(config, workdir, weights, inputs, _OUTPUT.value, strategy)
    if mode == "eval":
        return workflows.evaluate(config, workdir, strategy, weights)
    return workflows.train(config, workdir, strategy, evaluate_too=mode == "train_and_eval")


def run() -> None:
    """The console script `edet`."""
    spare_imported()
    start(main)


if __name__ == "__main__":
    run()
