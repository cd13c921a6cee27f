"""TFRecord shards -> parsed records with decoded images, and errors that name the image.

Shapes: H, W pixels of one image. Boxes are [ymin, xmin, ymax, xmax].
"""

from __future__ import annotations

import contextlib
import os
import re
import sys
from collections.abc import Iterator, Sequence
from typing import Literal

import tensorflow as tf

from edet.config.schema import Fit
from edet.errors import StorageError, UserError
from edet.files import UNAVAILABLE, reason
from edet.image.decode import WHITE_LEVEL, decode_stored_pixels, exif_orientation, turn_upright
from edet.records.masks import decode_mask
from edet.records.schema import parse_example
from edet.records.shards import check_records, compression_of

Tensors = dict[str, tf.Tensor]

RECORDS_PER_FILE = 2**32  # bound; an image id is number of the file * this + number of the record
_READ_AHEAD_BYTES = 8 << 20  # of each shard; a bucket answers slowly
_MAY_PASS = (*UNAVAILABLE, tf.errors.ResourceExhaustedError)
_DECODED_AT_ONCE = min(os.cpu_count() or 1, 32)  # each may be a photo of many megabytes

# For makers of data sets: their functions need no rewriting, which would take it seconds.
without_autograph = tf.autograph.experimental.do_not_convert


def read_file(files: Sequence[str], number: tf.Tensor) -> tf.data.Dataset:
    """Reads the serialized records of one of `files`, each with its image id.

    An image id is the place of the record: number of the file * 2^32 + its number in the file.
    """
    file = tf.gather(tf.constant(files), number)
    packed = tf.gather(tf.constant([compression_of(name) for name in files]), number)
    records = tf.data.TFRecordDataset(file, packed, buffer_size=_READ_AHEAD_BYTES).enumerate()
    return records.map(
        lambda place, serialized: {
            "image_id": number * RECORDS_PER_FILE + place,
            "serialized": serialized,
        }
    )


def replica_batch_size(batch_size: int, context: tf.distribute.InputContext) -> int:
    """Returns the share that one replica has of a step of `batch_size`.

    Raises:
      UserError: the replicas cannot share it evenly.
    """
    replicas = context.num_replicas_in_sync
    if batch_size % replicas:
        below = batch_size // replicas * replicas
        raise UserError(
            f"the batch size {batch_size} is not divisible by {replicas} replicas; use "
            + (f"{below} or {below + replicas}." if below else f"{replicas}.")
        )
    return batch_size // replicas


def ordered_options() -> tf.data.Options:
    """Returns the options of every data set: its order never depends on threads."""
    options = tf.data.Options()
    options.deterministic = True
    # Images are worked on side by side; threads inside one image would only fight over cores.
    options.threading.max_intra_op_parallelism = 1
    options.experimental_distribute.auto_shard_policy = tf.data.experimental.AutoShardPolicy.OFF
    return options


@without_autograph
def decode_examples(
    records: tf.data.Dataset,
    files: Sequence[str],
    warn: bool,
    masks: Literal["none", "optional", "required"] = "none",
    white_level: int = WHITE_LEVEL,
    how: Fit = "letterbox",
) -> tf.data.Dataset:
    """Parses records and decodes their images, in order and in parallel.

    Args:
      records: dicts with "serialized" and "image_id"; other entries are passed on. Where they
        have a "target" (int32 [2], the height and width that the image will be fitted into), a
        large JPEG is decoded at a fraction of its size that still fills the target.
      files: what the image ids count.
      warn: names each undecodable image on stderr.
      masks: whether records' masks are decoded too, as "mask", see `records.masks.decode_mask`. A
        record without a required one ends the iteration with a sentence.
      white_level: `model.white_level`, see `decode_image`.
      how: `model.fit`.

    Returns:
      The same dicts, without "serialized" and "target", with the entries of `parse_example`, but
      "image" uint8 [H, W, 3] for "encoded", and "is_decoded": where that is false the image is one
      black pixel. Only decoding is guarded: damaged files and records of another schema are errors.
    """

    def parse(record: Tensors) -> Tensors:
        """Replaces "serialized", a scalar string, by what `parse_example` reads of it."""
        serialized = record.pop("serialized")
        example = {**record, **parse_example(serialized, with_mask=masks != "none")}
        if masks != "required":
            return example
        words = " has no mask; write records with masks only, or train boxes"
        sentence = tf.strings.join([image_name(example, files), words])
        has_mask = tf.debugging.Assert(tf.not_equal(example["mask"], ""), [sentence])
        with tf.control_dependencies([has_mask]):
            return {**example, "mask": tf.identity(example["mask"])}

    def decode(example: Tensors) -> Tensors:
        decoded = decode_parsed(example, white_level, how)
        return decoded if masks == "none" else {**decoded, "mask": decode_mask(example["mask"])}

    def decode_or_blank(example: Tensors) -> tf.data.Dataset:
        # tf.data has no other way to catch an error and keep the element's place.
        example = tf.data.Dataset.from_tensors(example)
        decoded = example.map(decode).ignore_errors(log_warning=True)
        return decoded.concatenate(example.map(lambda e: _blank(e, files, warn))).take(1)

    return records.map(parse, num_parallel_calls=tf.data.AUTOTUNE).interleave(
        decode_or_blank, cycle_length=_DECODED_AT_ONCE, num_parallel_calls=tf.data.AUTOTUNE
    )


def decode_parsed(
    example: Tensors, white_level: int = WHITE_LEVEL, how: Fit = "letterbox"
) -> Tensors:
    """Decodes what `parse_example` returns: "image" and "is_decoded" take the place of "encoded".

    With a "target", see `decode_examples`, the image may be a half, a quarter or an eighth as high
    and wide.

    Raises (in the graph):
      tf.errors.InvalidArgumentError: the image cannot be decoded.
    """
    example = dict(example)
    encoded, target = example.pop("encoded"), example.pop("target", None)
    stored = decode_stored_pixels(encoded, target, white_level, how)
    upright = turn_upright(stored, exif_orientation(encoded))
    # A record whose size is that of the stored pixels was annotated without regard to EXIF.
    annotated = tf.stack([example["height"], example["width"]])
    fractions = tf.constant([[1]] if target is None else [[1], [2], [4], [8]])
    annotated = (annotated + fractions - 1) // fractions
    is_turned = tf.reduce_any(tf.shape(upright) != tf.shape(stored))
    is_annotated = tf.reduce_any(tf.reduce_all(annotated == tf.shape(stored)[:2], axis=1))
    keep_stored = is_turned & is_annotated
    image = tf.cond(keep_stored, lambda: stored, lambda: upright)
    return {**example, "image": image, "is_decoded": True}


def _blank(example: Tensors, files: Sequence[str], warn: bool) -> Tensors:
    """Stands in for an example whose image cannot be decoded."""
    del example["encoded"]
    example.pop("target", None)
    if "mask" in example:
        example["mask"] = decode_mask(tf.constant(""))
    if warn:
        warning = tf.strings.join(["Skipped: ", image_name(example, files), " cannot be decoded."])
        tf.print(warning, output_stream=sys.stderr)
    return {**example, "image": tf.zeros([1, 1, 3], tf.uint8), "is_decoded": False}


def image_name(example: Tensors, files: Sequence[str]) -> tf.Tensor:
    """Names an image for a person: its source id, and where its record is."""
    number, place = example["image_id"] // RECORDS_PER_FILE, example["image_id"] % RECORDS_PER_FILE
    return tf.strings.join(
        [
            "image ", example["source_id"], " (record ", tf.strings.as_string(place), " of ",
            tf.gather(tf.constant(files), number), ")",
        ]
    )  # fmt: skip


@contextlib.contextmanager
def user_errors(files: Sequence[str]) -> Iterator[None]:
    """Turns what tf.data raises while batches are read into one sentence.

    A reader's own error names no record. So the files are read once more, up to the fault.

    Args:
      files: what is being read.

    Raises:
      UserError: for an assertion of the pipeline (its sentence is kept), a damaged file and a
        record of another schema; StorageError: the files' bucket does not answer. Any other error
        passes as it is.
    """
    try:
        yield
    except (tf.errors.OpError, UnicodeDecodeError) as error:
        # A message that quotes a record is not always text, and then Python has this one instead.
        is_text = isinstance(error, tf.errors.OpError)
        message = error.message if is_text else error.object.decode(errors="replace")
        assertion = re.search(r"assertion failed: \[(.*?)\]\s*(?:\n|\[|$)", message, re.S)
        if assertion:
            raise UserError(f"{_unescape(assertion[1])}.") from error
        names_file = any(file in message for file in files)
        if names_file and isinstance(error, _MAY_PASS):
            raise StorageError(f"cannot read the records: {reason(error)}") from error
        signs = ("corrupted record", "truncated record", "ParseExample")
        if not is_text or names_file or any(sign in message for sign in signs):
            check_records(list(files), every_record=True)
        raise


def _unescape(text: str) -> str:
    """Undoes the escapes that TensorFlow puts into an assertion: quotes, and bytes above 127."""
    return text.encode().decode("unicode_escape").encode("latin-1").decode(errors="replace")
