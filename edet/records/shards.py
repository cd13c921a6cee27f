"""TFRecord shards as files: how many records they hold, those records, and what is wrong."""

from __future__ import annotations

import concurrent.futures
import contextlib
import dataclasses
import functools
import gzip
import hashlib
import io
import itertools
import struct
import zlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import IO

import rich.progress
import tensorflow as tf

from edet.errors import UserError
from edet.files import failure
from edet.records.schema import (
    check_kinds,
    check_parsed,
    checked_features,
    classes_of,
    mask_of,
)
from edet.terminal import Console

FRAME_BYTES = 16  # of a record besides its own: uint64 length, uint32 crc, and uint32 crc behind
_GZIP_MARK = b"\x1f\x8b\x08"
# By effort. Hardly ever the length of a first record, which a file begins with.
_ZLIB_MARKS = (b"\x78\x01", b"\x78\x5e", b"\x78\x9c", b"\x78\xda")
_BAD_GZIP = (EOFError, zlib.error, gzip.BadGzipFile)
_CRC_BYTES = 4

CHECK_ALL_BELOW = 20_000  # records; a larger set has only the first record of each shard checked


@dataclass(frozen=True)
class RecordSet:
    """TFRecord shards, counted once and handed on, and what `check_records` has seen in them."""

    files: list[str]
    counts: list[int]  # records of each file
    fingerprint: str = ""  # of what they hold, whatever the files are called
    num_checked: int = 0  # records that were read
    class_names: dict[int, set[str]] = field(default_factory=dict)  # as the records call them
    has_masks: bool = False  # at least one that was read

    @classmethod
    def of(cls, records: RecordSet | Sequence[str]) -> RecordSet:
        """Returns the set itself, or counts the records of these files."""
        return records if isinstance(records, cls) else count_records(list(records))

    @property
    def num_records(self) -> int:
        """The number of records of all files."""
        return sum(self.counts)

    def check_masks(self, what: str) -> None:
        """Raises UserError if no record has a mask; `what` names the setting."""
        if self.has_masks or (self.num_checked < self.num_records and any(map(_masks, self.files))):
            return
        raise UserError(
            f"no record of {what} has a mask; write them with --masks of `edet create_tfrecords`, "
            "or leave segmentation out of model.heads."
        )


def check_not_empty(files: Sequence[str]) -> None:
    """Raises UserError if no file holds a record; it asks for their sizes and opens none."""
    for file in files:
        try:
            if tf.io.gfile.stat(file).length:
                return
        except tf.errors.OpError as error:
            raise failure(f"cannot read {file}", error) from error
    raise UserError(f"there are no records in {', '.join(files[:3])}; check the files.")


def check_records(
    files: list[str], label_ids: Iterable[int] | None = None, every_record: bool | None = None
) -> RecordSet:
    """Counts the records of shards, reads some or all, and says in words what is wrong.

    Each file is opened twice: for the lengths of its records, and for what they hold.

    Args:
      files: paths of TFRecord shards; gs:// works.
      label_ids: the ids that the model knows; None leaves the ids unchecked.
      every_record: reads the shards to their ends, or only their first records; None: to their
        ends where the set has fewer than CHECK_ALL_BELOW records.

    Raises:
      UserError: a shard is unreadable or cut off, a record has another schema, or a class id is
        not among `label_ids`. The message names the file and the record; StorageError: a disk or
        bucket does not answer now.
    """
    counted = count_records(files)
    if every_record is None:
        every_record = counted.num_records < CHECK_ALL_BELOW
    known = None if label_ids is None else set(label_ids)
    names: dict[int, set[str]] = {}
    checked = masks = 0
    for file in files:
        for index, serialized in enumerate(read_records(file, None if every_record else 1)):
            features = checked_features(serialized, f"{file}, record {index}")
            check_kinds(features, f"{file}, record {index}")
            check_parsed(serialized, f"{file}, record {index}")
            classes = classes_of(features)
            unknown = sorted({k for k, _ in classes} - known) if known is not None else []
            if unknown:
                raise UserError(
                    f"{file}, record {index}: class id {unknown[0]} is not in the labels (ids "
                    f"{_listed(known)}); set model.labels to those of the data set."
                )
            for class_id, name in classes:
                names.setdefault(class_id, set()).add(name)
            checked += 1
            masks += mask_of(features) is not None
    return dataclasses.replace(counted, num_checked=checked, class_names=names, has_masks=masks > 0)


def _masks(file: str) -> bool:
    """Whether a record of a shard has a mask."""
    records = (checked_features(record, file) for record in read_records(file))
    return any(mask_of(features) is not None for features in records)


def open_records(files: str | Sequence[str]) -> tf.data.Dataset:
    """Returns the serialized records of shards, one file after another."""
    parts = itertools.groupby([files] if isinstance(files, str) else files, key=compression_of)
    datasets = [tf.data.TFRecordDataset(list(part), packed) for packed, part in parts]
    return functools.reduce(tf.data.Dataset.concatenate, datasets)


def compression_of(file: str) -> str:
    """Returns how a shard is packed, in TensorFlow's words: GZIP if it is named so, or ""."""
    return "GZIP" if file.endswith(".gz") else ""


def read_records(file: str, limit: int | None = None) -> Iterator[bytes]:
    """Yields the serialized records of a shard, at most `limit`.

    Raises:
      UserError: the shard is unreadable or cut off, after the good records; StorageError: its disk
        or bucket does not answer now.
    """
    read = size = 0
    try:
        dataset = open_records(file)
        for record in dataset if limit is None else dataset.take(limit):
            serialized = record.numpy()
            yield serialized
            read += 1
            size += len(serialized) + FRAME_BYTES
        # TensorFlow takes a shard that ends within a length for a whole one.
        if read != limit and size != _length(file):
            raise UserError(_damaged(file, read))
    except (tf.errors.DataLossError, *_BAD_GZIP) as error:
        raise UserError(_damaged(file, read)) from error
    except tf.errors.OpError as error:
        raise failure(f"cannot read {file}", error) from error


def _damaged(file: str, good: int) -> str:
    if not good:
        start = _start(file)
        if not compression_of(file) and start == _GZIP_MARK:
            return f"{file} is compressed by GZIP; rename it to {file}.gz, and it is read."
        if start[:2] in _ZLIB_MARKS:
            return (
                f"{file} is compressed by ZLIB, which is not read; write it with GZIP or plainly."
            )
        return f"{file} is not a TFRecord file, or is cut off or damaged in its first record."
    return (
        f"{file} is cut off or damaged after {good} good records; write or copy this shard again."
    )


def _start(file: str) -> bytes:
    with tf.io.gfile.GFile(file, "rb") as opened:
        return opened.read(len(_GZIP_MARK))


def _listed(ids: set[int]) -> str:
    ordered = sorted(ids)
    return ", ".join(map(str, ordered)) if len(ids) < 6 else f"{ordered[0]} to {ordered[-1]}"


def count_records(files: list[str]) -> RecordSet:
    """Counts the records in TFRecord shards; on a disk it reads only their lengths.

    Raises:
      UserError: a shard is unreadable or cut off; the message says how many records were good;
        StorageError: its disk or bucket does not answer now.
    """
    with concurrent.futures.ThreadPoolExecutor(16) as pool:
        found = rich.progress.track(
            pool.map(_count, files),
            description="Counting records",
            total=len(files),
            transient=True,
            console=Console(),
            disable=len(files) < 64,
        )
        counts, digests = zip(*found, strict=True) if files else ((), ())
    fingerprint = hashlib.sha256(b"".join(sorted(digests))).hexdigest()
    return RecordSet(files, list(counts), fingerprint)


def _count(file: str) -> tuple[int, bytes]:
    """Walks over one shard: uint64 length, uint32 crc, that many bytes, uint32 crc, and again.

    Returns:
      The number of records, and a digest of their lengths and checksums.
    """
    good = position = 0
    digest = hashlib.sha256()
    try:
        with _opened(file) as shard:
            end = _length(file)
            while position < end:
                before = min(position, _CRC_BYTES)  # the checksum of the record before
                shard.seek(position - before)
                header = shard.read(before + 12)
                if len(header) < before + 12:
                    raise UserError(_damaged(file, good))
                digest.update(header)
                position += FRAME_BYTES + struct.unpack("<Q", header[before:][:8])[0]
                if position > end:
                    raise UserError(_damaged(file, good))
                good += 1
            shard.seek(max(0, end - _CRC_BYTES))
            digest.update(shard.read(_CRC_BYTES))
    except _BAD_GZIP as error:
        raise UserError(_damaged(file, good)) from error
    except (OSError, tf.errors.OpError) as error:
        raise failure(f"cannot read {file}", error) from error
    return good, digest.digest()


def records_at(file: str, offsets: Sequence[int]) -> Iterator[bytes]:
    """Yields the serialized records that begin at rising places of a shard, of *.gz within."""
    with _opened(file) as shard:
        for offset in offsets:
            shard.seek(offset)
            (length,) = struct.unpack("<Q", shard.read(12)[:8])
            yield shard.read(length)


@contextlib.contextmanager
def _opened(file: str) -> Iterator[IO[bytes]]:
    """Opens a shard, of *.gz what is packed in it."""
    # TensorFlow reads ahead by half a megabyte, which is most of the records.
    with tf.io.gfile.GFile(file, "rb") if "://" in file else open(file, "rb", 0) as stored:
        yield gzip.GzipFile(fileobj=stored) if compression_of(file) else stored


def _length(file: str) -> int:
    """Returns the bytes of a shard, of *.gz of what is packed in it."""
    if not compression_of(file):
        return tf.io.gfile.stat(file).length
    with _opened(file) as shard:
        return shard.seek(0, io.SEEK_END)
