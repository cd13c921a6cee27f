"""Evaluations while training: each is kept, the best decides which checkpoint stays."""

from __future__ import annotations

import json
import zlib
from collections.abc import Callable
from typing import Any

import keras

from edet.errors import UserError
from edet.report.page import write_page
from edet.step_log import StepLog
from edet.training.checkpoints import Checkpoints
from edet.training.log import Reporter
from edet.training.variables import TrainingVariables
from edet.weights.loading import load_weights
from edet.workdir import Workdir
from edet.workflows.common import console, warn
from edet.workflows.scoring import Evaluation

_CONDITIONS = "conditions_crc32"  # column of evaluations.csv; of what best.json has in full


class Validation:
    """What the loop calls to evaluate the moving average, and to keep it if it is the best.

    Args:
      evaluation: of `network`.
      network: gets the averages of `variables`.
      measured_on: see `conditions`.
      goes_on: whether the run goes on from a checkpoint, or begins.
      patience: `train.patience`.
    """

    def __init__(
        self, evaluation: Evaluation, workdir: Workdir, network: keras.Model,
        variables: TrainingVariables, checkpoints: Checkpoints, reporter: Reporter,
        measured_on: dict[str, Any], goes_on: bool, patience: int = 0,
    ):  # fmt: skip
        self._patience = patience
        self._evaluation, self._network, self._variables = evaluation, network, variables
        self._workdir = workdir
        self._checkpoints, self._reporter, self._measured_on = checkpoints, reporter, measured_on
        self._log = StepLog(workdir.evaluations_file)
        self._crc32 = zlib.crc32(json.dumps(measured_on, sort_keys=True).encode())
        done = int(variables.step.numpy())
        # Later ones are of a past that is gone: a damaged checkpoint was skipped.
        self._evaluated = {
            row["step"]
            for row in workdir.evaluations()
            if row["step"] <= done and row.get(_CONDITIONS) == self._crc32
        }
        self._best_before = checkpoints.best_to_measure_again(measured_on, goes_on, warn)

    def __call__(self, step: int, check: Callable[[], None]) -> bool:
        """Evaluates after a step, unless that was done before the run was stopped.

        Returns:
          Whether the last `train.patience` evaluations were no better than the best before them;
          only the chief knows.
        """
        if self._best_before not in (None, step):
            self._measure_best_again(self._best_before, check)
        self._best_before = None
        if step not in self._evaluated:
            self._evaluate(step, check)
        return self._is_over()

    def _evaluate(self, step: int, check: Callable[[], None]) -> None:
        self._variables.copy_averages_to(self._network)
        summary = self._evaluation.run(check)
        goal, value = summary.goal
        is_best = self._checkpoints.save_if_best(value, goal, self._measured_on)
        if not self._reporter.is_chief:
            summary.show()
            return
        # What is written is of the checkpoint that every other mode takes; after a stop between the
        # two, or where an older edet began the run, that has been the best before.
        is_kept = (self._checkpoints.best() or {}).get("step") == step
        if is_kept:
            self._evaluation.save(summary, {"step": step})
        summary.show()
        self._evaluated.add(step)
        metrics = {name: f"{value:.6f}" for name, value in summary.metrics.items()}
        self._log.add([{"step": step} | metrics | {_CONDITIONS: self._crc32}])
        self._reporter.evaluation(step, summary.metrics, summary.page if is_kept else "")
        try:
            write_page(self._workdir)
        except UserError as error:  # another mode's file is damaged; no reason to end a training
            warn(f"the page is not written: {error}")
        best = "  (best so far)" if is_best else ""
        console.print(f"step {step}  {summary.sentence}{best}")

    def _is_over(self) -> bool:
        best = self._checkpoints.best()
        if not self._patience or not best or not self._reporter.is_chief:
            return False
        later = sum(step > best["step"] for step in self._evaluated)
        if later >= self._patience:
            console.print(
                f"the last {later} evaluations were no better than that of step {best['step']}; "
                f"the training ends here (train.patience {self._patience})"
            )
        return later >= self._patience

    def _measure_best_again(self, step: int, check: Callable[[], None]) -> None:
        load_weights(self._network, self._checkpoints.best_path(step))
        summary = self._evaluation.run(check)
        goal, value = summary.goal
        self._evaluation.save(summary, {"step": step})
        summary.show()
        self._checkpoints.score_best(step, value, goal, self._measured_on)
        console.print(f"step {step}, the best so far, again  {summary.sentence}")
