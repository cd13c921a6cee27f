"""Compiles everything that tpu/README.md tells of, most important first: many hours on two cores.

  python -m tpu.compile_check.nightly               what is not measured yet with these versions
  python -m tpu.compile_check.nightly --again       everything
  python -m tpu.compile_check.nightly --table       nothing; only writes the README's table

Every row is saved in tpu/compile_results.json as soon as it is there. A compiler that is killed, or
fails, costs its own job alone; the exit code is then 75, and the next night tries it again (after
--again only with --again: an earlier row of it is kept).
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import NamedTuple

from absl import flags

from edet.cli.common import run
from edet.config.loading import load_config
from edet.terminal import Console
from tpu.compile_check.__main__ import CompilerCrashed, check, configured, installed_versions
from tpu.compile_check.report import USABLE, Row, describe
from tpu.compile_check.results import find_row, read_rows, save_row, with_row, write_table

MODELS = tuple(f"efficientdet-d{size}" for size in (0, 1, 2, 3, 4, 5, 6, 7, "7x"))
_SETTINGS = ["train.recipe=paper"]  # what the table tells of; a name alone would not mean it
_ATTEMPTS = 5  # compilations in search of the largest batch
_NEAR = 8  # a batch is the largest when one by an eighth larger is refused


class Job(NamedTuple):
    """A step to be compiled."""

    model: str
    topology: str = "v3:2x2"
    replicas: int = 8
    images: int = 4  # a core
    step: str = "train"
    remat: bool = False
    largest: bool = False  # look for the most images a core that fit, from `images` on


def jobs() -> list[Job]:
    """Returns what is compiled, in this order.

    The paper trains with a batch of 128 on 32 cores of v3, D7 and D7x on 128: 4 and 1 images a
    core. What a core needs does not depend on how many there are, so 8 cores answer for all.
    """
    paper = [Job(model, images=_paper_images(model)) for model in MODELS]
    others = [
        Job(model, topology, 4, _paper_images(model))
        for topology in ("v5e:2x2", "v6e:2x2")
        for model in ("efficientdet-d0", "efficientdet-d4", "efficientdet-d7x")
    ]
    return [
        *paper[:1],
        Job("efficientdet-d0", "v3:4x4", 32),
        Job("efficientdet-d0", step="eval"),
        *paper[1:],
        *(job._replace(remat=True) for job in paper),
        *(job._replace(step="eval") for job in paper[1:]),
        *others,
        *(job._replace(largest=True) for job in paper),
        *(job._replace(remat=True, largest=True) for job in paper),
    ]


def _paper_images(model: str) -> int:
    return 1 if model.startswith("efficientdet-d7") else 4


def define_flags(values: flags.FlagValues) -> None:
    """Defines the tool's flags."""
    flags.DEFINE_bool("again", False, "Also what is measured already.", flag_values=values)
    flags.DEFINE_bool("table", False, "Only writes the README's table.", flag_values=values)


def tool(options: flags.FlagValues) -> None:
    """Works through the list, and writes the table of what is known then.

    Raises:
      CompilerCrashed: in some jobs.
    """
    failed = 0 if options.table else _work_through(jobs(), [] if options.again else read_rows())
    write_table()
    if failed:
        raise CompilerCrashed(
            f"the compiler crashed in {failed} of {len(jobs())} jobs, see above; another night "
            + ("keeps their earlier rows." if options.again else "compiles only what is missing.")
        )


def _work_through(todo: list[Job], known: list[Row]) -> int:
    """Does one job after the other, and returns in how many the compiler crashed."""
    console, failed = Console(), 0
    for job in todo:
        try:
            _work(job, known, console)
        except CompilerCrashed as error:
            failed += 1
            what = f"{job.model} {job.step}{' remat' if job.remat else ''} ({job.topology})"
            console.print(f"{what}: {error}", markup=False, highlight=False, soft_wrap=True)
    return failed


def _work(job: Job, known: list[Row], console: Console) -> None:
    """Compiles what a job asks for, unless a known row says it with the same versions."""

    wanted = _wanted(job)

    def measure(images: int, memory_only: bool = False) -> Row:
        batch = images * job.replicas
        row = find_row(known, wanted | {"batch_size": batch})
        is_sketch = row is not None and row.get("memory_only", False) and not memory_only
        if row is None or is_sketch or row["versions"] != installed_versions():
            config = configured(job.model, None, _SETTINGS, batch, job.remat)
            row = check(config, job.step, job.topology, job.replicas, memory_only)
            console.print(describe(row), highlight=False, soft_wrap=True)
            known[:] = with_row(known, row)
            save_row(row)
        return row

    def measured() -> list[Row]:
        rows = [row for row in known if row["versions"] == installed_versions()]
        return [row for row in rows if find_row([row], wanted | {"batch_size": row["batch_size"]})]

    measure(job.images)
    while job.largest:
        # By the memory alone, several times as fast, then what was found to the end, which may
        # still refuse it.
        fitting, _ = largest_batch(lambda images: measure(images, memory_only=True), measured())
        if fitting is None or measure(fitting["images_per_core"])["compiled"]:
            break


def _wanted(job: Job) -> Row:
    """Returns what names the rows of a job, but for their batch size."""
    size = list(load_config(job.model).model.image_size)
    training = {"remat": job.remat, "micro_batches": 1} if job.step == "train" else {}
    return {
        "model": job.model, "image_size": size, "step": job.step, "topology": job.topology,
        "replicas": job.replicas, "precision": "bfloat16", **training,
    }  # fmt: skip


def largest_batch(
    measure: Callable[[int], Row], rows: list[Row], attempts: int = _ATTEMPTS
) -> tuple[Row | None, Row | None]:
    """Looks for the most images a core that fit.

    Memory grows evenly with the images, nearly, so each attempt is where the line through the last
    two measurements meets the memory that there is.

    Args:
      measure: compiles for a number of images a core.
      rows: what is measured already, at least one.
      attempts: compilations at most.

    Returns:
      The row of the most images that fit and that of the fewest that do not, each None if there is
      none.
    """
    measured = {row["images_per_core"]: row for row in rows}
    for _ in range(attempts):
        fitting = max((n for n, row in measured.items() if row["compiled"]), default=0)
        refused = min((n for n, row in measured.items() if not row["compiled"]), default=math.inf)
        if refused - fitting <= max(1, fitting // _NEAR):
            break
        most = refused - 1
        if refused == math.inf and _is_nearly_full(measured[fitting]):
            # Short of memory, the compiler saves some by itself, and the line is none any more.
            most = 2 * fitting
        guess = min(max(_where_it_is_full(measured), fitting + 1), most)
        measured[guess] = measure(guess)
    fitting = [n for n, row in measured.items() if row["compiled"]]
    refused = [n for n, row in measured.items() if not row["compiled"]]
    return measured.get(max(fitting, default=0)), measured.get(min(refused, default=0))


def _is_nearly_full(row: Row) -> bool:
    return row["needed_bytes"] > row["hbm_bytes"] / 2


def _where_it_is_full(measured: dict[int, Row]) -> int:
    """Returns the images a core that should just fit."""
    usable = USABLE * next(iter(measured.values()))["hbm_bytes"]
    nearest = sorted(measured, key=lambda n: abs(measured[n]["needed_bytes"] - usable))[:2]
    needed = [measured[n]["needed_bytes"] for n in nearest]
    if len(nearest) == 1:
        # Of one compiled step it is known what does not grow: weights and the program.
        slope = measured[nearest[0]].get("temp_bytes", needed[0]) / nearest[0]
    else:
        slope = (needed[0] - needed[1]) / (nearest[0] - nearest[1])
    return max(1, nearest[0] + math.floor((usable - needed[0]) / max(slope, 1)))


if __name__ == "__main__":
    run(define_flags, tool)
