"""What a reader of annotations returns: examples in shards, labels, and what it had to drop."""

from __future__ import annotations

import concurrent.futures
import dataclasses
import functools
import hashlib
import itertools
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np
import tensorflow as tf
from rich.markup import escape
from rich.table import Table

from edet.records.schema import Example

_SHOWN = 20  # problems in a table; a JSON file holds all


@dataclass
class Tally:
    """What became of some images and boxes. Counts are by what happened."""

    images: Counter[str] = field(default_factory=Counter)
    boxes: Counter[str] = field(default_factory=Counter)
    class_boxes: Counter[str] = field(default_factory=Counter)  # {str(class id): boxes written}
    problems: list[dict[str, Any]] = field(default_factory=list)  # file, what, and count of boxes

    def image_problem(self, file: str, what: str, detail: str = "") -> None:
        """Notes one image that was dropped or changed."""
        self.images[what] += 1
        self.problems.append({"file": file, "what": what, "detail": detail})

    def box_problem(self, file: str, what: str, count: int = 1, detail: str = "") -> None:
        """Notes boxes of one image that were dropped or changed."""
        if count:
            self.boxes[what] += int(count)
            problem = {"file": file, "what": what, "boxes": int(count)}
            self.problems.append(problem | ({"detail": detail} if detail else {}))

    def add(self, other: Tally) -> None:
        """Adds the figures of another part of the set."""
        self.images.update(other.images)
        self.boxes.update(other.boxes)
        self.class_boxes.update(other.class_boxes)
        self.problems += other.problems

    def as_json(self) -> dict[str, Any]:
        """Returns the four fields as plain dicts and lists."""
        fields = ("images", "boxes", "class_boxes")
        return {name: dict(getattr(self, name)) for name in fields} | {"problems": self.problems}

    def problem_table(self, rest: str) -> Table:
        """The first problems by file; what was dropped comes before what was changed.

        Args:
          rest: where a person finds all of them.
        """
        problems = sorted(self.problems, key=lambda p: not p["what"].startswith("dropped"))
        shown = Table("file", "what", "boxes", "detail", title="By file")
        for problem in problems[:_SHOWN]:
            boxes, detail = str(problem.get("boxes", "")), problem.get("detail", "")
            shown.add_row(escape(problem["file"]), problem["what"], boxes, escape(detail))
        if len(problems) > _SHOWN:
            shown.add_row(f"and {len(problems) - _SHOWN:,} more", rest, "", "")
        return shown

    @classmethod
    def from_json(cls, value: dict[str, Any]) -> Tally:
        """Returns the tally that `as_json` described."""
        counts = (Counter(value[name]) for name in ("images", "boxes", "class_boxes"))
        return cls(*counts, value["problems"])


class Source(Protocol):
    """A data set that can be read shard by shard."""

    labels: dict[int, str]
    mask_labels: dict[int, str]  # {value of the masks: name}; {} where there are no masks
    tally: Tally  # what was dropped while the annotations were read

    def __len__(self) -> int:
        """Images."""

    def num_bytes(self) -> int:
        """Bytes of all encoded images, about."""

    def shard(self, index: int, num_shards: int) -> Iterable[Example]:
        """The examples of one shard, in order."""

    def fingerprint(self, index: int, num_shards: int) -> str:
        """Changes whenever an example of the shard would."""


class ExampleSet:
    """A Source whose annotations are in memory; its images may be files."""

    def __init__(
        self, examples: Sequence[Example], labels: dict[int, str], tally: Tally | None = None,
        mask_labels: dict[int, str] | None = None,
    ):  # fmt: skip
        self.examples = examples
        self.labels = dict(sorted(labels.items()))
        self.mask_labels = dict(sorted((mask_labels or {}).items()))
        self.tally = tally or Tally()

    def __len__(self) -> int:
        return len(self.examples)

    def shuffled(self) -> ExampleSet:
        """Returns the set in an order that has nothing to do with that of the annotations.

        Annotations often come by class, video or date, and training shuffles only within
        `data.shuffle_buffer`. Hashes of the names make the order: it is the same everywhere, and
        adding a picture moves no two others past each other.
        """
        examples = sorted(self.examples, key=_hash_of_name)
        return type(self)(examples, self.labels, self.tally, self.mask_labels)

    def of_stored_pixels(self, stored: bool) -> ExampleSet:
        """Returns the set with boxes of stored, or of displayed pixels, whatever the sizes tell."""
        examples = [dataclasses.replace(example, stored=stored) for example in self.examples]
        return type(self)(examples, self.labels, self.tally, self.mask_labels)

    @functools.cached_property
    def _stamps(self) -> list[tuple[int, int]]:
        """(bytes, time of change) of each image."""
        return stamps_of(example.image for example in self.examples)

    @functools.cached_property
    def _mask_stamps(self) -> list[tuple[int, int]]:
        masks = (example.mask for example in self.examples)
        return stamps_of(mask.file if mask else b"" for mask in masks)

    def num_bytes(self) -> int:
        """Bytes of all encoded images; missing files count as none."""
        return sum(size for size, _ in self._stamps)

    def shard(self, index: int, num_shards: int) -> Sequence[Example]:
        """Every num_shards-th example from `index` on."""
        return self.examples[index::num_shards]

    def fingerprint(self, index: int, num_shards: int) -> str:
        """Hash of the annotations and of the images' paths, sizes and times of change."""
        digest = hashlib.sha256()
        shard = self.examples[index::num_shards]
        for example, stamp in zip(shard, self._mask_stamps[index::num_shards], strict=True):
            if example.mask is not None:
                digest.update(repr((example.mask, stamp)).encode())
        for example, stamp in zip(shard, self._stamps[index::num_shards], strict=True):
            arrays = (example.boxes, example.class_ids, example.is_crowd, example.areas)
            image = example.image if isinstance(example.image, bytes) else example.image.encode()
            texts = (
                example.source_id, example.filename, example.height, example.width, stamp,
                example.relative, example.stored,
            )  # fmt: skip
            for part in (image, repr(texts).encode(), *(array.tobytes() for array in arrays)):
                digest.update(b"%d:" % len(part) + part)
        return digest.hexdigest()


class Relabelled:
    """A Source with another label map, matched by name; its other classes get the id -1."""

    def __init__(self, source: Source, labels: dict[int, str]):
        self._source = source
        by_name = {name: class_id for class_id, name in labels.items() if name}
        self._ids = {i: by_name.get(name, -1) for i, name in source.labels.items()}
        self.labels = dict(sorted(labels.items()))
        self.mask_labels, self.tally = source.mask_labels, source.tally

    def __len__(self) -> int:
        return len(self._source)

    def num_bytes(self) -> int:
        """As of the source."""
        return self._source.num_bytes()

    def fingerprint(self, index: int, num_shards: int) -> str:
        """That of the source, and the ids."""
        return f"{self._source.fingerprint(index, num_shards)} {self._ids}"

    def shard(self, index: int, num_shards: int) -> Iterator[Example]:
        """The source's examples with the new ids."""
        for example in self._source.shard(index, num_shards):
            ids = [self._ids.get(int(class_id), -1) for class_id in example.class_ids]
            yield dataclasses.replace(example, class_ids=np.array(ids, np.int64))


def _hash_of_name(example: Example) -> bytes:
    return hashlib.sha256(f"{example.filename}\n{example.source_id}".encode()).digest()


def stamps_of(files: Iterable[str | bytes]) -> list[tuple[int, int]]:
    """Returns the bytes and the time of change of files; of bytes their number.

    Many are asked for at once, since buckets answer slowly, and several by one thread, since disks
    answer sooner than a thread starts.
    """
    files = list(files)
    parts = [files[start : start + 16] for start in range(0, len(files), 16)]
    with concurrent.futures.ThreadPoolExecutor(32) as pool:
        return list(itertools.chain(*pool.map(lambda part: list(map(_stamp, part)), parts)))


def _stamp(file: str | bytes) -> tuple[int, int]:
    if isinstance(file, bytes):
        return len(file), 0
    try:
        status = tf.io.gfile.stat(file)
    except tf.errors.OpError:
        return 0, 0  # Missing; reported when its shard is written.
    return status.length, status.mtime_nsec
