"""Compiles a step of edet for a TPU, without one, and says what memory it takes and why.

  .venv-tpu/bin/python -m tpu.compile_check --model=efficientdet-d0 --topology=v3:2x2 --replicas=8 \
      --batch_size=32

`make tpu-env` makes the environment. --model, --config and --set are those of main.py; bfloat16 is
the default, as on a TPU. --memory_only says whether it fits, and nothing of the work, in a fifth of
the time.

Exit code 1: the step was refused. 2: a mistake in the flags or settings. 75: it is not known,
because the compiler was killed, most likely for lack of memory, or failed.
"""

from __future__ import annotations

import contextlib
import json
import multiprocessing
import pathlib
import re
import signal
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from importlib import metadata
from typing import Any

from absl import flags

from edet.cli.common import run
from edet.config.loading import load_config
from edet.config.schema import Config
from edet.errors import UserError
from edet.files import write_json
from edet.runtime.devices import check_batch_size
from tpu.compile_check.emit import Emitted, emit
from tpu.compile_check.report import Row, batch_key, describe, make_row

PACKAGES = ("tensorflow-tpu", "libtpu", "jaxlib", "keras")
_COMPILER = (sys.executable, "-m", "tpu.compile_check.compile")
_LACK_OF_MEMORY = (
    "probably for lack of memory (a step of D0 takes 9 GiB, one of D7x more than 32); add swap or "
    "close other programs, and try again."
)


class CompilerCrashed(UserError):
    """The compiler was killed, or failed: whether it takes the step is not known.

    Lack of memory may pass by itself, so the exit code is that of sysexits.h for a temporary
    failure.
    """

    exit_code = 75


def define_flags(values: flags.FlagValues) -> None:
    """Defines the tool's flags."""
    flags.DEFINE_string("model", None, "A model's name.", flag_values=values)
    flags.DEFINE_string("config", None, "YAML of the experiment.", flag_values=values)
    flags.DEFINE_multi_string("set", [], "section.key=value.", flag_values=values)
    flags.DEFINE_enum("step", "train", ("train", "eval"), "What to compile.", flag_values=values)
    flags.DEFINE_string(
        "topology", "v3:2x2", "Chips: v3:4x4 (2 cores each), v5e:4x8 (1).", flag_values=values
    )
    flags.DEFINE_integer("replicas", 8, "Cores that share the batch.", 1, flag_values=values)
    flags.DEFINE_integer(
        "batch_size", 0, "Images of a step over all cores; 0: as configured.", 0, flag_values=values
    )
    flags.DEFINE_bool("remat", None, "Sets train.remat.", flag_values=values)
    flags.DEFINE_bool(
        "memory_only", False, "Stops when the memory has been given out.", flag_values=values
    )
    flags.DEFINE_string("output", "", "JSON file for the result.", flag_values=values)


def tool(options: flags.FlagValues) -> None:
    """Compiles, prints the result and writes it."""
    config = configured(
        options.model, options.config, options.set, options.batch_size, options.remat
    )
    row = check(config, options.step, options.topology, options.replicas, options.memory_only)
    print(describe(row))
    if options.output:
        write_json(options.output, row)
    if not row["compiled"]:
        raise SystemExit(1)


def configured(
    model: str | None, path: str | None, settings: list[str], batch_size: int, remat: bool | None
) -> Config:
    """Returns the configuration; the batch size is that of training and of evaluation."""
    settings = list(settings)
    if batch_size:
        settings += [f"data.batch_size={batch_size}", f"data.eval_batch_size={batch_size}"]
    if remat is not None:
        settings.append(f"train.remat={str(remat).lower()}")
    return load_config(model, path, settings)


def check(
    config: Config, step: str, topology: str, replicas: int, memory_only: bool = False
) -> Row:
    """Compiles one step and returns what came out of it.

    Args:
      config: the batch size of the step is that of all replicas.
      step: "train" or "eval".
      topology: chips, by the name that libtpu has for them.
      replicas: cores that share the batch.
      memory_only: stops when the compiler has given out the memory, long before it is done.

    Raises:
      UserError: this is not the environment for it, the cores cannot share the batch, or the
        topology is unknown or too small.
      CompilerCrashed: it was killed, or failed.
    """
    check_batch_size(config, replicas, [batch_key(step)])
    versions = installed_versions()
    start = time.monotonic()
    emitted = _lower(config, step, replicas)
    seconds = time.monotonic() - start
    job = {"topology": topology, "replicas": replicas}
    with tempfile.TemporaryDirectory() as folder:
        place = pathlib.Path(folder)
        (place / "step.hlo").write_bytes(emitted.hlo)
        text = json.dumps(job | {"donated": emitted.donated, "dump": memory_only})
        (place / "job.json").write_text(text)
        answer, program = _compile(place)
    if "unknown_topology" in answer:
        raise UserError(f"--topology={topology} is not known: {answer['unknown_topology']}")
    if replicas > answer["cores"]:
        raise UserError(
            f"--replicas={replicas}, but --topology={topology} has {answer['cores']} cores; use "
            "fewer, or a larger one such as v3:4x4 or v5e:4x8."
        )
    row = make_row(
        config, step, job | {"precision": emitted.precision}, answer, program, emitted.layers
    )
    date = time.strftime("%Y-%m-%d")
    return row | {"emit_seconds": round(seconds), "date": date, "versions": versions}


def installed_versions() -> dict[str, str]:
    """Returns the versions that the numbers depend on.

    Raises:
      UserError: this Python does not have them.
    """
    try:
        return {name: metadata.version(name) for name in PACKAGES}
    except metadata.PackageNotFoundError as error:
        raise UserError(
            f"the compile check needs {error.name}, which is not here; run `make tpu-env` and use "
            ".venv-tpu/bin/python."
        ) from error


def _lower(config: Config, step: str, replicas: int) -> Emitted:
    """Runs `emit` in a process of its own: the compiler needs the memory TensorFlow would keep."""
    with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as pool:
        try:
            return pool.submit(emit, config, step, replicas).result()
        except BrokenProcessPool as error:
            if error.__cause__:  # it raised what cannot be handed over, and was not killed
                raise
            raise CompilerCrashed(
                f"the process that lowers the step died, {_LACK_OF_MEMORY}"
            ) from error


def _compile(place: pathlib.Path) -> tuple[dict[str, Any], str]:
    """Runs the compiler on the job in a folder; returns its answer and the program.

    It runs in a process of its own, whose end is the only way to stop it: with the job's "dump" it
    is ended as soon as its account of the memory lies there. What it prints is noise, unless it
    fails.
    """
    start = time.monotonic()
    with (
        (place / "log.txt").open("w") as log,
        subprocess.Popen([*_COMPILER, str(place)], stdout=log, stderr=log) as compiler,
    ):
        given_out = None
        while given_out is None and compiler.poll() is None:
            with contextlib.suppress(subprocess.TimeoutExpired):
                compiler.wait(1)
            given_out = _given_out(place / "dump")
        if given_out:
            compiler.kill()
    if compiler.returncode and not given_out:
        raise CompilerCrashed(_ending(compiler.returncode, place / "log.txt"))
    answer = json.loads((place / "answer.json").read_text())
    if given_out and "seconds" not in answer:
        (program,) = (place / "dump").glob("*.after_optimizations.txt")
        answer |= {"given_out": given_out, "seconds": time.monotonic() - start}
    else:
        program = place / "program.txt"
    return answer, program.read_text() if program.exists() else ""


def _ending(code: int, log: pathlib.Path) -> str:
    """Says how the compiler ended, and if the kernel has not killed it, what it said last."""
    if code == -signal.SIGKILL:
        return f"the compiler was killed by signal 9, {_LACK_OF_MEMORY}"
    end = f"was killed by signal {-code}" if code < 0 else f"ended with exit code {code}"
    return f"the compiler {end}; it said last:\n{log.read_text(errors='replace')[-4000:]}"


def _given_out(dump: pathlib.Path) -> int | None:
    """Returns the bytes of HBM by the compiler's account of them, None as long as there is none."""
    for report in dump.glob("*-memory-usage-report.txt"):
        if found := re.match(r"Total bytes used: (\d+) ", report.read_text()):
            return int(found.group(1))
    return None


if __name__ == "__main__":
    run(define_flags, tool)
