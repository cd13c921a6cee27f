"""Trains every point of a sweep with every seed, and draws AP, or mIOU, with error bars.

  edet sweep --sweep=configs/paper/recipes/bccd_jitter.sweep.yaml --output=runs/jitter

A sweep is a YAML file:

    title: what is compared                       # heading of the table and of the picture
    config: configs/bccd_match.yaml               # the experiment; a point may name its own
    set: [train.steps=150]                        # settings of all points, as of edet
    seeds: [0, 1, 2]
    points:
      - {name: none, set: [augment.jitter_min=1, augment.jitter_max=1]}
      - {name: none, line: D1, config: configs/coco/d1.yaml}   # points of a line are joined

Each training is `edet --mode=train_and_eval` in a process and a workdir of its own,
<output>/<line>/<point>/seed<k>. Given again after whatever stopped it, the command takes finished
trainings as they are and goes on with the others; if one was made with other settings, it says so
and does nothing. Writes <output>/sweep.json and sweep.png there.
"""

from __future__ import annotations

import dataclasses
import os
import statistics
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import tensorflow as tf
from absl import flags
from matplotlib.figure import Figure
from rich.markup import escape
from rich.progress import track
from rich.table import Table

from edet.cli.common import run
from edet.config.loading import differences, find_config
from edet.config.schema import Config
from edet.config.yaml_text import parse_yaml
from edet.errors import UserError
from edet.evaluation.plots import plain, save_figure
from edet.files import read_text, write_json
from edet.signals import run_process
from edet.terminal import Console
from edet.workdir import Workdir
from edet.workflows.configuration import run_config

_OF_BOXES, _OF_PIXELS = ("AP", "AP50"), ("mIOU",)
_MODE = "train_and_eval"  # edet writes <mode>.json when it is done


@dataclass(frozen=True)
class Point:
    """One value of what is swept."""

    name: str
    config: str = ""
    line: str = ""
    set: tuple[str, ...] = ()

    @property
    def label(self) -> str:
        """What tells it from all other points."""
        return f"{self.line} {self.name}".strip()


@dataclass(frozen=True)
class Sweep:
    """The fields of a sweep's file."""

    title: str
    config: str
    points: tuple[Point, ...]
    seeds: tuple[int, ...] = (0, 1, 2)
    set: tuple[str, ...] = ()


@dataclass(frozen=True)
class Job:
    """The training of one point with one seed."""

    label: str
    seed: int
    config: str
    settings: tuple[str, ...]
    workdir: str


def read_sweep(path: str) -> Sweep:
    """Reads a sweep.

    Raises:
      UserError: it is no YAML, or a field is missing, twice there, unknown or of another kind.
    """
    fields = _checked(parse_yaml(read_text(find_config(path), "sweep"), path), Sweep, path)
    points = tuple(Point(**_checked(point, Point, path)) for point in fields["points"])
    labels = [point.label for point in points]
    seeds = fields.get("seeds", Sweep.seeds)
    if not seeds or len(set(seeds)) != len(seeds) or any(type(seed) is not int for seed in seeds):
        raise UserError(f"{path}: seeds is {list(seeds)}; give whole numbers, each once.")
    for settings in (fields.get("set", ()), *(point.set for point in points)):
        if wrong := [setting for setting in settings if not isinstance(setting, str)]:
            raise UserError(f"{path}: {wrong[0]!r} is no setting; write it as section.key=value.")
    is_folder = [os.sep not in label and label not in ("", ".", "..") for label in labels]
    if not points or len(set(labels)) != len(labels) or not all(is_folder):
        raise UserError(f"{path}: points need names of their own without {os.sep!r}, not {labels}.")
    return Sweep(**fields | {"points": points})


def _checked(fields: Any, kind: type, path: str) -> dict[str, Any]:
    """Returns the fields of a Sweep or a Point, lists as tuples."""
    known = {field.name: field for field in dataclasses.fields(kind)}
    if not isinstance(fields, dict):
        raise UserError(f"{path}: {fields!r} should be fields among {', '.join(known)}.")
    needed = {name for name, field in known.items() if field.default is dataclasses.MISSING}
    if wrong := (set(fields) - set(known)) | (needed - set(fields)):
        raise UserError(
            f"{path}: {', '.join(sorted(map(str, wrong)))} is missing or unknown; the fields are "
            f"{', '.join(known)}."
        )
    for name, value in fields.items():
        wanted = list if "tuple" in str(known[name].type) else str
        if not isinstance(value, wanted):
            raise UserError(f"{path}: {name} is {value!r}; it must be a {wanted.__name__}.")
    return {k: tuple(v) if isinstance(v, list) else v for k, v in fields.items()}


def define_flags(to: flags.FlagValues) -> None:
    """Defines this tool's flags."""
    flags.DEFINE_string("sweep", None, "YAML file of a sweep", required=True, flag_values=to)
    flags.DEFINE_string("output", None, "folder of the runs", required=True, flag_values=to)
    flags.DEFINE_string("strategy", "auto", "as of edet", flag_values=to)
    flags.DEFINE_string("tpu", "", "as of edet", flag_values=to)
    flags.DEFINE_multi_string("set", [], "a setting of all points, as of edet", flag_values=to)


def sweep(options: flags.FlagValues) -> None:
    """Trains what is not trained yet, then prints, writes and draws."""
    plan = read_sweep(options.sweep)
    jobs = _jobs(plan, options)
    done = [job for job in jobs if tf.io.gfile.exists(Workdir(job.workdir).result_file(_MODE))]
    finds = set()
    for job in jobs:  # all of them before hours of training
        config = run_config("", None, job.config, job.settings)
        finds.add(config.model.detects)
        if job in done or Workdir(job.workdir).has_config():
            _refuse_another(job, config)
    if len(finds) > 1:
        raise UserError(
            f"{options.sweep}: some points find boxes and others only pixels; give "
            "each kind a sweep of its own."
        )
    found: dict[str, list[dict[str, float]]] = {point.label: [] for point in plan.points}
    for job in track(jobs, plan.title, console=Console(stderr=True)):
        if job not in done:
            _train(job, options)
        found[job.label].append(Workdir(job.workdir).evaluations()[-1])
    summary = _summary(found)
    write_json(os.path.join(options.output, "sweep.json"), summary)
    _draw(plan, summary, os.path.join(options.output, "sweep.png"))
    Console().print(_table(plan.title, summary))


def _jobs(plan: Sweep, options: flags.FlagValues) -> list[Job]:
    return [
        Job(
            label=point.label,
            seed=seed,
            config=point.config or plan.config,
            settings=(*plan.set, *point.set, *options.set, f"train.seed={seed}"),
            workdir=os.path.join(options.output, point.line, point.name, f"seed{seed}"),
        )
        for point in plan.points
        for seed in plan.seeds
    ]


def _refuse_another(job: Job, config: Config) -> None:
    """Refuses a training, finished or stopped, whose settings are not those that the sweep has now.

    Both are what edet makes of a YAML, settings and released weights, before a run resolves any
    of them, so that a sweep given again meets itself.
    """
    trained = Workdir(job.workdir).config()
    for key, old, new in differences(trained, config):
        raise UserError(
            f"{job.workdir} was trained with {key}={old}, but the sweep has {new} now; delete the "
            "folder, or choose another --output."
        )


def _train(job: Job, options: flags.FlagValues) -> None:
    """Runs edet, which goes on with what is in the workdir."""
    command = [
        sys.executable, "-m", "edet", f"--mode={_MODE}", f"--config={job.config}",
        f"--workdir={job.workdir}", f"--strategy={options.strategy}", f"--tpu={options.tpu}",
        *(f"--set={setting}" for setting in job.settings),
    ]  # fmt: skip
    done = run_process(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    if done.returncode:
        last = done.stdout.strip().splitlines()[-1:] or ["it said nothing"]
        raise UserError(
            f"{job.label} with seed {job.seed} ended with exit code {done.returncode}: {last[0]} "
            "Mend it and give the same command again; what is trained stays."
        )


def _summary(found: dict[str, list[dict[str, float]]]) -> dict[str, Any]:
    """Returns what sweep.json holds: mean and deviation of each metric, and each seed's."""
    first = next(iter(found.values()))[0]
    metrics = _OF_BOXES if "AP" in first else _OF_PIXELS
    return {
        name: {
            metric: {"mean": statistics.mean(values), "deviation": _deviation(values)}
            for metric in metrics
            for values in [[one[metric] for one in results]]
        }
        | {"seeds": [{metric: one[metric] for metric in metrics} for one in results]}
        for name, results in found.items()
    }


def _metrics_of(summary: dict[str, Any]) -> list[str]:
    return [name for name in next(iter(summary.values())) if name != "seeds"]


def _deviation(values: Sequence[float]) -> float:
    return statistics.stdev(values) if len(values) > 1 else 0.0


def _table(title: str, summary: dict) -> Table:
    table = Table(title=title, caption="mean and sample deviation over the seeds, in points")
    for heading in ("point", *_metrics_of(summary), "seeds"):
        table.add_column(heading)
    for name, result in summary.items():
        table.add_row(escape(name), *cells(result), str(len(result["seeds"])))
    return table


def cells(result: dict[str, Any]) -> list[str]:
    """Returns each metric of a point of sweep.json: mean and sample deviation, 0-100."""
    return [
        f"{100 * values['mean']:.1f} ± {100 * values['deviation']:.1f}"
        for metric, values in result.items() if metric != "seeds"
    ]  # fmt: skip


def _draw(plan: Sweep, summary: dict, path: str) -> None:
    """Draws a line's first metric whole and the other dashed, each line in a colour of its own."""
    figure = Figure(figsize=(6, 4), layout="constrained")
    axes = figure.subplots()
    order: dict[str, int] = {}  # the places of the names, which lines share
    for number, line in enumerate(dict.fromkeys(point.line for point in plan.points)):
        points = [point for point in plan.points if point.line == line]
        places = [order.setdefault(point.name, len(order)) for point in points]
        for metric, style in zip(_metrics_of(summary), ("-", "--"), strict=False):
            means, deviations = (
                [100 * summary[point.label][metric][key] for point in points]
                for key in ("mean", "deviation")
            )
            axes.errorbar(
                places, means, yerr=deviations, marker="o",
                capsize=4, label=plain(f"{line} {metric}".strip()), color=f"C{number}",
                linestyle=style,
            )  # fmt: skip
    axes.set_xticks(range(len(order)), map(plain, order))
    axes.set(title=plain(plan.title, longest=60), ylabel="points", ylim=(0, None))
    axes.legend()
    axes.grid(alpha=0.3)
    save_figure(figure, path, dpi=120)


if __name__ == "__main__":
    run(define_flags, sweep)
