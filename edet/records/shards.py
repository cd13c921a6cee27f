"""TFRecord shards as files: how many records they hold, those records, and what is wrong."""

from __future__ import annotations

import concurrent.futures
import struct
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

import rich.progress
import tensorflow as tf

from edet.errors import UserError
from edet.files import failure
from edet.records.schema import checked_features, classes_of


@dataclass(frozen=True)
class RecordsSummary:
    """What `check_records` has seen."""

    num_files: int
    num_records: int  # records that were read
    num_empty: int  # of them: images without boxes
    class_boxes: dict[int, int] = field(default_factory=dict)  # {class id: boxes}
    class_names: dict[int, set[str]] = field(default_factory=dict)  # as the records call them


def check_records(
    files: list[str], label_ids: Iterable[int] | None = None, every_record: bool = False
) -> RecordsSummary:
    """Reads the first record of each shard, or all of them, and says in words what is wrong.

    Args:
      files: paths of TFRecord shards; gs:// works.
      label_ids: the ids that the model knows; None leaves the ids unchecked.
      every_record: reads the shards to their ends.

    Raises:
      UserError: a shard is unreadable or cut off, a record has another schema, or a class id is
        not among `label_ids`. The message names the file and the record.
    """
    known = None if label_ids is None else set(label_ids)
    boxes: Counter[int] = Counter()
    names: dict[int, set[str]] = {}
    records = empty = 0
    for file in files:
        for index, serialized in enumerate(read_records(file, None if every_record else 1)):
            classes = classes_of(checked_features(serialized, f"{file}, record {index}"))
            class_ids = [class_id for class_id, _ in classes]
            strange = sorted(set(class_ids) - known) if known is not None else []
            if strange:
                raise UserError(
                    f"{file}, record {index}: class id {strange[0]} is not in the labels (ids "
                    f"{_listed(known)}); set model.labels to those of the data set."
                )
            boxes.update(class_ids)
            for class_id, name in classes:
                names.setdefault(class_id, set()).add(name)
            records += 1
            empty += not class_ids
    return RecordsSummary(len(files), records, empty, dict(sorted(boxes.items())), names)


def read_records(file: str, limit: int | None = None) -> Iterator[bytes]:
    """Yields the serialized records of a shard, at most `limit`.

    Raises:
      UserError: the shard is unreadable or cut off, after the good records; StorageError: its disk
        or bucket does not answer now.
    """
    read = 0
    try:
        dataset = tf.data.TFRecordDataset(file)
        for record in dataset if limit is None else dataset.take(limit):
            yield record.numpy()
            read += 1
        if read != limit:
            _count(file)  # TensorFlow takes a shard that ends within a length for a whole one.
    except tf.errors.DataLossError as error:
        raise UserError(_damaged(file, read)) from error
    except tf.errors.OpError as error:
        raise failure(f"cannot read {file}", error) from error


def _damaged(file: str, good: int) -> str:
    if not good:
        return f"{file} is not a TFRecord file, or is cut off or damaged in its first record."
    return (
        f"{file} is cut off or damaged after {good} good records; write or copy this shard again."
    )


def _listed(ids: set[int]) -> str:
    ordered = sorted(ids)
    return ", ".join(map(str, ordered)) if len(ids) < 6 else f"{ordered[0]} to {ordered[-1]}"


def count_records(files: list[str]) -> int:
    """Returns the number of records in TFRecord shards; on a disk it reads only their lengths.

    Raises:
      UserError: a shard is unreadable or cut off; the message says how many records were good;
        StorageError: its disk or bucket does not answer now.
    """
    with concurrent.futures.ThreadPoolExecutor(16) as pool:
        counts = rich.progress.track(
            pool.map(_count, files),
            description="Counting records",
            total=len(files),
            transient=True,
            disable=len(files) < 64,
        )
        return sum(counts)


def _count(file: str) -> int:
    """Walks over one shard: uint64 length, uint32 crc, that many bytes, uint32 crc, and again."""
    good = position = 0
    try:
        # TensorFlow reads ahead by half a megabyte, which is most of the records.
        with tf.io.gfile.GFile(file, "rb") if "://" in file else open(file, "rb", 0) as shard:
            end = tf.io.gfile.stat(file).length
            while position < end:
                shard.seek(position)
                header = shard.read(12)
                if len(header) < 12:
                    raise UserError(_damaged(file, good))
                position += 16 + struct.unpack("<Q", header[:8])[0]
                if position > end:
                    raise UserError(_damaged(file, good))
                good += 1
    except (OSError, tf.errors.OpError) as error:
        raise failure(f"cannot read {file}", error) from error
    return good
