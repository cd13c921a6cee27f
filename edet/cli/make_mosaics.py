"""Puts pictures of equal size together into larger ones, whose objects are small: a test for tiles.

  edet make_mosaics --records='records/val-*' --labels=records/val.labels.yaml \\
      --output=records/val_mosaic --side=2
  edet --mode=eval --workdir=runs/mine --set data.eval_records='records/val_mosaic-*' \\
      --set detect.tile=[480,640]

Writes records of side x side pictures each, in the order of the given ones, with all their boxes;
stored as PNG, so that no pixel changes. Pictures that are left over are counted. gs:// paths work.

Shapes: n boxes of one picture.
"""

from __future__ import annotations

import io
from collections import defaultdict

import numpy as np
import rich.progress
import tensorflow as tf
from absl import flags
from PIL import Image

from edet.cli.common import check_prefix, define_white_level, run
from edet.config.labels import read_labels
from edet.errors import UserError
from edet.globs import find_files
from edet.input.ground_truth import Annotations, decoding_error, ground_truth
from edet.input.reading import decode_parsed, user_errors
from edet.records.schema import Example, parse_example
from edet.records.shards import check_records, open_records
from edet.records.sources.example_set import ExampleSet
from edet.records.writing import write_records

_Picture = tuple[np.ndarray, Annotations]  # [height, width, 3] uint8, and what is on it


def define_flags(values: flags.FlagValues) -> None:
    """Defines the flags of this tool."""
    flags.DEFINE_string(
        "records", None, "Glob of shards, or several with commas.", flag_values=values
    )
    flags.DEFINE_string("labels", None, "The YAML file of id: name of these records, coco or voc.",
                        flag_values=values)  # fmt: skip
    flags.DEFINE_string("output", None, "Prefix of the records to write.", flag_values=values)
    flags.DEFINE_integer("side", 2, "Pictures along each side.", 2, flag_values=values)
    define_white_level(values)
    flags.mark_flags_as_required(["records", "labels", "output"], flag_values=values)


def make_mosaics(options: flags.FlagValues) -> None:
    """Reads all records once and writes the larger pictures.

    Raises:
      UserError: there are no records, one cannot be read, or too few have the same size.
    """
    files = find_files(options.records, "--records")
    if own := [file for file in files if file.startswith(f"{options.output}-")]:
        raise UserError(f"--output={options.output} would replace {own[0]}; give another name.")
    check_prefix(options.output)
    num_records = check_records(files, every_record=False).num_records
    pictures = rich.progress.track(open_records(files), "Reading", num_records, transient=True)
    waiting: dict[tuple[int, int], list[_Picture]] = defaultdict(list)  # by height and width
    mosaics = []
    with user_errors(files):
        for serialized in pictures:
            image, truth = _read(serialized, options)
            group = waiting[truth.height, truth.width]
            group.append((image, truth))
            if len(group) == options.side**2:
                mosaics.append(_put_together(group, options.side, f"{len(mosaics)}"))
                group.clear()
    left_over = sum(map(len, waiting.values()))
    if not mosaics:
        raise UserError(
            f"--records={options.records}: no {options.side**2} of its {left_over} pictures have "
            "the same size; give a smaller --side or more pictures."
        )
    report = write_records(ExampleSet(mosaics, read_labels(options.labels)), options.output)
    boxes = sum(len(mosaic.boxes) for mosaic in mosaics) / len(mosaics)
    print(
        f"{len(mosaics)} pictures with {boxes:.1f} boxes each are in {len(report.shards)} files "
        f"{options.output}-*; {left_over} pictures are left over."
    )


def _read(serialized: tf.Tensor, options: flags.FlagValues) -> _Picture:
    parsed = parse_example(serialized)
    try:
        image = decode_parsed(parsed, options.white_level)["image"].numpy()
    except tf.errors.OpError as error:
        name, why = parsed["source_id"].numpy(), decoding_error(parsed["encoded"])
        raise UserError(
            f"image {name.decode(errors='replace')} of --records={options.records} does not decode "
            f"({why}); leave it out of the records."
        ) from error
    found = {key: value.numpy() for key, value in parsed.items()}
    found["height"], found["width"] = image.shape[:2]
    return image, ground_truth(found)


def _put_together(pictures: list[_Picture], side: int, source_id: str) -> Example:
    """Returns side x side pictures as one, row by row, with the boxes of all."""
    height, width = pictures[0][0].shape[:2]
    images = [image for image, _ in pictures]
    rows = [np.concatenate(images[k : k + side], axis=1) for k in range(0, len(images), side)]
    file = io.BytesIO()
    Image.fromarray(np.concatenate(rows)).save(file, "png")
    moved = [
        truth.boxes + np.array([height * (k // side), width * (k % side)] * 2, np.float32)
        for k, (_, truth) in enumerate(pictures)
    ]
    truths = [truth for _, truth in pictures]
    return Example(
        image=file.getvalue(),
        source_id=source_id,
        boxes=np.concatenate(moved),
        class_ids=np.concatenate([truth.class_ids for truth in truths]),
        height=side * height,
        width=side * width,
        is_crowd=np.concatenate([truth.is_crowd for truth in truths]),
        areas=np.concatenate([truth.areas for truth in truths]),
        filename=f"{source_id}.png",
    )


if __name__ == "__main__":
    run(define_flags, make_mosaics)
