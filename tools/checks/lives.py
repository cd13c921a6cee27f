"""Trainings in processes of their own, small ones on drawn scenes; the checks end them.

Linux only: what a process has computed is read from /proc.
"""

from __future__ import annotations

import os
import pathlib
import subprocess
import sys
import time
from collections.abc import Callable, Sequence

from edet.errors import UserError
from edet.records.sources.synthetic import SyntheticSet
from edet.records.writing import write_records
from edet.workdir import Workdir

_ROOT = pathlib.Path(__file__).resolve().parents[2]
MAIN = str(_ROOT / "main.py")
_SETTINGS = [
    "model.image_size=64", "model.labels={1: disc, 2: square, 3: triangle}",
    "model.pyramid_width=16", "model.pyramid_repeats=1", "model.head_repeats=1",
    "data.batch_size=4", "data.eval_batch_size=4", "train.learning_rate=0.5", "train.keep=2",
]  # fmt: skip


class Life:
    """One process that trains in a workdir.

    Attributes:
      before: the files of checkpoints, and how many steps the history had, when it began.
      seconds: of processor time that it has computed, as last seen.
    """

    def __init__(self, command: list[str], workdir: pathlib.Path, log: str = ""):
        self.command, self.workdir = command, workdir
        self.before = (checkpoint_files(workdir), len(history(workdir)))
        workdir.parent.mkdir(parents=True, exist_ok=True)
        self.log = workdir.parent / f"{log or workdir.name}.log"
        # One thread each: then sums have one order and equality is to the bit.
        threads = {f"TF_NUM_{kind}_THREADS": "1" for kind in ("INTRAOP", "INTEROP")}
        path = os.pathsep.join([str(_ROOT), os.environ.get("PYTHONPATH", "")])
        with self.log.open("w") as log:
            self.process = subprocess.Popen(
                [*command, f"--workdir={workdir}"], stdout=log, stderr=subprocess.STDOUT,
                env={**os.environ, **threads, "PYTHONPATH": path},
            )  # fmt: skip
        self.seconds = 0.0

    def lasts_until(self, is_time: Callable[[], bool], poll: float = 0.02) -> bool:
        """Waits; returns False if the process ended before."""
        while not is_time():
            if self.process.poll() is not None:
                return False
            self.seconds = self.processor_time()
            time.sleep(poll)
        return True

    def lasts_for(self, seconds: float) -> bool:
        """Waits until the process has used so much more processor time."""
        until = self.processor_time() + seconds
        return self.lasts_until(lambda: self.processor_time() >= until)

    def processor_time(self) -> float:
        """Seconds that the process has computed so far."""
        try:
            fields = pathlib.Path(f"/proc/{self.process.pid}/stat").read_text()
        except OSError:
            return self.seconds
        user, system = fields.rpartition(")")[2].split()[11:13]
        return (int(user) + int(system)) / os.sysconf("SC_CLK_TCK")

    def kill(self) -> None:
        """Ends the process as a power cut would, and waits until it is gone."""
        self.seconds = self.processor_time()
        self.process.kill()
        self.process.wait()

    def finish(self, code: int = 0, sentence: str = "") -> str:
        """Waits for the end, which must have this exit code; returns what the training said.

        Raises:
          UserError: it ended otherwise, said something else, or showed a traceback.
        """
        self.lasts_until(lambda: False, poll=0.05)
        said = self.log.read_text()
        if self.process.returncode != code or sentence not in said or "Traceback" in said:
            raise UserError(
                f"the training ended with exit code {self.process.returncode}, not with {code} and "
                f"{sentence or 'no traceback'!r}; see {self.log}."
            )
        return said


def prepare(
    output: pathlib.Path, steps: int, settings: Sequence[str], main: str = MAIN,
    evaluations: int = 5,
) -> tuple[list[str], int]:  # fmt: skip
    """Draws the scenes; returns the training's command, and the steps between evaluations."""
    for name, count, seed in (("train", 50, 0), ("eval", 8, 1)):
        write_records(SyntheticSet(count, size=64, seed=seed), str(output / "records" / name))
    every = max(2, steps // evaluations)
    settings = [
        *_SETTINGS,
        f"data.train_records={output}/records/train-*",
        f"data.eval_records={output}/records/eval-*",
        f"train.steps={steps}", f"train.eval_every={every}",
        f"train.save_every={max(1, every // 4)}", f"train.log_every={max(1, every // 8)}",
        *settings,
    ]  # fmt: skip
    command = [sys.executable, main, "--mode=train_and_eval", "--model=efficientdet-lite0"]
    return [*command, *(f"--set={setting}" for setting in settings)], every


def history(workdir: pathlib.Path) -> list[dict[str, float]]:
    """The rows of history.csv, one a step; none before the first."""
    return Workdir(str(workdir)).history()


def checkpoint_files(workdir: pathlib.Path) -> set[str]:
    """The files of checkpoints, and the folders in which they are being written."""
    run = Workdir(str(workdir))
    folders = [run.last_checkpoints.path, run.best_checkpoints.path]
    return {
        f"{path}/{name}" for path in folders if os.path.exists(path) for name in os.listdir(path)
    }
