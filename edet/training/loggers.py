"""Services that keep the numbers of many runs: Weights & Biases, MLflow, Aim.

Each is asked for by `train.loggers`, needs its own package, and goes where its own settings say
(WANDB_MODE=offline, MLFLOW_TRACKING_URI, AIM_REPO). A run that is started again goes on in a new
entry of the same name.
"""

from __future__ import annotations

import importlib
from collections.abc import Mapping, Sequence
from typing import Any, Protocol

from edet.errors import UserError
from edet.files import reason
from edet.terminal import warn


class Logger(Protocol):
    """One entry of such a service."""

    def scalars(self, step: int, values: Mapping[str, float]) -> None:
        """Keeps numbers of a step, named "train/total_loss" or "eval/AP"."""

    def close(self) -> None:
        """Hands on what waits."""


def open_loggers(names: Sequence[str], run: str, settings: Mapping[str, Any]) -> list[Logger]:
    """Begins an entry in each service; one that refuses is named, and left out.

    Args:
      names: of `train.loggers`.
      run: what the run is called.
      settings: {"section.key": value} of the configuration.

    Raises:
      UserError: its package is not installed.
    """
    packages = {name: _package(name) for name in names}
    loggers = []
    for name, package in packages.items():
        try:
            loggers.append(_LOGGERS[name](package, run, settings))
        except Exception as error:  # theirs are of any kind, and a training is worth more
            warn_of_failure(name, "keeps no numbers of this run", error)
    return loggers


def _package(name: str) -> Any:
    try:
        return importlib.import_module(name)
    except ImportError as error:
        raise UserError(
            f"train.loggers has {name}, which is not installed ({error}): pip install {name}."
        ) from error


def warn_of_failure(logger: str | Logger, outcome: str, error: Exception) -> None:
    """Prints what became of a logger, named or open, and why."""
    name = logger if isinstance(logger, str) else type(logger).__name__.strip("_")
    warn(f"{name} {outcome}: {reason(error)}")


class _WeightsAndBiases:
    def __init__(self, wandb: Any, run: str, settings: Mapping[str, Any]):
        self._run = wandb.init(project="edet", name=run, config=dict(settings))

    def scalars(self, step: int, values: Mapping[str, float]) -> None:
        self._run.log(dict(values), step=step)

    def close(self) -> None:
        self._run.finish()


class _MLflow:
    def __init__(self, mlflow: Any, run: str, settings: Mapping[str, Any]):
        self._mlflow = mlflow
        mlflow.set_experiment("edet")
        mlflow.start_run(run_name=run)
        mlflow.log_params({key: str(value)[:500] for key, value in settings.items()})

    def scalars(self, step: int, values: Mapping[str, float]) -> None:
        self._mlflow.log_metrics(dict(values), step=step)

    def close(self) -> None:
        self._mlflow.end_run()


class _Aim:
    def __init__(self, aim: Any, run: str, settings: Mapping[str, Any]):
        self._run = aim.Run(experiment="edet", system_tracking_interval=None)
        self._run.name = run
        self._run["settings"] = {key: str(value) for key, value in settings.items()}

    def scalars(self, step: int, values: Mapping[str, float]) -> None:
        for name, value in values.items():
            self._run.track(value, name=name, step=step)

    def close(self) -> None:
        self._run.close()


_LOGGERS = {"wandb": _WeightsAndBiases, "mlflow": _MLflow, "aim": _Aim}
