"""Services of others: their offline modes where they are installed, and a stand-in for all."""

import types

import pytest

from edet.errors import UserError
from edet.training import loggers
from edet.training.log import Reporter
from edet.training.loggers import open_loggers
from edet.workdir import Workdir

SETTINGS = {"train.steps": 2, "model.name": "efficientdet-d0"}


@pytest.mark.slow
@pytest.mark.parametrize("name", ["wandb", "mlflow", "aim"])
def test_each_keeps_numbers_without_a_network(name, tmp_path, monkeypatch):
    """Skipped where the package is not installed."""
    package = pytest.importorskip(name)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("WANDB_MODE", "offline")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{tmp_path}/mlflow.db")
    if name == "aim":
        package.sdk.repo.Repo.from_path(str(tmp_path), init=True)
    (logger,) = open_loggers([name], "mine", SETTINGS)
    logger.scalars(1, {"train/total_loss": 2.5})
    logger.scalars(2, {"eval/AP": 0.25})
    logger.scalars(3, {"train/total_loss": 2.5})  # wandb knows a step once the next has begun
    kept = {}
    if name == "wandb":
        kept = dict(logger._run.summary)
        assert logger._run.config["train.steps"] == 2
    elif name == "aim":
        run = logger._run
        (sequences,) = run.collect_sequence_info("metric").values()
        kept = {one["name"]: one["values"]["last"] for one in sequences}
        assert run["settings"]["train.steps"] == "2" and run.name == "mine"
    logger.close()
    if name == "mlflow":
        (run,) = package.search_runs(search_all_experiments=True, output_format="list")
        kept = run.data.metrics
        assert run.data.params["train.steps"] == "2" and run.info.run_name == "mine"
    assert {key: kept[key] for key in ("train/total_loss", "eval/AP")} == {
        "train/total_loss": 2.5,
        "eval/AP": 0.25,
    }


def test_a_package_that_is_missing_is_named(monkeypatch):
    monkeypatch.setattr(loggers.importlib, "import_module", lambda name: __import__("no_such"))
    with pytest.raises(UserError, match=r"train.loggers has wandb, .*: pip install wandb\."):
        open_loggers(["wandb"], "mine", SETTINGS)


def test_numbers_of_evaluations_are_handed_on_and_a_logger_that_fails_ends_no_training(
    tmp_path, capsys
):
    kept, closed = [], []

    def fail(step, values):
        raise ConnectionError("the service is gone")

    good = types.SimpleNamespace(
        scalars=lambda step, values: kept.append((step, values)), close=lambda: closed.append(1)
    )
    broken = types.SimpleNamespace(scalars=fail, close=lambda: closed.append(2))
    reporter = Reporter(Workdir(str(tmp_path)), 0, 10, 4, loggers=[broken, good])
    reporter.evaluation(5, {"AP": 0.5}, "no page")
    reporter.evaluation(6, {"AP": 0.6}, "no page")
    reporter.close()
    assert kept == [(5, {"eval/AP": 0.5}), (6, {"eval/AP": 0.6})] and closed == [1]
    assert capsys.readouterr().out.count("takes no more numbers: the service is gone") == 1


def test_a_logger_that_cannot_begin_or_end_ends_no_training(tmp_path, monkeypatch, capsys):
    def refuse(**_):
        raise RuntimeError("api_key not configured\ncall wandb.login")

    def fail():
        raise ConnectionError("the service is gone")

    stand_ins = {
        "wandb": types.SimpleNamespace(init=refuse),
        "aim": types.SimpleNamespace(Run=lambda **_: _Run(fail)),
    }
    monkeypatch.setattr(loggers.importlib, "import_module", stand_ins.get)
    opened = open_loggers(["wandb", "aim"], "mine", SETTINGS)
    assert len(opened) == 1
    Reporter(Workdir(str(tmp_path)), 0, 10, 4, loggers=opened).close()
    assert capsys.readouterr().out == (
        "warning: wandb keeps no numbers of this run: api_key not configured\n"
        "warning: Aim may lack the last numbers: the service is gone\n"
    )


class _Run(dict):
    """Aim's, as far as it is used."""

    def __init__(self, close):
        self.close = close
