"""Reads every record of a data set before training and lists what is broken in it.

A bad record does not end the check. Each problem names its image and, if it is one of a box, the
first such box.

Shapes: n boxes of one image. Boxes are [ymin, xmin, ymax, xmax].
"""

from __future__ import annotations

import concurrent.futures
import functools
import hashlib
import itertools
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import rich.progress
import tensorflow as tf

from edet.errors import UserError
from edet.image.decode import WHITE_LEVEL, exif_orientation
from edet.image.look import look_of
from edet.image.sixteen_bits import brightest_value
from edet.input.ground_truth import Annotations, decoding_error, ground_truth
from edet.input.reading import decode_parsed
from edet.records.masks import IGNORED, BadMask, load_mask
from edet.records.schema import (
    Mask,
    check_kinds,
    check_parsed,
    checked_features,
    classes_of,
    mask_of,
    orientation_of,
    parse_example,
)
from edet.records.shards import read_records
from edet.records.sources.example_set import Tally
from edet.terminal import Console

OUTSIDE = "box outside of the image"
_GRACE = 2  # pixels that a box may stick out: annotation tools count from 1, and round up
_ANOTHER_SCHEMA = "record of another schema"
_WINDOW = 64  # records checked side by side


@dataclass(frozen=True)
class CheckedImage(Annotations):
    """One readable image; `height` and `width` are those of its pixels."""

    file: str
    record: int  # its number within the file
    digest: bytes  # of the encoded image
    has_mask: bool = False
    brightest: int = -1  # the largest value, if it has 16 bits a channel
    look: int | None = None  # see edet.image.look
    orientation: int = 1  # of EXIF, where the size leaves open whether boxes are of turned pixels

    @property
    def name(self) -> str:
        """Names the image for a person."""
        return _name(self.source_id, self.record, self.file)


@dataclass
class CheckedSet:
    """What `read_set` has found in the records of one set."""

    images: list[CheckedImage] = field(default_factory=list)
    tally: Tally = field(default_factory=Tally)  # the problems
    class_names: dict[int, set[str]] = field(default_factory=dict)  # in the records, by id

    def add(self, other: CheckedSet) -> None:
        """Adds another part of the set."""
        self.images += other.images
        self.tally.add(other.tally)
        for class_id, names in other.class_names.items():
            self.class_names.setdefault(class_id, set()).update(names)


def read_set(
    files: Sequence[str],
    labels: dict[int, str] | None,
    what: str,
    mask_labels: dict[int, str] | None = None,
) -> CheckedSet:
    """Reads, parses and decodes every record, several at a time.

    Args:
      files: TFRecord shards; gs:// works.
      labels: {id: name} of the model; None: boxes do not matter.
      what: the set's setting, such as "data.train_records".
      mask_labels: {value: name} of the model; None: masks do not matter.

    Raises:
      UserError: not one image can be used.
    """
    found = CheckedSet()
    columns = (
        rich.progress.TextColumn("{task.description}"),
        rich.progress.BarColumn(),
        rich.progress.DownloadColumn(),
        rich.progress.TimeRemainingColumn(),
    )
    with (
        rich.progress.Progress(*columns, console=Console(), transient=True) as bar,
        concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool,
    ):
        task = bar.add_task(f"Checking {what}", total=sum(map(_num_bytes, files)))
        for file in files:
            records = enumerate(_good_records(file, found.tally))
            check = functools.partial(
                _check_record, file=file, labels=labels, mask_labels=mask_labels
            )
            while window := list(itertools.islice(records, _WINDOW)):
                for part in pool.map(check, window):
                    found.add(part)
                bar.advance(task, sum(len(serialized) + 16 for _, serialized in window))
    if not found.images:
        problems = [f"{p['file']}: {p['what']}; {p['detail']}" for p in found.tally.problems]
        why = f"the first of {len(problems)} problems is {problems[0]}" if problems else "no record"
        raise UserError(f"no image of {what} can be used; write these records again ({why}).")
    return found


def read_image(image: CheckedImage, white_level: int = WHITE_LEVEL) -> np.ndarray:
    """Reads the pixels of a checked image again: [height, width, 3] uint8, see `decode_image`."""
    record = next(itertools.islice(read_records(image.file), image.record, None))
    return decode_parsed(parse_example(tf.constant(record)), white_level)["image"].numpy()


def _num_bytes(file: str) -> int:
    return tf.io.gfile.stat(file).length


def _good_records(file: str, tally: Tally) -> Iterator[bytes]:
    """Yields the records of a shard as far as it can be read."""
    try:
        yield from read_records(file)
    except UserError as error:
        tally.image_problem(file, "damaged shard", str(error))


def _check_record(
    numbered: tuple[int, bytes],
    file: str,
    labels: dict[int, str] | None,
    mask_labels: dict[int, str] | None,
) -> CheckedSet:
    """Returns what one record holds: an image, or the problem that hides it."""
    record, serialized = numbered
    found = CheckedSet()
    try:
        features = checked_features(serialized, f"{file}, record {record}")
    except UserError as error:
        found.tally.image_problem(f"record {record} of {file}", _ANOTHER_SCHEMA, str(error))
        return found
    try:
        example = {key: value.numpy() for key, value in _read(serialized).items()}
    except (tf.errors.OpError, UnicodeDecodeError):  # some messages quote the record
        source_id = b"".join(features["image/source_id"].bytes_list.value)
        name = _name(source_id.decode(errors="replace"), record, file)
        what, why = "undecodable image", _why(serialized)
        try:
            check_kinds(features, name)
        except UserError as error:
            what, why = _ANOTHER_SCHEMA, str(error)
        found.tally.image_problem(name, what, why)
        return found
    for class_id, name in classes_of(features):
        found.class_names.setdefault(class_id, set()).add(name)
    recorded = (int(example["height"]), int(example["width"]))
    pixels = example["image"]
    example["height"], example["width"] = pixels.shape[:2]
    (encoded,) = features["image/encoded"].bytes_list.value
    digest = hashlib.blake2b(encoded, digest_size=16).digest()
    mask = mask_of(features)
    image = CheckedImage(
        **vars(ground_truth(example)), file=file, record=record, digest=digest,
        has_mask=mask is not None, brightest=brightest_value(encoded), look=look_of(pixels),
        orientation=_open_orientation(features, int(example["exif"]), recorded),
    )  # fmt: skip
    found.images.append(image)
    _check_size(image, recorded, found.tally)
    if labels is not None:
        _check_boxes(image, labels, found.tally)
    if mask_labels is not None and mask is not None:
        _check_mask(image, mask, mask_labels, found.tally)
    return found


@tf.function(input_signature=[tf.TensorSpec([], tf.string)], autograph=False)
def _read(serialized: tf.Tensor) -> dict[str, tf.Tensor]:
    example = parse_example(serialized)
    return {**decode_parsed(example), "exif": exif_orientation(example["encoded"])}


def _open_orientation(
    features: Mapping[str, tf.train.Feature], exif: int, size: tuple[int, int]
) -> int:
    """Returns the EXIF orientation where the size does not tell of which pixels boxes are, or 1.

    Args:
      features: of the record, which says what was undone when it was written.
      exif: of the encoded picture.
      size: height and width in the record; -1 where unknown.
    """
    orientation = max(orientation_of(features), exif)  # pixels that were turned have no EXIF
    is_told = orientation >= 5 and size[0] != size[1]
    return 1 if is_told or orientation not in range(2, 9) else orientation


def _why(serialized: bytes) -> str:
    """Says why a record cannot be decoded; op by op, since a graph's error tells it at length."""
    try:
        check_parsed(serialized, "it")
    except UserError as error:
        return str(error)
    return decoding_error(parse_example(tf.constant(serialized))["encoded"])


def _name(source_id: str, record: int, file: str) -> str:
    return f"image {source_id or 'without id'} (record {record} of {file})"


def _check_size(image: CheckedImage, recorded: tuple[int, int], tally: Tally) -> None:
    actual = (image.height, image.width)
    if min(recorded) > 0 and recorded != actual:
        detail = "the record says {1}x{0}, the pixels are {3}x{2}".format(*recorded, *actual)
        tally.image_problem(image.name, "image of another size than recorded", detail)


def _check_mask(image: CheckedImage, mask: Mask, labels: dict[int, str], tally: Tally) -> None:
    try:
        pixels = load_mask(mask)
    except BadMask as error:
        tally.image_problem(image.name, "unusable mask", str(error))
        return
    if pixels.shape != (image.height, image.width):
        detail = "the mask has {1}x{0} pixels, the image {3}x{2}"
        detail = detail.format(*pixels.shape, image.height, image.width)
        tally.image_problem(image.name, "mask of another size than its image", detail)
    unknown = sorted(set(np.unique(pixels).tolist()) - set(labels) - {IGNORED})
    if unknown:
        what = "mask with values not in model.segmentation.labels"
        tally.image_problem(image.name, what, ", ".join(map(str, unknown)))


def _check_boxes(image: CheckedImage, labels: dict[int, str], tally: Tally) -> None:
    boxes, size = image.boxes, np.array([image.height, image.width] * 2)
    is_finite = np.isfinite(boxes).all(axis=1)
    is_flat = (boxes[:, 2:] <= boxes[:, :2]).any(axis=1)
    sticks_out = ((boxes < -_GRACE) | (boxes > size + _GRACE)).any(axis=1)
    objects = np.column_stack([image.class_ids, boxes])
    _, once = np.unique(objects, axis=0, return_index=True)
    faults = {
        # A class without a name has a logit but is never detected.
        "box of a class not in model.labels": ~np.isin(
            image.class_ids, [i for i in labels if labels[i]]
        ),
        "box that is not finite": ~is_finite,
        "box without area": is_finite & is_flat,
        OUTSIDE: is_finite & sticks_out,
    }
    is_sound = ~np.any(list(faults.values()), axis=0)
    faults["the same box twice"] = is_sound & ~np.isin(np.arange(len(boxes)), once)
    for what, rows in faults.items():
        if rows.any():
            first = int(np.argmax(rows))
            corners = ", ".join(f"{side:.1f}" for side in boxes[first])
            detail = (
                f"box {first}: class {image.class_ids[first]}, [ymin, xmin, ymax, xmax] = "
                f"[{corners}] in {image.height} x {image.width} pixels"
            )
            tally.box_problem(image.name, what, int(rows.sum()), detail)
