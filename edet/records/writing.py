"""Writes examples into TFRecord shards: cleaned, in parallel, resumable, with a report.

Image i of an ExampleSet goes to shard i mod n, so that a shard is a fair sample of the set. Each
shard is written aside and renamed. `<prefix>.manifest.json` holds a fingerprint of the inputs of
each finished shard; a second run keeps the shards whose inputs are the same. The same inputs give
the same bytes.
"""

from __future__ import annotations

import concurrent.futures
import contextlib
import functools
import hashlib
import json
import math
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import rich.progress
import tensorflow as tf
import yaml

from edet.ahead import in_order
from edet.config.labels import read_labels
from edet.errors import UserError
from edet.files import read_bytes, write_json, write_text, written_aside
from edet.globs import glob_of
from edet.ownership import lock_beside, owned
from edet.records.preparing import prepare_record
from edet.records.report import Report, nothing_read, refuse_nothing
from edet.records.schema import Example
from edet.records.sources.example_set import Source, Tally
from edet.terminal import Console

SHARD_BYTES = 100e6  # aimed at where the number of shards is left open
_AHEAD = 64  # examples, whose pictures are in memory
_VERSION = 3  # of the bytes this module writes; a new one makes old fingerprints void


@dataclass(frozen=True)
class Shard:
    """One file of records."""

    path: str
    index: int
    count: int  # shards of the whole set
    fingerprint: str  # of what it is made of

    @classmethod
    def of(cls, source: Source, path: str, index: int, count: int) -> Shard:
        """Returns a shard of a source with the fingerprint of its inputs."""
        text = repr((_VERSION, source.labels, source.fingerprint(index, count)))
        return cls(path, index, count, hashlib.sha256(text.encode()).hexdigest())


# Writes shards of a source, wherever, and yields each with its tally when it is done.
WriteShards = Callable[[Source, Sequence[Shard]], Iterator[tuple[Shard, Tally]]]


def write_records(
    source: Source,
    output: str,
    num_shards: int = 0,
    workers: int = 0,
    progress: bool = False,
    write_shards: WriteShards | None = None,
) -> Report:
    """Writes `<output>-00000-of-000nn.tfrecord` and, beside them, what describes them.

    `<output>.labels.yaml` (id: name) fits `model.labels` and, where there are masks,
    `<output>.mask_labels.yaml` fits `model.segmentation.labels`; `<output>.report.json` lists by
    file what was dropped or changed; `<output>.manifest.json` lets a second run go on.

    Args:
      source: an ExampleSet or another Source.
      output: the prefix of all paths, such as "records/train"; gs:// works.
      num_shards: 0 makes shards of about 100 MB.
      workers: threads that read and check images; 0 takes one for each processor.
      progress: shows a bar with the time left.
      write_shards: writes the shards elsewhere, such as `records.beam.OnBeam`; None: in threads
        here.

    Raises:
      UserError: there is nothing to write, the place cannot be written, or shards of another
        set lie there.
    """
    num_images = len(source)
    if not num_images:
        raise nothing_read(source, output)
    read_labels(source.labels)  # before hours of work that no training would take
    if num_shards > num_images or num_shards < 0:
        raise UserError(
            f"--num_shards is {num_shards} for {num_images} images; give 1 to {num_images}, or 0 "
            "for shards of about 100 MB."
        )
    num_shards = num_shards or min(num_images, math.ceil(source.num_bytes() / SHARD_BYTES) or 1)
    paths = [f"{output}-{i:05d}-of-{num_shards:05d}.tfrecord" for i in range(num_shards)]
    with owned(lock_beside(output), output, "a set of records", "use another --output"):
        _refuse_other_shards(output, paths)
        shards = [Shard.of(source, path, index, num_shards) for index, path in enumerate(paths)]
        with _progress_bar(num_images, progress) as advance:
            write_shards = write_shards or functools.partial(
                _write_here, workers=workers, advance=advance
            )
            tallies, kept = _write_missing(source, output, shards, write_shards, advance)
        total = Tally()
        for tally in (source.tally, *tallies):
            total.add(tally)
        report = Report(paths, kept, source.labels, total)
        write_json(f"{output}.report.json", report.as_json())
        refuse_nothing(source, total, output)
        for name, labels in (("labels", source.labels), ("mask_labels", source.mask_labels)):
            if labels or name == "labels":
                write_text(f"{output}.{name}.yaml", yaml.safe_dump(labels, allow_unicode=True))
    return report


def _write_missing(
    source: Source, output: str, shards: Sequence[Shard], write_shards: WriteShards,
    advance: Callable[[int], None],
) -> tuple[list[Tally], int]:  # fmt: skip
    """Returns the tallies of all shards, and how many are kept from an earlier run."""
    manifest = _Manifest(output)
    finished = {shard: manifest.finished(shard) for shard in shards}
    missing = [shard for shard, tally in finished.items() if tally is None]
    advance(sum(_num_images(source, shard) for shard in set(shards) - set(missing)))
    try:
        for shard, tally in write_shards(source, missing):
            manifest.add(shard, tally)
            finished[shard] = tally
    except KeyboardInterrupt as stop:
        done = sum(tally is not None for tally in finished.values())
        stop.add_note(f"{done} of {len(shards)} shards are finished; the same command goes on.")
        raise
    return list(finished.values()), len(shards) - len(missing)


def _num_images(source: Source, shard: Shard) -> int:
    return len(range(shard.index, len(source), shard.count))


def _refuse_other_shards(output: str, shards: list[str]) -> None:
    """A glob over shards of two sets would train on both."""
    others = set(tf.io.gfile.glob(f"{glob_of(output)}-?????-of-?????.tfrecord")) - set(shards)
    if others:
        raise UserError(
            f"{min(others)} is a shard of another set (this one has {len(shards)}); delete "
            "it and its like, or choose another --output."
        )


class _Manifest:
    """The file that remembers finished shards."""

    def __init__(self, output: str):
        self._path = f"{output}.manifest.json"
        self._shards: dict[str, Any] = {}
        if tf.io.gfile.exists(self._path):
            content = read_bytes(self._path, "the manifest")
            # A damaged manifest costs time, not correctness: every shard is written again.
            with contextlib.suppress(TypeError, ValueError):
                self._shards = dict(json.loads(content))

    def finished(self, shard: Shard) -> Tally | None:
        """Returns the tally of a shard that is there and has the same inputs."""
        # So does a damaged entry.
        with contextlib.suppress(AttributeError, KeyError, TypeError, ValueError):
            entry = self._shards[_basename(shard.path)]
            is_same = entry["fingerprint"] == shard.fingerprint and tf.io.gfile.exists(shard.path)
            if is_same and tf.io.gfile.stat(shard.path).length == entry["bytes"]:
                return Tally.from_json(entry["tally"])
        return None

    def add(self, shard: Shard, tally: Tally) -> None:
        """Notes a finished shard on disk."""
        self._shards[_basename(shard.path)] = {
            "fingerprint": shard.fingerprint,
            "bytes": tf.io.gfile.stat(shard.path).length,
            "tally": tally.as_json(),
        }
        write_json(self._path, self._shards)


def _basename(path: str) -> str:
    return path.rsplit("/", 1)[-1]


def _write_here(
    source: Source, shards: Sequence[Shard], workers: int, advance: Callable[[int], None]
) -> Iterator[tuple[Shard, Tally]]:
    """Writes one shard after another, each with all threads."""
    with concurrent.futures.ThreadPoolExecutor(workers or os.cpu_count()) as pool:
        for shard in shards:
            examples = source.shard(shard.index, shard.count)
            yield shard, write_shard(shard.path, examples, source.labels, pool, advance)


def write_shard(
    path: str,
    examples: Iterable[Example],
    labels: dict[int, str],
    pool: concurrent.futures.Executor,
    advance: Callable[[int], None] = lambda _: None,
) -> Tally:
    """Writes one shard in the order of its examples; images are prepared ahead of it."""
    total = Tally()
    prepare = functools.partial(prepare_record, labels=labels)
    with written_aside(path) as aside, tf.io.TFRecordWriter(aside) as writer:
        for record, tally in in_order(pool, prepare, examples, _AHEAD):
            if record is not None:
                writer.write(record)
            total.add(tally)
            advance(1)
    return total


@contextlib.contextmanager
def _progress_bar(total: int, shown: bool) -> Iterator[Callable[[int], None]]:
    """Yields a function that moves the bar on by a number of images."""
    columns = (
        rich.progress.TextColumn("{task.description}"),
        rich.progress.BarColumn(),
        rich.progress.MofNCompleteColumn(),
        rich.progress.TimeRemainingColumn(),
    )
    with rich.progress.Progress(*columns, console=Console(), disable=not shown) as bar:
        task = bar.add_task("Writing records", total=total)
        yield functools.partial(bar.advance, task)
