"""Makes the record of one example: its picture plain, its boxes cleaned, and what was done told."""

from __future__ import annotations

import dataclasses

import numpy as np
import tensorflow as tf

from edet.files import content_of, reason
from edet.image.sixteen_bits import brightest_value
from edet.image.transcode import BadImage, PlainImage, is_resized, make_plain
from edet.records.masks import BadMask, encode_mask, load_mask
from edet.records.report import SIXTEEN_BITS
from edet.records.schema import Example, Mask, box_areas, encode_example
from edet.records.sources.example_set import Tally

Prepared = tuple[bytes | None, Tally]  # the record, None of an unusable image


def prepare_record(example: Example, labels: dict[int, str]) -> Prepared:
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
    own = np.isclose(example.areas, box_areas(boxes)) if moved.any() else moved
    areas = np.where((own & moved) | ~(example.areas > 0), box_areas(clipped), example.areas)
    kept = example.keep(good) | {"boxes": clipped[good], "areas": areas[good]}
    return dataclasses.replace(example, **kept)


def _name_repeated(example: Example, tally: Tally) -> None:
    """Reports boxes that are there twice; they stay, since whoever scores the file has them too."""
    rows = zip(example.class_ids.tolist(), map(tuple, example.boxes.tolist()), strict=True)
    repeated = len(example.boxes) - len(set(rows))
    tally.box_problem(example.filename, "the same box and class twice (kept)", repeated)
