"""Evaluation: what a network finds in all records against what is there."""

from __future__ import annotations

import dataclasses

import tensorflow as tf

from edet.checkpoint_files import step_of
from edet.config.schema import Config
from edet.errors import UserError
from edet.evaluation.report import Evaluated
from edet.export.exported import detect_of, is_exported
from edet.inference.predictor import Predictor
from edet.report.page import write_page
from edet.runtime.devices import check_batch_size
from edet.runtime.interruption import Workers
from edet.runtime.memory import TO_LOOK, enough_memory
from edet.workdir import Workdir
from edet.workflows.common import (
    checked_records,
    console,
    keep,
    keep_figures,
    load_predictor,
    warn,
)
from edet.workflows.scoring import Evaluation, Summary


def evaluate(config: Config, workdir: str, strategy: tf.distribute.Strategy, weights: str) -> dict:
    """Evaluates a workdir's best checkpoint, or other weights, on `data.eval_records`.

    Returns:
      What <workdir>/eval.json holds: COCO's twelve numbers, 0-1, AP per class, counts, and the
      reasons where AP is low; under "segmentation" mIOU, IoU per class and the confusion matrix,
      where the network segments. Of several workers only the chief writes and returns anything.

    Raises:
      Interrupted: another worker is gone.
      UserError: the data or settings are at fault, another evaluation writes to the workdir, or a
        device has too little memory.
      StorageError: a file cannot be read or written now.
    """
    run, is_chief = Workdir(workdir), strategy.extended.should_checkpoint
    memory = enough_memory(TO_LOOK)
    with Workers(strategy).watched(), memory, run.owned("an evaluation", is_chief):
        return _evaluate(config, run, strategy, weights)


def _evaluate(
    config: Config, workdir: Workdir, strategy: tf.distribute.Strategy, weights: str
) -> dict:
    if is_exported(weights):
        return _evaluate_file(config, workdir, weights)
    check_batch_size(config, strategy.num_replicas_in_sync, ["eval_batch_size"])
    checked_records(config, "eval_records")
    more = {"file": weights} if weights else _step_of(workdir)
    with strategy.scope():
        predictor = load_predictor(config, weights or workdir.path)
    evaluation = Evaluation(config, workdir, strategy, predictor, in_full=True)
    summary = evaluation.run()
    if not strategy.extended.should_checkpoint:
        summary.show()
        return {}
    return _kept(evaluation, workdir, summary, more)


def _step_of(workdir: Workdir) -> dict[str, int]:
    """Returns which checkpoint is evaluated: a training may have a better one meanwhile."""
    step = step_of(workdir.checkpoint())
    return {} if step is None else {"step": step}


def evaluate_predictor(config: Config, workdir: str, predictor: Predictor, source: str) -> dict:
    """As `evaluate`, on one device, for a predictor that is loaded from somewhere."""
    config = dataclasses.replace(config, model=predictor.model)
    checked_records(config, "eval_records")
    run, here, more = Workdir(workdir), tf.distribute.get_strategy(), {}
    if is_exported(source):
        config = dataclasses.replace(config, detect=detect_of(source, config))
        more = {"file": source}
    with run.owned("an evaluation"):
        evaluation = Evaluation(config, run, here, predictor, in_full=True)
        return _kept(evaluation, run, evaluation.run(), more)


def _kept(evaluation: Evaluation, workdir: Workdir, summary: Summary, more: dict) -> Evaluated:
    """Returns what eval.json holds after writing it, with more entries, and the page."""
    try:
        evaluation.save(summary, more)
    finally:  # a disk that is full takes the files of hours, not the numbers
        summary.show()
    if workdir:
        write_page(workdir)
    return Evaluated(more | summary.entries)


def _evaluate_file(config: Config, workdir: Workdir, path: str) -> dict:
    """As `evaluate` for an exported file; also says how much better the workdir's network is."""
    predictor = load_predictor(config, path)
    config = dataclasses.replace(config, model=predictor.model)
    checked_records(config, "eval_records")
    here = tf.distribute.get_strategy()  # a file runs on this machine's CPU
    network = None
    try:  # before the file's hours
        if workdir and workdir.checkpoint():
            network = load_predictor(config, workdir.path)
    except UserError as error:
        warn(f"{path} is evaluated alone, without the network of {workdir}: {error}")
    own = dataclasses.replace(config, detect=detect_of(path, config))
    evaluation, more = Evaluation(own, workdir, here, predictor, in_full=True), {"file": path}
    summary = evaluation.run()
    kept = _kept(evaluation, workdir, summary, more)  # a second evaluation may be stopped
    if not network:
        return kept
    beside = Evaluation(config, Workdir(""), here, network).run()
    kept["network"] = beside.metrics
    figures = {name: value for name, value in summary.metrics.items() if name[:2] in ("AP", "mI")}
    keep_figures(workdir, path, figures)
    keep(workdir, "eval", kept)
    console.print(f"beside it, the network of {workdir}:", markup=False)
    beside.show()
    for name in (n for n in ("AP", "AP50", "AP75", "mIOU") if n in summary.metrics):
        of_file, of_network = summary.metrics[name], beside.metrics[name]
        if min(of_file, of_network) >= 0:  # there is ground truth
            console.print(
                f"{name:4}  {path} {100 * of_file:.2f}  {workdir} {100 * of_network:.2f}  "
                f"difference {100 * (of_file - of_network):+.2f}",
                markup=False,
            )
    return kept
