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
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import rich.progress
import tensorflow as tf
import yaml
from rich.table import Table

from edet.data.examples import Example, box_areas, encode_example
from edet.data.plain_image import BadImage, make_plain
from edet.data.sources import Source, Tally
from edet.errors import UserError
from edet.files import read_text, reason, write_json, write_text, written_aside

SHARD_BYTES = 100e6  # aimed at where the number of shards is left open
_VERSION = 1  # of the bytes this module writes; a new one makes old fingerprints void


@dataclass(frozen=True)
class Report:
    """What `write_records` has written."""

    shards: list[str]
    kept: int  # shards of an earlier run, left as they were
    labels: dict[int, str]
    tally: Tally

    def as_json(self) -> dict[str, Any]:
        """Returns the report as the JSON file holds it."""
        tally = self.tally.as_json()
        boxes = tally.pop("class_boxes")
        classes = [
            {"id": class_id, "name": name, "boxes": boxes.get(str(class_id), 0)}
            for class_id, name in self.labels.items()
        ]
        problems = tally.pop("problems")
        return {"shards": self.shards, **tally, "classes": classes, "problems": problems}

    def tables(self) -> list[Table]:
        """Returns the figures as tables for rich."""
        counts = Table("", "images", "boxes", title="What became of the data")
        tally = self.tally
        for what in sorted({*tally.images, *tally.boxes}, key=lambda w: (w != "written", w)):
            row = (tally.images.get(what, ""), tally.boxes.get(what, ""))
            counts.add_row(what, *(f"{n:,}" if n != "" else "" for n in row))
        classes = Table("id", "class", "boxes", title="Boxes written")
        for class_id, name in self.labels.items():
            classes.add_row(str(class_id), name, f"{tally.class_boxes.get(str(class_id), 0):,}")
        return [counts, classes, tally.problem_table("in the .report.json")]


def write_records(
    source: Source,
    output: str,
    num_shards: int = 0,
    workers: int = 0,
    progress: bool = False,
) -> Report:
    """Writes `<output>-00000-of-000nn.tfrecord` and, beside them, what describes them.

    `<output>.labels.yaml` (id: name) fits `model.labels`; `<output>.report.json` lists by file
    what was dropped or changed; `<output>.manifest.json` lets a second run go on.

    Args:
      source: an ExampleSet or another Source.
      output: the prefix of all paths, such as "records/train"; gs:// works.
      num_shards: 0 makes shards of about 100 MB.
      workers: threads that read and check images; 0 takes one for each processor.
      progress: shows a bar with the time left.

    Raises:
      UserError: there is nothing to write, the place cannot be written, or shards of another
        set lie there.
    """
    num_images = len(source)
    if not num_images:
        raise UserError(f"there are no images to write to {output}; check the annotations.")
    if num_shards > num_images or num_shards < 0:
        raise UserError(
            f"--num_shards is {num_shards} for {num_images} images; give 1 to {num_images}, or 0 "
            "for shards of about 100 MB."
        )
    num_shards = num_shards or min(num_images, math.ceil(source.num_bytes() / SHARD_BYTES) or 1)
    shards = [f"{output}-{i:05d}-of-{num_shards:05d}.tfrecord" for i in range(num_shards)]
    _refuse_strangers(output, shards)
    manifest = _Manifest(output)
    total, kept = Tally(), 0
    total.add(source.tally)
    with (
        concurrent.futures.ThreadPoolExecutor(workers or os.cpu_count()) as pool,
        _progress_bar(num_images, progress) as advance,
    ):
        for index, shard in enumerate(shards):
            fingerprint = _fingerprint(source, index, num_shards)
            tally = manifest.finished(shard, fingerprint)
            if tally is None:
                examples = source.shard(index, num_shards)
                tally = _write_shard(shard, examples, source.labels, pool, advance)
                manifest.add(shard, fingerprint, tally)
            else:
                kept += 1
                advance(len(range(index, num_images, num_shards)))
            total.add(tally)
    report = Report(shards, kept, source.labels, total)
    write_json(f"{output}.report.json", report.as_json())
    if not total.images["written"]:
        raise UserError(f"no image could be written; {output}.report.json says why, by file.")
    write_text(f"{output}.labels.yaml", yaml.safe_dump(source.labels, allow_unicode=True))
    return report


def _fingerprint(source: Source, index: int, num_shards: int) -> str:
    text = repr((_VERSION, source.labels, source.fingerprint(index, num_shards)))
    return hashlib.sha256(text.encode()).hexdigest()


def _refuse_strangers(output: str, shards: list[str]) -> None:
    """A glob over shards of two sets would train on both."""
    strangers = set(tf.io.gfile.glob(f"{output}-?????-of-?????.tfrecord")) - set(shards)
    if strangers:
        raise UserError(
            f"{min(strangers)} is a shard of another set (this one has {len(shards)}); delete "
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

    def finished(self, shard: str, fingerprint: str) -> Tally | None:
        """Returns the tally of a shard that is there and has the same inputs."""
        entry = self._shards.get(_basename(shard))
        if not entry or entry["fingerprint"] != fingerprint or not tf.io.gfile.exists(shard):
            return None
        if tf.io.gfile.stat(shard).length != entry["bytes"]:
            return None
        return Tally.from_json(entry["tally"])

    def add(self, shard: str, fingerprint: str, tally: Tally) -> None:
        """Notes a finished shard on disk."""
        self._shards[_basename(shard)] = {
            "fingerprint": fingerprint,
            "bytes": tf.io.gfile.stat(shard).length,
            "tally": tally.as_json(),
        }
        write_json(self._path, self._shards)


def _basename(path: str) -> str:
    return path.rsplit("/", 1)[-1]


def _write_shard(
    path: str,
    examples: Iterable[Example],
    labels: dict[int, str],
    pool: concurrent.futures.Executor,
    advance: Callable[[int], None],
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
        image = make_plain(_read_image(example.image), example.height, example.width)
    except BadImage as error:
        tally.image_problem(file, "dropped: unusable image", str(error))
        return None, tally
    except (OSError, tf.errors.OpError) as error:
        tally.image_problem(file, "dropped: image missing or unreadable", reason(error))
        return None, tally
    for change in image.changes:
        tally.image_problem(file, change)
    annotated = (example.height, example.width)
    if -1 not in annotated and annotated != (image.height, image.width):
        detail = f"annotated {annotated[1]}x{annotated[0]}, is {image.width}x{image.height}"
        tally.image_problem(file, "annotated size is wrong (real one kept)", detail)
    example = dataclasses.replace(
        example, image=image.encoded, height=image.height, width=image.width
    )
    example = _clean_boxes(example, labels, tally)
    tally.images["written"] += 1
    tally.images["written without boxes"] += not len(example.boxes)
    tally.boxes["written"] += len(example.boxes)
    tally.class_boxes.update(str(class_id) for class_id in example.class_ids)
    return encode_example(example, labels, image.format), tally


def _read_image(image: str | bytes) -> bytes:
    if isinstance(image, bytes):
        return image
    with tf.io.gfile.GFile(image, "rb") as file:
        return file.read()


def _clean_boxes(example: Example, labels: dict[int, str], tally: Tally) -> Example:
    """Clips the boxes to the image and drops those that are no boxes, with a count of each.

    A box that sticks out by a rounding error is clipped; the reference drops it.
    """
    boxes = example.boxes
    limit = np.array([example.height, example.width] * 2, np.float32)
    finite = np.isfinite(boxes).all(axis=1)
    known = np.isin(example.class_ids, list(labels))
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
    moved = good & (clipped != boxes).any(axis=1)
    tally.box_problem(example.filename, "clipped to the image", np.sum(moved))
    # Clipping changes the area of a box, but COCO's areas are those of masks inside the image.
    own = np.isclose(example.areas, box_areas(boxes))
    areas = np.where((own & moved) | ~(example.areas > 0), box_areas(clipped), example.areas)
    kept = dataclasses.replace(example, boxes=clipped, areas=areas)
    return dataclasses.replace(kept, **kept.keep(good))


@contextlib.contextmanager
def _progress_bar(total: int, shown: bool) -> Iterator[Callable[[int], None]]:
    """Yields a function that moves the bar on by a number of images."""
    columns = (
        rich.progress.TextColumn("{task.description}"),
        rich.progress.BarColumn(),
        rich.progress.MofNCompleteColumn(),
        rich.progress.TimeRemainingColumn(),
    )
    with rich.progress.Progress(*columns, disable=not shown) as bar:
        task = bar.add_task("Writing records", total=total)
        yield functools.partial(bar.advance, task)
