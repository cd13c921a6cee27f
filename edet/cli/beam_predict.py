"""Detects objects in any number of pictures on Apache Beam: one machine, Dataflow, Flink, Spark.

  edet beam_predict --workdir=runs/mine --inputs='pictures/*.jpg' --output=found/mine
  edet beam_predict --workdir=gs://BUCKET/mine --inputs=gs://BUCKET/pictures
      --output=gs://BUCKET/found/mine --beam=runner=DataflowRunner --beam=project=...

Writes <output>-*.jsonl, a detection on each line as COCO results, and <output>.failed-*.jsonl with
the pictures that cannot be read. docs/large_scale.md tells what the workers need.
"""

from __future__ import annotations

import functools

from absl import flags

from edet.cli.common import check_prefix, run
from edet.errors import UserError
from edet.records.beam import import_beam, make_pipeline
from edet.workflows.common import load_detector
from edet.workflows.configuration import run_config


def define_flags(values: flags.FlagValues) -> None:
    """Defines the flags of this tool."""
    text = {
        "workdir": "Folder of a trained run; its best checkpoint is taken.",
        "weights": "Other weights: a name of the zoo, a file or a folder.",
        "model": "A model's name, such as efficientdet-d0.",
        "config": "YAML of the experiment: what differs from the defaults.",
    }
    for name, help_text in text.items():
        flags.DEFINE_string(name, "", help_text, flag_values=values)
    flags.DEFINE_multi_string("set", [], "section.key=value; may be repeated.", flag_values=values)
    flags.DEFINE_multi_string(
        "inputs", None, "Files, folders and globs; may be repeated.", flag_values=values
    )
    flags.DEFINE_string("output", None, "Prefix of all files.", flag_values=values)
    flags.DEFINE_multi_string(
        "beam", [], "An option of Beam or of its runner: --beam=runner=DataflowRunner.",
        flag_values=values,
    )  # fmt: skip
    flags.mark_flags_as_required(["inputs", "output"], flag_values=values)


def predict(options: flags.FlagValues) -> None:
    """Runs the whole prediction and waits for it."""
    check_prefix(options.output)
    import_beam()  # a sentence, where it is missing
    from edet.inference.beam import add_prediction

    if not (options.workdir or options.weights):
        raise UserError("prediction needs trained weights: give --workdir or --weights.")
    config = run_config(
        options.workdir, options.model, options.config, options.set, options.weights
    )
    load = functools.partial(load_detector, config, options.weights or options.workdir)
    with make_pipeline(options.beam) as pipeline:
        batch_size = config.data.eval_batch_size
        add_prediction(pipeline, load, batch_size, options.inputs, options.output)
    print(f"detections -> {options.output}-*.jsonl")


if __name__ == "__main__":
    run(define_flags, predict)
