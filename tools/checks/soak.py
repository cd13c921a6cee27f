"""Trains, predicts and serves for long, and watches that memory stays flat.

  python -m tools.checks.soak --output=runs/soak

Drawn scenes and a tiny network: a training with a hundred evaluations, then predictions of pictures
of random sizes with what it has learnt, then requests to the servers of tools/serve_check.py, whose
every answer is compared. Each part is a process of its own, of which the memory that no file backs
is read from /proc: Linux only. Flat means: the median of no later tenth of the work is more than
3 % above that of the second. Of a part with 0 nothing is done; the last two take what was trained.
"""

from __future__ import annotations

import contextlib
import functools
import io
import itertools
import multiprocessing
import os
import pathlib
import shutil
import statistics
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from multiprocessing.sharedctypes import Synchronized

import numpy as np
import rich
from absl import flags
from PIL import Image

import edet
from edet.cli.common import run
from edet.errors import UserError
from edet.files import write_json
from edet.records.sources.synthetic import make_scene
from edet.signals import running
from edet.workdir import Workdir
from tools.checks import lives, serve_check
from tools.checks.environments import make_environment

FLAT = 0.03  # growth, as a share, that is still flat
_POLL = 0.25  # seconds between two looks
_SIDES = (16, 400)  # pixels of a picture
_CLIENTS = 2
_TINY = [
    "model.backbone=efficientnet-w0.35-d0.3", "model.max_level=5", "data.batch_size=2",
    "data.eval_batch_size=2",
]  # fmt: skip


def define_flags(values: flags.FlagValues) -> None:
    """Defines the flags of the check."""
    flags.DEFINE_string("output", "runs/soak", "Folder for all.", flag_values=values)
    flags.DEFINE_integer("steps", 4000, "Steps of the training.", 0, flag_values=values)
    flags.DEFINE_integer("predictions", 10_000, "Pictures.", 0, flag_values=values)
    flags.DEFINE_integer("requests", 10_000, "Asked of the servers.", 0, flag_values=values)
    flags.DEFINE_integer("seed", 0, "Of the pictures.", 0, flag_values=values)
    flags.DEFINE_string(
        "environment", "~/.cache/edet/serve_check", "Where the servers are installed.",
        flag_values=values,
    )  # fmt: skip


def soak(options: flags.FlagValues) -> None:
    """Does the parts, each as often as asked for; prints and writes the figures.

    Raises:
      UserError: memory has grown, or a part has failed.
    """
    # glibc keeps what is freed in arenas, one a thread up to eight a core: a training's memory
    # rises by a third until each has had its fill, and what is lost would not be seen below that.
    os.environ.setdefault("MALLOC_ARENA_MAX", "2")
    output = pathlib.Path(options.output)
    parts = {
        "steps": train,
        "predictions": functools.partial(predict, seed=options.seed),
        "requests": functools.partial(serve, seed=options.seed, environment=options.environment),
    }
    figures = {}
    for what, part in parts.items():
        if count := options[what].value:
            with part(output, count) as (process, done):
                medians = watch(what, process, count, done)
            figures[what] = {"count": count, "MiB": medians, "growth": growth(medians)}
            write_json(output / "soak.json", figures)
            rich.print(f"{count:,} {what}: {medians} MiB, growth {figures[what]['growth']:.1%}")
    if grown := [what for what, row in figures.items() if row["growth"] > FLAT]:
        raise UserError(f"memory grows with {', '.join(grown)}; see {output}/soak.json.")


def growth(medians: Sequence[float]) -> float:
    """Returns by what share a later tenth of the work has more memory than the second."""
    return max(medians[2:]) / medians[1] - 1


def watch(what: str, process: int, count: int, done: Callable[[], int]) -> list[float]:
    """Waits until `count` are done; returns the medians of the memory in each tenth, MiB.

    Raises:
      UserError: the process has ended before, or a tenth was too short to be looked at.
    """
    tenths: list[list[float]] = [[] for _ in range(10)]
    while (so_far := done()) < count:
        if not (mebibytes := memory_of(process)):
            raise UserError(
                f"only {so_far} of {count} {what} were done; what ended them is above or in "
                "training.log."
            )
        if so_far:  # the start is no work
            tenth = tenths[10 * so_far // count]
            if not tenth:
                rich.print(f"{so_far:,} of {count:,} {what}: {mebibytes:.0f} MiB")
            tenth.append(mebibytes)
        time.sleep(_POLL)
    if not all(tenths):
        raise UserError(f"{count} {what} are over too soon to be watched; ask for more.")
    return [round(statistics.median(tenth), 1) for tenth in tenths]


def memory_of(process: int) -> float:
    """Returns the MiB that a process and all below it have for themselves, 0 if it has ended."""
    folder = pathlib.Path(f"/proc/{process}")
    try:
        rows = [line.split() for line in (folder / "status").read_text().splitlines()]
        below = " ".join(path.read_text() for path in folder.glob("task/*/children"))
    except OSError:
        return 0.0
    own = sum(int(row[1]) for row in rows if row[:1] in (["RssAnon:"], ["RssShmem:"]))
    return own / 1024 + sum(memory_of(int(each)) for each in below.split())


# Each part yields its process and a function that tells how many are done, and closes what it has
# opened; its own error says more than that not all were done.
Part = Iterator[tuple[int, Callable[[], int]]]


@contextlib.contextmanager
def train(output: pathlib.Path, count: int) -> Part:
    """Trains with a hundred evaluations."""
    shutil.rmtree(output / "training", ignore_errors=True)
    command, _ = lives.prepare(output, count, _TINY, evaluations=100)
    life = lives.Life(command, output / "training")
    history = pathlib.Path(Workdir(str(life.workdir)).history_file)

    def done() -> int:
        return history.read_bytes().count(b"\n") - 1 if history.exists() else 0

    try:
        yield life.process.pid, done
    finally:
        if done() < count:  # else the last evaluation may still run
            life.process.terminate()
    life.finish()


@contextlib.contextmanager
def predict(output: pathlib.Path, count: int, seed: int) -> Part:
    """Predicts pictures, each of a size of its own, arrays and files in turn."""
    spawn = multiprocessing.get_context("spawn")
    done = spawn.Value("q", 0)
    worker = spawn.Process(target=_predict, args=(done, str(output / "training"), seed, count))
    with running(worker):
        yield worker.pid, lambda: done.value


def _predict(done: Synchronized, workdir: str, seed: int, count: int) -> None:
    model = edet.load(workdir)
    for number, pixels in enumerate(itertools.islice(pictures(seed), count)):
        (found,) = model.predict(pixels if number % 2 else _encoded(pixels, number))
        if not np.isfinite(found.boxes).all():
            raise AssertionError(f"picture {number}: {found.boxes}")
        done.value = number + 1


def pictures(seed: int) -> Iterator[np.ndarray]:
    """Yields scenes, uint8 [H, W, 3], H and W at random."""
    rng = np.random.default_rng(seed)
    scenes = [Image.fromarray(make_scene([seed, k], 128)[0]) for k in range(8)]
    while True:
        size = rng.integers(*_SIDES, 2).tolist()
        yield np.asarray(scenes[rng.integers(len(scenes))].resize(size))


def _encoded(pixels: np.ndarray, number: int) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "JPEG" if number % 4 else "PNG")
    return buffer.getvalue()


@contextlib.contextmanager
def serve(output: pathlib.Path, count: int, seed: int, environment: str) -> Part:
    """Asks the servers of a SavedModel, one to three pictures at a time; compares the answers."""
    shutil.rmtree(output / "saved_model", ignore_errors=True)
    saved_model = edet.load(str(output / "training")).export(str(output / "saved_model"))
    truth = serve_check.Truth(saved_model)
    files = [_encoded(p, k) for k, p in enumerate(itertools.islice(pictures(seed), 40))]
    turns, answered = iter(range(count)), []  # an iterator and a list are safe in threads

    def client(ask: Sequence[serve_check.Ask], rng: np.random.Generator) -> None:
        for turn in turns:
            chosen = [files[k] for k in rng.integers(len(files), size=rng.integers(1, 4))]
            rows = ask[turn % len(ask)](chosen)
            if not all(truth.is_right(row, one) for row, one in zip(rows, chosen, strict=True)):
                raise UserError(f"request {turn} was answered wrong; see tools/serve_check.py.")
            answered.append(turn)

    python = make_environment(environment, serve_check.PACKAGES, serve_check.ALONE)
    with (
        serve_check.server(saved_model, python) as (process, servers),
        ThreadPoolExecutor(_CLIENTS) as pool,
    ):
        rngs = np.random.default_rng(seed).spawn(_CLIENTS)
        clients = [pool.submit(client, list(servers.values()), rng) for rng in rngs]

        def done() -> int:
            for one in clients:
                if one.done():
                    one.result()  # raises what ended it
            return len(answered)

        try:
            yield process.pid, done
        finally:
            for _ in turns:  # none are left for the clients
                pass


if __name__ == "__main__":
    run(define_flags, soak)
