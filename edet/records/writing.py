"""Writes examples into TFRecord shards: cleaned, in parallel, resumable, with a report.

Image i of an ExampleSet goes to shard i mod n, so that a shard is a fair sample of the set. Each
shard is written aside and renamed. `<prefix>.manifest.json` holds a fingerprint of the inputs of
each finished shard; a second run keeps the shards whose inputs are the same. The same inputs give
the same bytes.
"""

from __future__ import annotations

import concurrent.futures
import contextlib
import dataclasses
import functools
import hashlib
import itertools
import json
import math
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import rich.progress
import tensorflow as tf
import yaml

from edet.errors import UserError
from edet.files import content_of, read_text, reason, write_json, write_text, written_aside
from edet.image.sixteen_bits import brightest_value
from edet.image.transcode import BadImage, PlainImage, is_resized, make_plain
from edet.ownership import owned
from edet.records.masks import BadMask, encode_mask, load_mask
from edet.records.report import SIXTEEN_BITS, Report, nothing_read, refuse_nothing
from edet.records.schema import Example, Mask, box_areas, encode_example
from edet.records.sources.example_set import Source, Tally
from edet.terminal import Console

SHARD_BYTES = 100e6  # aimed at where the number of shards is left open
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
    if num_shards > num_images or num_shards < 0:
        raise UserError(
            f"--num_shards is {num_shards} for {num_images} images; give 1 to {num_images}, or 0 "
            "for shards of about 100 MB."
        )
    num_shards = num_shards or min(num_images, math.ceil(source.num_bytes() / SHARD_BYTES) or 1)
    paths = [f"{output}-{i:05d}-of-{num_shards:05d}.tfrecord" for i in range(num_shards)]
    with owned(f"{output}.lock", output, "a set of records", "use another --output"):
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
    others = set(tf.io.gfile.glob(f"{output}-?????-of-?????.tfrecord")) - set(shards)
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
            # A damaged manifest costs time, not correctness: every shard is written again.
            with contextlib.suppress(json.JSONDecodeError):
                self._shards = json.loads(read_text(self._path, "the manifest"))

    def finished(self, shard: Shard) -> Tally | None:
        """Returns the tally of a shard that is there and has the same inputs."""
        entry = self._shards.get(_basename(shard.path))
        if not entry or entry["fingerprint"] != shard.fingerprint:
            return None
        if not tf.io.gfile.exists(shard.path):
            return None
        if tf.io.gfile.stat(shard.path).length != entry["bytes"]:
            return None
        return Tally.from_json(entry["tally"])

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
    """Writes one shard in the order of its examples; images are prepared a window at a time."""
    total = Tally()
    prepare = functools.partial(prepare_record, labels=labels)
    with written_aside(path) as aside, tf.io.TFRecordWriter(aside) as writer:
        rest = iter(examples)
        while window := list(itertools.islice(rest, 64)):
            for record, tally in pool.map(prepare, window):
                if record is not None:
                    writer.write(record)
                total.add(tally)
                advance(1)
    return total


def prepare_record(example: Example, labels: dict[int, str]) -> tuple[bytes | None, Tally]:
    """Returns the record of one example, or None where the image cannot be used, and its tally."""
    tally = Tally()
    file = example.filename
    try:
        image = make_plain(content_of(example.image), example.height, example.width, example.stored)
    except BadImage as error:
        tally.image_problem(file, "dropped: unusable image", str(error))
        return None, tally
    except (OSError, tf.errors.OpError) as error:
        tally.image_problem(file, "dropped: image missing or unreadable", reason(error))
        return None, tally
    for change in image.changes:
        tally.image_problem(file, change)
    if example.mask is not None:
        try:
            mask = _plain_mask(example.mask, image.height, image.width)
        except BadMask as error:
            tally.image_problem(file, "dropped: unusable mask", str(error))
            return None, tally
        example = dataclasses.replace(example, mask=mask)
        tally.images["written with a mask"] += 1
    try:
        example = _fitted(example, image, tally)
    except BadImage as error:
        tally.image_problem(file, "dropped: annotated size does not fit", str(error))
        return None, tally
    example = _clean_boxes(example, labels, tally)
    if (brightest := brightest_value(image.encoded)) >= 0:
        tally.images[f"{SIXTEEN_BITS}{2 ** brightest.bit_length()}"] += 1
    tally.images["written"] += 1
    tally.images["written without boxes"] += not len(example.boxes)
    tally.boxes["written"] += len(example.boxes)
    tally.class_boxes.update(str(class_id) for class_id in example.class_ids)
    return encode_example(example, labels, image.format, image.turned), tally


def _fitted(example: Example, image: PlainImage, tally: Tally) -> Example:
    """Returns the example with the picture's real size and bytes, and boxes in its pixels.

    Pictures that were resized after they were annotated have their boxes scaled.

    Raises:
      BadImage: the annotated size is that of another picture.
    """
    size = image.height, image.width
    plain = dataclasses.replace(
        example, image=image.encoded, height=size[0], width=size[1], relative=False
    )
    sides = np.array([*size, *size], np.float32)
    if example.relative:
        boxes = example.boxes * sides
        is_own = np.isclose(example.areas, box_areas(example.boxes))  # others are in pixels
        areas = np.where(is_own, box_areas(boxes), example.areas)
        return dataclasses.replace(plain, boxes=boxes, areas=areas)
    annotated = example.height, example.width
    if -1 in annotated or annotated == size:
        return plain
    detail = f"annotated {annotated[1]}x{annotated[0]}, is {size[1]}x{size[0]}"
    if not is_resized(annotated, size):
        raise BadImage(f"{detail}: its boxes cannot be placed; annotate this file, or correct it")
    if max(abs(a - b) for a, b in zip(annotated, size, strict=True)) <= 1:
        tally.image_problem(
            example.filename, "annotated size is a pixel off (real one kept)", detail
        )
        return plain
    tally.image_problem(example.filename, "resized after annotation (boxes scaled)", detail)
    factors = size[0] / annotated[0], size[1] / annotated[1]
    return dataclasses.replace(
        plain,
        boxes=example.boxes * np.array(factors * 2, np.float32),
        areas=example.areas * np.float32(factors[0] * factors[1]),
    )


def _plain_mask(mask: Mask, height: int, width: int) -> Mask:
    """Returns a mask as records hold it: the bytes of a grey PNG.

    Raises:
      BadMask: it cannot be read, or is not as large as its image.
    """
    values = load_mask(mask)
    if values.shape != (height, width):
        found = f"{values.shape[1]}x{values.shape[0]}"
        raise BadMask(f"is {found}, its upright image {width}x{height}")
    return Mask(encode_mask(values))


def _clean_boxes(example: Example, labels: dict[int, str], tally: Tally) -> Example:
    """Clips the boxes to the image and drops those that are no boxes, with a count of each.

    A box that sticks out by a rounding error is clipped; the reference drops it.
    """
    boxes = example.boxes
    limit = np.array([example.height, example.width] * 2, np.float32)
    finite = np.isfinite(boxes).all(axis=1)
    known = np.array([class_id in labels for class_id in example.class_ids.tolist()], bool)
    clipped = np.clip(np.nan_to_num(boxes), 0, limit)
    faults = {
        "dropped: class not in the labels": ~known,
        "dropped: coordinates are not finite": ~finite,
        "dropped: zero-size box": (boxes[:, 2:] <= boxes[:, :2]).any(axis=1),
        "dropped: box outside the image": (clipped[:, 2:] <= clipped[:, :2]).any(axis=1),
    }
    good = np.ones(len(boxes), bool)
    for what, fault in faults.items():
        tally.box_problem(example.filename, what, np.sum(good & fault))
        good &= ~fault
    _name_repeated(example, tally)
    moved = good & (clipped != boxes).any(axis=1)
    tally.box_problem(example.filename, "clipped to the image", np.sum(moved))
    # Clipping changes the area of a box, but COCO's areas are those of masks inside the image.
    own = np.isclose(example.areas, box_areas(boxes))
    areas = np.where((own & moved) | ~(example.areas > 0), box_areas(clipped), example.areas)
    kept = dataclasses.replace(example, boxes=clipped, areas=areas)
    return dataclasses.replace(kept, **kept.keep(good))


def _name_repeated(example: Example, tally: Tally) -> None:
    """Reports boxes that are there twice; they stay, since whoever scores the file has them too."""
    rows = zip(example.class_ids.tolist(), map(tuple, example.boxes.tolist()), strict=True)
    repeated = len(example.boxes) - len(set(rows))
    tally.box_problem(example.filename, "the same box and class twice (kept)", repeated)


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
