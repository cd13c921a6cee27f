"""Damaged input in numbers for every reader: no crash, no hang, no traceback, memory within bounds.

  python -m tools.checks.fuzz --seed=1 --pictures=100000 --texts=10000

Small pictures (JPEG, PNG, GIF, BMP, WebP), TFRecords, COCO files, label maps and a file of a data
set as an annotation tool wrote it are damaged at random. Pictures go through decoding, through what
writes records, and through a SavedModel, which must agree; the rest through its reader. Each must
give a result, or say in a sentence why not. A process of its own works on each kind, so that a
crash is told with the number of its input; the seed and that number make the input again, so none
is kept. The figures are written while it works, and the same command goes on where it was stopped.
"""

from __future__ import annotations

import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import contextlib
import dataclasses
import math
import multiprocessing
import multiprocessing.connection
import pathlib
import resource
import shutil
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TextIO

import rich
import rich.table
import tensorflow as tf
from absl import flags

from edet.cli.common import run
from edet.config.labels import read_labels
from edet.config.schema import Config, replace
from edet.dataset_check.check import read_set
from edet.errors import UserError
from edet.evaluation.coco import evaluate_json
from edet.export.saved_model import export_saved_model
from edet.files import read_json, write_json
from edet.image.decode import decode_image
from edet.image.transcode import BadImage, make_plain
from edet.models.efficientdet import build_network
from edet.records.shards import check_records
from edet.records.sources.coco import read_coco
from edet.records.sources.formats import open_folder
from edet.records.writing import write_records
from edet.signals import running
from tools.checks.damage import COCO, PICTURES, SETS, TEXTS, damaged

_PATIENCE = 120  # seconds for one step; a large picture takes two
_MOST_MEMORY = 3072  # MiB above that of the first inputs; one picture within limits takes half
_AT_ONCE = 16  # pictures in a request to the SavedModel


def define_flags(values: flags.FlagValues) -> None:
    """Defines the flags of the check."""
    flags.DEFINE_string("output", "runs/fuzz.json", "Where the figures go.", flag_values=values)
    flags.DEFINE_integer("seed", 1, "Of the damage.", 0, flag_values=values)
    flags.DEFINE_integer("pictures", 100_000, "Pictures, of all formats.", 0, flag_values=values)
    flags.DEFINE_integer(
        "texts", 10_000, "TFRecords, COCO files, label maps, data sets.", 0, flag_values=values
    )


@dataclass
class Figures:
    """What became of the inputs of one kind."""

    kind: str
    inputs: int = 0
    read: int = 0
    refused: int = 0
    faults: list[str] = field(default_factory=list)
    memory: int = 0  # MiB at most above that of the first inputs
    seconds: float = 0.0


Check = Callable[[list[bytes]], list[bool]]  # whether each was read; errors are faults


def fuzz(options: flags.FlagValues) -> None:
    """Works on all kinds, one after another, and tells what it has seen."""
    share = math.ceil(options.pictures / len(PICTURES))
    wanted = dict.fromkeys(PICTURES, share) | dict.fromkeys(TEXTS, options.texts)
    progress = Progress(options.output, options.seed)
    found = [progress.of(kind) for kind, count in wanted.items() if count]
    with tempfile.TemporaryDirectory() as folder:
        model = os.path.join(folder, "model")
        if options.pictures:
            with multiprocessing.get_context("spawn").Pool(1) as pool:
                model = pool.apply(save_model, [model])
        for figures in found:
            watch(figures, wanted[figures.kind], options.seed, progress.save, model)
    columns = ("kind", "inputs", "read", "refused", "faults", "memory", "seconds")
    table = rich.table.Table(*columns, title=f"Damaged inputs, seed {options.seed}")
    for figures in found:
        row = {**vars(figures), "faults": len(figures.faults), "seconds": round(figures.seconds)}
        table.add_row(*(f"{row[name]:,}" if name != "kind" else figures.kind for name in columns))
    rich.print(table)
    if faults := [fault for figures in found for fault in figures.faults]:
        raise UserError(f"{len(faults)} faults, in {options.output}; the first: {faults[0]}")


class Progress:
    """The figures so far, in a file that is begun anew with another seed."""

    def __init__(self, path: str, seed: int):
        self._path, self._seed, self._saved = path, seed, time.monotonic()
        found = read_json(path, "figures") if os.path.exists(path) else {}
        rows = found["kinds"] if isinstance(found, dict) and found.get("seed") == seed else []
        self._kinds = {row["kind"]: Figures(**row) for row in rows}

    def of(self, kind: str) -> Figures:
        """Returns the figures of a kind, which the caller adds to."""
        return self._kinds.setdefault(kind, Figures(kind))

    def save(self, is_over: bool = False) -> None:
        """Writes the file, but not more often than twice a minute while the work goes on."""
        if is_over or time.monotonic() > self._saved + 30:
            self._saved = time.monotonic()
            kinds = [dataclasses.asdict(figures) for figures in self._kinds.values()]
            write_json(self._path, {"seed": self._seed, "kinds": kinds})


def watch(
    figures: Figures, count: int, seed: int, save: Callable[..., None], model: str = ""
) -> None:
    """Damages and reads inputs up to `count` in other processes, a new one after each crash."""
    spawn = multiprocessing.get_context("spawn")
    with tempfile.NamedTemporaryFile("r", errors="replace") as words:
        while figures.inputs < count:
            ours, theirs = spawn.Pipe()
            place = (figures.kind, seed, figures.inputs, count, model)
            worker = spawn.Process(target=_work, args=(theirs, words.name, *place))
            with running(worker):
                theirs.close()
                _listen(ours, worker, figures, words, save)
            save(is_over=True)


def _listen(
    answers: multiprocessing.connection.Connection, worker: multiprocessing.Process,
    figures: Figures, words: TextIO, save: Callable[..., None],
) -> None:  # fmt: skip
    """Adds what a worker says of each step, and what its end was."""
    step, began = 0, time.monotonic()
    try:
        while answers.poll(_PATIENCE):
            message = answers.recv()
            if isinstance(message, int):  # about to begin with so many inputs
                step = message
                continue
            read, refused, faults, memory = message
            figures.read, figures.refused = figures.read + read, figures.refused + refused
            figures.faults += faults
            if memory > max(_MOST_MEMORY, figures.memory):
                figures.faults.append(f"{figures.kind} {figures.inputs}: {memory} MiB of memory")
            figures.memory = max(figures.memory, memory)
            figures.inputs += step
            figures.seconds, began = figures.seconds + time.monotonic() - began, time.monotonic()
            save()
        worker.kill()
        what = f"no answer for {_PATIENCE} s"
    except EOFError:  # it is done, or gone
        worker.join()
        if worker.exitcode == 0:
            return
        what = f"the process ended with code {worker.exitcode}"
    words.seek(0)
    said = " ".join(words.read()[-300:].split())
    if not step:
        raise UserError(f"the process that reads {figures.kind} did not begin: {what} ({said}).")
    last = figures.inputs + step - 1
    figures.faults.append(f"{figures.kind} {figures.inputs} to {last}: {what} ({said})")
    figures.inputs += step


def _work(
    answers: multiprocessing.connection.Connection, words: str, kind: str, seed: int, first: int,
    count: int, model: str,
) -> None:  # fmt: skip
    # libjpeg alone has a line on nearly every input; the last ones before a crash are told.
    os.dup2(os.open(words, os.O_WRONLY | os.O_TRUNC), 2)
    step = _AT_ONCE if kind in PICTURES else 1
    with tempfile.TemporaryDirectory() as folder, open(os.devnull, "w") as nothing:
        check = checker(kind, folder, model)
        before = 0
        for number in range(first, count, step):
            numbers = range(number, min(number + step, count))
            inputs = [damaged(kind, seed, each) for each in numbers]
            answers.send(len(inputs))
            faults, read = [], []
            try:
                with contextlib.redirect_stdout(nothing), contextlib.redirect_stderr(nothing):
                    read = check(inputs)
            except Exception as error:  # What a check lets through is what this tool looks for.
                words = " ".join(f"{type(error).__name__}: {error}".split())[:300]
                faults.append(f"{kind} {number} to {numbers[-1]}: {words}")
            peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss >> 10
            before = before or peak
            answers.send((sum(read), len(read) - sum(read), faults, peak - before))


def checker(kind: str, folder: str, model: str = "") -> Check:
    """Returns what reads inputs of a kind; `model` is a SavedModel, or "" for none."""
    if kind in PICTURES:
        served = tf.saved_model.load(model).signatures["tolerant"] if model else None
        decode = tf.function(decode_image, input_signature=[tf.TensorSpec([], tf.string)])
        return lambda inputs: _check_pictures(inputs, decode, served)
    if kind == "sets":
        root = shutil.copytree(SETS, os.path.join(folder, "sets"))
        return lambda inputs: [_is_set_read(data, root) for data in inputs]
    path = os.path.join(folder, "input")
    sound = os.path.join(folder, "sound.json")
    write_json(sound, COCO)
    readers = {
        "records": [_read_records],
        "coco": [
            lambda path: read_coco(path, "pictures"),
            lambda path: evaluate_json(path, sound),
            lambda path: evaluate_json(sound, path),
        ],
        "labels": [read_labels],
    }[kind]

    def check(inputs: list[bytes]) -> list[bool]:
        found = []
        for data in inputs:
            with open(path, "wb") as file:
                file.write(data)
            outcomes = [_is_read(read, path) for read in readers]
            found.append(all(outcomes))
        return found

    return check


def _check_pictures(inputs: list[bytes], decode: Callable, served: Callable | None) -> list[bool]:
    decoded = []
    for data in inputs:
        with contextlib.suppress(BadImage):
            make_plain(data)
        try:
            decode(data)
            decoded.append(True)
        except tf.errors.InvalidArgumentError:
            decoded.append(False)
    if served:
        answered = served(image_bytes=tf.constant(inputs))["decoded"].numpy().tolist()
        if answered != decoded:
            raise AssertionError(f"decoded {decoded}, the SavedModel {answered}")
    return decoded


def _is_read(read: Callable[[str], object], path: str) -> bool:
    try:
        read(path)
    except UserError as error:
        if "\n" in str(error).strip():
            raise AssertionError(f"more than a sentence: {error}") from error
        return False
    return True


def _is_set_read(data: bytes, root: str) -> bool:
    """Reads a data set of which one file is damaged, and writes its records."""
    name, _, content = data.partition(b"\0")
    path = pathlib.Path(root, name.decode())
    whole = path.read_bytes()
    try:
        path.write_bytes(content)
        return _is_read(_write_set, os.path.join(root, path.relative_to(root).parts[0]))
    finally:
        path.write_bytes(whole)


def _write_set(folder: str) -> None:
    for examples in open_folder(folder, log=lambda _: None).values():
        write_records(examples, os.path.join(os.path.dirname(folder), "records"))


def _read_records(path: str) -> None:
    found = read_set([path], {1: "cat", 2: "dog"}, "data.train_records")
    if not found.tally.problems:
        check_records([path], [1, 2], every_record=True)


def save_model(folder: str) -> str:
    """Writes the SavedModel of an untrained small network and returns where."""
    small = {
        "image_size": 64, "backbone": "efficientnet-w0.35-d0.3", "max_level": 5, "num_classes": 3,
        "pyramid_width": 16, "pyramid_repeats": 1, "head_repeats": 1,
    }  # fmt: skip
    config = replace(Config(), model=small)
    return export_saved_model(build_network(config.model), config, folder)


if __name__ == "__main__":
    run(define_flags, fuzz)
