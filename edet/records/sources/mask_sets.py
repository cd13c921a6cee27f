"""Data sets with masks: VOC's SegmentationClass folders, COCO's panoptic PNGs, any such folder."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Callable

import numpy as np

from edet.errors import UserError
from edet.files import PICTURE_ENDINGS, read_json, read_text
from edet.globs import list_filled_folder
from edet.records.masks import find_masks
from edet.records.schema import Example, Mask
from edet.records.sources.example_set import ExampleSet


def read_mask_set(
    images_dir: str, masks_dir: str, mask_labels: dict[int, str], split: str = ""
) -> ExampleSet:
    """Returns the pictures that have a mask, without boxes, in the order of their names.

    Args:
      images_dir: folder of the pictures; gs:// works.
      masks_dir: folder of PNGs named as the pictures; a pixel's number is its value.
      mask_labels: {value: name}.
      split: a text file of names without ending, one a line, such as VOC's
        ImageSets/Segmentation/train.txt; "" takes every mask.

    Raises:
      UserError: a folder or the split is missing, or a name has no picture or no mask.
    """
    masks = find_masks(masks_dir)
    images = _find_pictures(images_dir, set(masks.values()))
    names = list(masks)
    if split:
        lines = read_text(split, "the split").splitlines()
        names = list(dict.fromkeys(line.split()[0] for line in lines if line.strip()))
    for name in names:
        for folder, found in ((masks_dir, masks), (images_dir, images)):
            if name not in found:
                raise UserError(f"{folder} has no file {name}; {split or masks_dir} names it.")
    examples = [
        Example(
            image=os.path.join(images_dir, images[name]), source_id=name, boxes=np.zeros((0, 4)),
            class_ids=np.zeros(0), mask=Mask(masks[name]),
        )
        for name in names
    ]  # fmt: skip
    return ExampleSet(examples, {}, mask_labels=mask_labels)


def _find_pictures(folder: str, masks: set[str]) -> dict[str, str]:
    """Returns {name without ending: name} of the pictures of a folder, which may hold masks too."""
    names = list_filled_folder(folder, "it should hold the pictures")
    found: dict[str, str] = {}
    for name in names:
        if not name.lower().endswith(PICTURE_ENDINGS) or os.path.join(folder, name) in masks:
            continue
        stem = os.path.splitext(name)[0]
        if stem in found:
            raise UserError(
                f"{folder} has {found[stem]} and {name}, and one mask for both; remove one of them."
            )
        found[stem] = name
    return found


def add_masks(source: ExampleSet, masks_dir: str, mask_labels: dict[int, str]) -> ExampleSet:
    """Gives the pictures of a set of boxes the masks of a folder, where it has one by their name.

    Raises:
      UserError: the folder is missing, or no picture has a mask in it.
    """
    masks = find_masks(masks_dir)

    def mask_of(example: Example) -> Mask | None:
        path = masks.get(os.path.splitext(os.path.basename(example.filename))[0])
        return Mask(path) if path else None

    return _with_masks(source, mask_of, mask_labels, masks_dir)


def add_panoptic(source: ExampleSet, panoptic_json: str, masks_dir: str) -> ExampleSet:
    """Gives the pictures of `read_coco` the masks of COCO's panoptic annotations.

    Values are the categories' ids, of things and stuff; pixels of no segment are ignored.

    Args:
      source: with COCO's image ids as `source_id`.
      panoptic_json: such as panoptic_train2017.json.
      masks_dir: the folder of its PNGs.

    Raises:
      UserError: the file is no panoptic one, has ids above 253, or fits no picture.
    """
    data = read_json(panoptic_json, "panoptic annotations")
    try:
        labels = {int(item["id"]): str(item["name"]) for item in data["categories"]}
        masks = {
            str(item["image_id"]): Mask(
                os.path.join(masks_dir, item["file_name"]),
                tuple((int(s["id"]), int(s["category_id"])) for s in item["segments_info"]),
            )
            for item in data["annotations"]
        }
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise UserError(
            f"{panoptic_json} is not a COCO panoptic file: an entry of its categories or "
            f"annotations is wrong ({error!r})."
        ) from error
    used = set(labels) | {value for mask in masks.values() for _, value in mask.segments}
    if not used or min(used) < 0 or max(used) > 253:
        raise UserError(f"{panoptic_json} must have category ids of 0 to 253, as masks do.")
    return _with_masks(source, lambda e: masks.get(e.source_id), labels, panoptic_json)


def _with_masks(
    source: ExampleSet,
    mask_of: Callable[[Example], Mask | None],
    labels: dict[int, str],
    where: str,
) -> ExampleSet:
    examples = [dataclasses.replace(e, mask=mask_of(e)) for e in source.examples]
    if all(example.mask is None for example in examples):
        raise UserError(f"{where} has no mask of any picture of the set; compare their names.")
    return ExampleSet(examples, source.labels, source.tally, labels)
