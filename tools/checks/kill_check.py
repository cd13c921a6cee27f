"""Ends a training at random moments and compares it with one that nobody disturbed.

  python -m tools.kill_check --output=runs/kill_check --kills=20

Drawn scenes, a small network, and real processes. Of eight lives three end by SIGKILL at a random
moment, one while a checkpoint is written, one while an evaluation runs, and one after the same
command was given a second time meanwhile, which must be refused; one ends by Ctrl-C, which must
save, and one because the system refuses files of more than a megabyte, as a full disk does. Each is
followed by the same command. At the end every step of history.csv, every evaluation and every
weight must be what the undisturbed run has. Linux only: moments are processor time, so that a busy
machine does not move them.
"""

from __future__ import annotations

import dataclasses
import json
import pathlib
import re
import resource
import signal
import time
from dataclasses import dataclass

import numpy as np
import rich
from absl import flags
from rich.table import Table

from edet.checkpoint_files import read_weights
from edet.cli.common import run
from edet.errors import UserError
from edet.workdir import Workdir
from tools.checks.lives import MAIN, Life, checkpoint_files, history, prepare

_KINDS = (
    "any", "checkpoint", "evaluation", "Ctrl-C", "any", "full disk", "second run", "any",
)  # fmt: skip
_SMALL_FILE = 2**20  # bytes; a checkpoint has more, a log or a page of pictures has not
_TOLERANCE = 1e-5  # of a loss, relative: what several threads may change in the last digits


def define_flags(values: flags.FlagValues) -> None:
    """Defines the flags of the check."""
    flags.DEFINE_string("output", "runs/kill_check", "Folder for all.", flag_values=values)
    flags.DEFINE_integer("kills", 20, "How often to kill.", 1, flag_values=values)
    flags.DEFINE_integer("steps", 200, "Steps of a run.", 20, flag_values=values)
    flags.DEFINE_integer("seed", 0, "Of the moments.", 0, flag_values=values)
    flags.DEFINE_multi_string("set", [], "More settings of the runs.", flag_values=values)
    flags.DEFINE_string("main", MAIN, "The script that trains.", flag_values=values)


@dataclass
class Kill:
    """One life of a training that was cut short, and what its files say then."""

    number: int
    wanted: str  # a kind
    found: str = ""  # where in its life the files say it was
    exit_code: int = 0
    seconds: float = 0.0  # of processor time that it had lived
    went_on_from: int = 0  # step, at its start
    steps: int = 0  # that are in its history, those of former lives too
    difference: float = 0.0  # largest of any loss to the undisturbed run, relative
    other_batches: int = 0  # steps whose images are not those of the undisturbed run


def kill_check(options: flags.FlagValues) -> None:
    """Trains undisturbed, then trains and kills; prints and writes what came of it."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:  # a script's background job has it so
        signal.signal(signal.SIGINT, signal.default_int_handler)  # or the trainings have it, too
    output = pathlib.Path(options.output)
    command, every = prepare(output, options.steps, options.set, options.main)
    life = Life(command, output / "undisturbed")
    life.lasts_until(lambda: bool(history(life.workdir)), poll=0.02)
    start = life.seconds  # of processor time, until the first step is done
    life.finish()
    rng = np.random.default_rng(options.seed)
    kills: list[Kill] = []
    runs: list[pathlib.Path] = []
    while len(kills) < options.kills:
        runs.append(output / f"killed-{len(runs)}")
        while len(kills) < options.kills and len(history(runs[-1])) < options.steps:
            kind = _KINDS[len(kills) % len(_KINDS)]
            kill = _live_and_die(Life(command, runs[-1]), kind, start, every, rng)
            if kill is not None:
                kill.number = len(kills) + 1
                kill.difference, kill.other_batches = _compare(runs[-1], output / "undisturbed")
                kills.append(kill)
                rich.print(kill)
        Life(command, runs[-1]).finish()
    results = [_result(folder, output / "undisturbed", options.steps) for folder in runs]
    report = {"kills": [dataclasses.asdict(kill) for kill in kills], "runs": results}
    (output / "kill_check.json").write_text(json.dumps(report, indent=2) + "\n")
    rich.print(_table(kills))
    for result in results:
        rich.print(result)
    worst = max(kill.difference for kill in kills)
    if (
        worst > _TOLERANCE
        or any(k.other_batches for k in kills)
        or not all(result["is_equal"] for result in results)
    ):
        raise UserError(f"a run that was killed is another one; see {output}/kill_check.json.")


def _live_and_die(
    life: Life, kind: str, start: float, every: int, rng: np.random.Generator
) -> Kill | None:
    """Kills a life at a moment of the kind; None if it came to its end first."""
    if kind == "checkpoint":
        for _ in range(rng.integers(1, 4)):
            writes = _broken_writes(life.workdir)
            if not life.lasts_until(
                lambda writes=writes: bool(_broken_writes(life.workdir) - writes), poll=0.0005
            ):
                return None
            time.sleep(rng.uniform(0, 0.005))
    elif kind == "evaluation":
        before = life.before[1]  # an evaluation that is made up for comes without a new step
        if not life.lasts_until(
            lambda: len(history(life.workdir)) != before and _is_evaluating(life.workdir, every)
        ):
            return None
        if not life.lasts_for(rng.uniform(0, start / 3)):
            return None
    elif not life.lasts_for(rng.uniform(0, 2 * start)):
        return None
    if not _end(life, kind):
        return None
    from_step = re.search(r"resuming from step (\d+)", life.log.read_text())
    return Kill(
        0, kind, _where(life, every), life.process.returncode, round(life.seconds, 2),
        int(from_step[1]) if from_step else 0, len(history(life.workdir)),
    )  # fmt: skip


def _end(life: Life, kind: str) -> bool:
    """Ends a life as its kind says; False if it came to its end before, as a run may.

    Raises:
      UserError: it did not end as it should.
    """
    if kind == "second run":
        if not life.lasts_until(lambda: len(history(life.workdir)) != life.before[1]):
            return False
        second = Life(life.command, life.workdir, log=f"{life.workdir.name}-second")
        if not life.lasts_until(lambda: second.process.poll() is not None):
            second.kill()
            return False
        second.finish(2, f"already: process {life.process.pid} on ")
    if kind == "Ctrl-C":
        life.process.send_signal(signal.SIGINT)
        if life.process.wait() == 0:
            return False
        _check_saved(life.finish(130, "stopped by Ctrl-C"), life.workdir)
    elif kind == "full disk":
        resource.prlimit(life.process.pid, resource.RLIMIT_FSIZE, (_SMALL_FILE, _SMALL_FILE))
        if life.process.wait() == 0:
            return False
        life.finish(75, "cannot write")
    else:
        life.kill()
    return True


def _check_saved(said: str, workdir: pathlib.Path) -> None:
    """Refuses that a run which says that it is saved has lost a step."""
    saved = re.search(r"after step (\d+), which is saved|step (\d+) is saved", said)
    last = Workdir(str(workdir)).checkpoint("last") or "none"
    if saved and not int(saved[1] or saved[2]) == len(history(workdir)) == int(last.split("-")[-1]):
        raise UserError(f"{workdir} says {saved[0]!r}, but its last checkpoint is {last}.")


def _where(life: Life, every: int) -> str:
    """Tells from what a killed process left behind what it was doing."""
    if _broken_writes(life.workdir) - life.before[0]:
        return "checkpoint"
    if (checkpoint_files(life.workdir), len(history(life.workdir))) == life.before:
        return "start"
    return "evaluation" if _is_evaluating(life.workdir, every) else "training"


def _is_evaluating(workdir: pathlib.Path, every: int) -> bool:
    """Whether a step is saved whose evaluation is due and not yet written down."""
    done, run = len(history(workdir)), Workdir(str(workdir))
    if (
        not done
        or done % every
        or f"{run.last_checkpoints.at(done)}.index" not in checkpoint_files(workdir)
    ):
        return False
    return done not in [row["step"] for row in run.evaluations()]


def _broken_writes(workdir: pathlib.Path) -> set[str]:
    """What is there only while a checkpoint is written: folders aside, data without an index."""
    files = checkpoint_files(workdir)
    stems = {name: name.partition(".data-")[0] for name in files if ".data-" in name}
    return {name for name in files if "temp" in name} | {
        name for name, stem in stems.items() if f"{stem}.index" not in files
    }


def _compare(killed: pathlib.Path, undisturbed: pathlib.Path) -> tuple[float, int]:
    """Returns the largest relative difference of any loss, and the steps with other images."""
    difference, other = 0.0, 0
    for found, expected in zip(history(killed), history(undisturbed), strict=False):
        other += found["images_crc32"] != expected["images_crc32"]
        for name in ("total_loss", "class_loss", "box_loss", "l2_loss", "gradient_norm"):
            off = abs(found[name] - expected[name])
            difference = max(difference, off / max(abs(expected[name]), 1e-9))
    return difference, other


def _result(killed: pathlib.Path, undisturbed: pathlib.Path, steps: int) -> dict:
    """Compares a run that was killed and went on to its end with the undisturbed one."""
    difference, other = _compare(killed, undisturbed)
    runs = [Workdir(str(folder)) for folder in (killed, undisturbed)]
    weights = 0.0
    for kind in ("raw", "average", "velocity"):
        values = [read_weights(run.checkpoint("last") or "", kind) for run in runs]
        weights = max(
            weights, *(float(np.abs(values[0][n] - v).max()) for n, v in values[1].items())
        )
    once = [row["step"] for row in history(killed)] == list(range(steps))
    evaluations, others = (run.evaluations() for run in runs)
    same_evaluations = [row["step"] for row in evaluations] == [row["step"] for row in others]
    ap = [abs(a["AP"] - b["AP"]) for a, b in zip(evaluations, others, strict=False)]
    return {
        "run": killed.name, "each_step_once": once, "each_evaluation_once": same_evaluations,
        "largest_loss_difference": difference, "steps_with_other_images": other,
        "largest_weight_difference": weights, "largest_ap_difference": max(ap, default=0.0),
        "is_equal": once and same_evaluations and not other and difference <= _TOLERANCE,
    }  # fmt: skip


def _table(kills: list[Kill]) -> Table:
    table = Table(title=f"{len(kills)} kills")
    for heading in dataclasses.asdict(kills[0]):
        table.add_column(heading.replace("_", " "), justify="right")
    for kill in kills:
        table.add_row(*map(str, dataclasses.asdict(kill).values()))
    return table


if __name__ == "__main__":
    run(define_flags, kill_check)
