"""Measures how fast this machine reads, decodes and augments, beside decoding alone.

  python tools/benchmark_input.py --records='records/coco/train2017-*' --output=input.json

Training and evaluation pipelines take turns with `tf.io.decode_jpeg` of the same files, so that
other work on the machine meets all of them alike. A core's figure is images by second of
processor time of this process, which such work hardly changes; "of decoding" compares those. The
figures are medians of the rounds.

With --pictures instead of --records, photos are laid side by side until they fill --large pixels,
and written as JPEGs of that width: large files with the detail of real ones.
"""

from __future__ import annotations

import io
import itertools
import os
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import rich
import rich.table
import tensorflow as tf
from absl import flags
from PIL import Image

from edet.cli.common import run
from edet.config import schema
from edet.errors import UserError
from edet.files import write_json
from edet.globs import find_files
from edet.image.files import read_picture
from edet.input.pipeline import make_train_dataset
from edet.input.reading import user_errors
from edet.input.windows import make_eval_dataset
from edet.records.schema import Example, checked_features, classes_of, encode_example
from edet.records.shards import read_records

_WARM_UP = 3  # batches that are not counted, while TensorFlow settles on its parallelism
_JPEG_QUALITY = 90

Rate = dict[str, float]  # "all": images by second; "core": images by second of processor time


def define_flags(values: flags.FlagValues) -> None:
    """Defines the flags of this tool."""
    flags.DEFINE_string("records", "", "Glob of TFRecord shards.", flag_values=values)
    flags.DEFINE_string(
        "pictures", "", "Glob of photos to make large JPEGs of, instead.", flag_values=values
    )
    flags.DEFINE_integer("large", 2000, "Width of those, in pixels.", 64, flag_values=values)
    flags.DEFINE_list("sizes", ["512", "896", "1536"], "Network inputs.", flag_values=values)
    flags.DEFINE_integer("batch_size", 16, "Images of a batch.", 1, flag_values=values)
    flags.DEFINE_integer("images", 320, "Images of one measurement.", 1, flag_values=values)
    flags.DEFINE_integer("rounds", 5, "Measurements of each.", 1, flag_values=values)
    flags.DEFINE_bool(
        "scaled_decode", True, "What data.scaled_decode is in training.", flag_values=values
    )
    flags.DEFINE_float(
        "step_time_ms", 50.0, "Assumed time of a training step, for the cores that it needs.",
        0.001, flag_values=values,
    )  # fmt: skip
    flags.DEFINE_integer("global_batch", 128, "Images of that step.", 1, flag_values=values)
    flags.DEFINE_string("output", "", "JSON file for the figures.", flag_values=values)


def benchmark(options: flags.FlagValues) -> None:
    """Measures, prints a table, and writes the figures.

    Raises:
      UserError: no records or photos, both given, or a picture in them that is no JPEG.
    """
    if bool(options.records) == bool(options.pictures):
        raise UserError("give --records or --pictures, and not both.")
    sizes = [_size(text) for text in options.sizes]
    with tempfile.TemporaryDirectory() as folder:
        if options.pictures:
            pictures = find_files(options.pictures, "--pictures")
            files = [write_large(pictures, options.large, os.path.join(folder, "large.tfrecord"))]
        else:
            files = find_files(options.records, "--records")
        before = os.getloadavg()
        with user_errors(files):
            figures = measure_all(files, sizes, options)
    figures |= {
        "files": options.records or options.pictures,
        "load_average_before_and_after": [before, os.getloadavg()],
        "cores": os.cpu_count(),
        "scaled_decode": options.scaled_decode,
        **needed_cores(figures, sizes[0], options.global_batch, options.step_time_ms),
    }
    if options.output:
        write_json(options.output, figures)
    rich.print(_table(figures))
    rich.print(
        f"A step of {options.global_batch} images in {options.step_time_ms:g} ms takes "
        f"{figures['needed_images_per_second']:.0f} images/s: {figures['needed_cores']:.1f} cores "
        f"like these at {sizes[0]} x {sizes[0]}."
    )


def _size(text: str) -> int:
    if not text.isdigit() or not int(text):
        raise UserError(f"--sizes has {text!r}; give pixels, such as 512,896.")
    return int(text)


def write_large(pictures: list[str], width: int, path: str) -> str:
    """Writes a record of a mosaic for every nine photos (at least eight), 4 wide and 3 high.

    Returns:
      path.

    Raises:
      UserError: a file is no picture.
    """
    height = width * 3 // 4
    endless = itertools.cycle(pictures)
    with tf.io.TFRecordWriter(path) as writer:
        for number in range(max(8, len(pictures) // 9)):
            mosaic = Image.new("RGB", (width, height))
            top = 0
            while top < height:
                left, row = 0, height
                while left < width:
                    photo = _open(next(endless))
                    mosaic.paste(photo, (left, top))
                    left, row = left + photo.width, min(row, photo.height)
                top += row
            stream = io.BytesIO()
            mosaic.save(stream, "JPEG", quality=_JPEG_QUALITY)
            box = np.array([[0, 0, height / 2, width / 2]], np.float32)
            example = Example(stream.getvalue(), str(number), box, np.array([1]), height, width)
            writer.write(encode_example(example, {1: "photo"}))
    return path


def _open(path: str) -> Image.Image:
    try:
        return Image.fromarray(read_picture(path).numpy())
    except UserError as error:
        raise UserError(f"{path} is no picture; --pictures must match photos only.") from error


def measure_all(files: list[str], sizes: list[int], options: flags.FlagValues) -> dict[str, Any]:
    """Measures decoding and, at each size, both pipelines, in turns.

    Returns:
      "decode_jpeg": images by second, see Rate.
      "pipelines": rows with "pipeline", "size", "images_per_second" (Rate) and "of_decoding" (Rate
      of ratios).
    """
    encoded, class_ids = _contents(files)
    batch, images = options.batch_size, options.images
    makers: dict[tuple[str, int], Callable[[], tf.data.Dataset]] = {}
    for size in sizes:
        config = schema.replace(
            schema.Config(),
            model={"image_size": size, "num_classes": max(class_ids)},
            data={"batch_size": batch, "scaled_decode": options.scaled_decode},
        )
        # One pass of evaluation must last for a measurement.
        passes = -(-((_WARM_UP + 1) * batch + images) // len(encoded))
        makers["training", size] = lambda c=config: make_train_dataset(c, files)
        makers["evaluation", size] = lambda c=config, n=passes: make_eval_dataset(
            c.model, files * n, batch
        )
    decoding: list[Rate] = []
    rates: dict[tuple[str, int], list[Rate]] = {key: [] for key in makers}
    ratios: dict[tuple[str, int], list[Rate]] = {key: [] for key in makers}
    for _ in range(options.rounds):
        for key, make in makers.items():
            decoding.append(measure(_decode_alone(encoded, batch), images, batch))
            rates[key].append(measure(make(), images, batch))
            ratios[key].append({k: v / decoding[-1][k] for k, v in rates[key][-1].items()})
    rows = [
        {
            "pipeline": pipeline,
            "size": size,
            "images_per_second": _medians(rates[pipeline, size]),
            "of_decoding": _medians(ratios[pipeline, size]),
        }
        for pipeline, size in makers
    ]
    return {"images": len(encoded), "decode_jpeg": _medians(decoding), "pipelines": rows}


def _contents(files: list[str]) -> tuple[list[bytes], set[int]]:
    """Returns the encoded images of all records and the class ids that occur, at least {1}."""
    encoded, class_ids = [], {1}
    for file in files:
        for index, record in enumerate(read_records(file)):
            where = f"{file}, record {index}"
            features = checked_features(record, where)
            class_ids.update(class_id for class_id, _ in classes_of(features))
            encoded.append(features["image/encoded"].bytes_list.value[0])
            if not encoded[-1].startswith(b"\xff\xd8\xff"):
                raise UserError(f"{where} holds no JPEG; give records of JPEGs to compare with.")
    if not encoded:
        raise UserError(f"there are no records in {', '.join(files[:3])}; check the files.")
    return encoded, class_ids


def _decode_alone(encoded: list[bytes], batch: int) -> tf.data.Dataset:
    """Decodes from memory for ever; one pixel of each leaves the graph."""
    options = tf.data.Options()
    options.threading.max_intra_op_parallelism = 1  # as in the pipelines
    images = (
        tf.data.Dataset.from_tensor_slices(encoded)
        .repeat()
        .map(
            lambda data: tf.io.decode_jpeg(data, channels=3)[0, 0],
            num_parallel_calls=tf.data.AUTOTUNE,
        )
    )
    return images.batch(batch).prefetch(tf.data.AUTOTUNE).with_options(options)


def measure(dataset: tf.data.Dataset, images: int, batch: int) -> Rate:
    """Returns how fast a dataset of batches gives at least so many images."""
    batches: Iterator = iter(dataset)
    for _ in range(_WARM_UP):
        next(batches)
    count = -(-images // batch)
    wall, processor = time.perf_counter(), time.process_time()
    for _ in range(count):
        next(batches)
    wall, processor = time.perf_counter() - wall, time.process_time() - processor
    return {"all": count * batch / wall, "core": count * batch / processor}


def _medians(rates: list[Rate]) -> Rate:
    return {key: statistics.median(rate[key] for rate in rates) for key in rates[0]}


def needed_cores(
    figures: dict[str, Any], size: int, global_batch: int, step_time_ms: float
) -> dict[str, float]:
    """Returns the images by second that a device of that speed takes, and the cores they need."""
    needed = 1000 * global_batch / step_time_ms
    (training,) = (
        row["images_per_second"]["core"]
        for row in figures["pipelines"]
        if row["pipeline"] == "training" and row["size"] == size
    )
    return {
        "global_batch": global_batch,
        "step_time_ms": step_time_ms,
        "needed_images_per_second": needed,
        "needed_cores": needed / training,
    }


def _table(figures: dict[str, Any]) -> rich.table.Table:
    first, last = (load[0] for load in figures["load_average_before_and_after"])
    table = rich.table.Table(
        "", "size", "images/s", "a core", "of decoding",
        title=f"{figures['images']} JPEGs, {figures['cores']} cores, load {first:.1f}-{last:.1f}",
    )  # fmt: skip
    alone = figures["decode_jpeg"]
    table.add_row("decode_jpeg", "", f"{alone['all']:.0f}", f"{alone['core']:.0f}", "1")
    for row in figures["pipelines"]:
        rate = row["images_per_second"]
        table.add_row(
            row["pipeline"], str(row["size"]), f"{rate['all']:.0f}", f"{rate['core']:.0f}",
            f"{row['of_decoding']['core']:.2f}",
        )  # fmt: skip
    return table


if __name__ == "__main__":
    run(define_flags, benchmark)
