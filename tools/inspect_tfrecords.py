"""Shows what is in TFRecord shards: boxes on images, and how many boxes of which class and size.

  python tools/inspect_tfrecords.py --records='records/train-*' --output=inspected

Reads every record, draws some into <output>/<number>.png and writes the figures that it prints to
<output>/summary.json. gs:// paths work.

Letters: n boxes of one image, R records.
"""

from __future__ import annotations

import os

# TensorFlow's notices about the processor say nothing to a user; its errors come as exceptions.
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import itertools
from collections import Counter
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import rich
import rich.progress
import tensorflow as tf
from absl import flags
from PIL import Image
from rich.table import Table

from edet.config.labels import read_labels
from edet.data.decode import decode_image
from edet.data.examples import check_records, count_records, parse_example
from edet.errors import UserError
from edet.evaluation.plots import draw_boxes
from edet.files import find_files, write_json, written_aside
from tools.common import run

_AREAS = {"small": (0, 32**2), "medium": (32**2, 96**2), "large": (96**2, np.inf)}  # COCO's
_SIDES = (0, 4, 8, 16, 32, 64, 128, 256, 512, 1024)  # pixels; the last bin is open


def define_flags(values: flags.FlagValues) -> None:
    """Defines the flags of this tool."""
    flags.DEFINE_string(
        "records", None, "Glob of shards, or several with commas.", flag_values=values
    )
    flags.DEFINE_string("output", None, "Folder for pictures and summary.json.", flag_values=values)
    flags.DEFINE_integer("num_samples", 10, "Images to draw.", lower_bound=0, flag_values=values)
    flags.DEFINE_integer("seed", 0, "Chooses the images.", lower_bound=0, flag_values=values)
    flags.DEFINE_string(
        "labels", "", "coco, voc or a YAML file of id: name; empty takes the names in the records.",
        flag_values=values,
    )  # fmt: skip
    flags.mark_flags_as_required(["records", "output"], flag_values=values)


@dataclass
class Statistics:
    """Figures of the records read so far. Sizes are in pixels of the original images."""

    images: int = 0
    empty: int = 0  # images without boxes
    crowd: int = 0
    most_boxes: int = 0  # in one image
    classes: Counter[int] = field(default_factory=Counter)  # boxes of a class
    class_images: Counter[int] = field(default_factory=Counter)  # images that show a class
    areas: Counter[str] = field(default_factory=Counter)
    heights: np.ndarray = field(default_factory=lambda: np.zeros(len(_SIDES), np.int64))
    widths: np.ndarray = field(default_factory=lambda: np.zeros(len(_SIDES), np.int64))

    def add(self, example: dict[str, np.ndarray], height: int, width: int) -> None:
        """Counts one parsed record, whose image has the given size."""
        class_ids, boxes = example["class_ids"].tolist(), example["boxes"]
        self.images += 1
        self.empty += not class_ids
        self.crowd += int(example["is_crowd"].sum())
        self.most_boxes = max(self.most_boxes, len(class_ids))
        self.classes.update(class_ids)
        self.class_images.update(set(class_ids))
        for name, (low, high) in _AREAS.items():
            self.areas[name] += int(((example["areas"] >= low) & (example["areas"] < high)).sum())
        edges = [*_SIDES, np.inf]
        self.heights += np.histogram((boxes[:, 2] - boxes[:, 0]) * height, edges)[0]
        self.widths += np.histogram((boxes[:, 3] - boxes[:, 1]) * width, edges)[0]

    def as_json(self, names: dict[int, str]) -> dict[str, Any]:
        """Returns the figures under the names that the tables show."""
        bins = [f"{low}-{high}" for low, high in itertools.pairwise(_SIDES)]
        bins.append(f"{_SIDES[-1]}-")
        return {
            "images": self.images,
            "images without boxes": self.empty,
            "boxes": self.classes.total(),
            "crowd boxes": self.crowd,
            "most boxes in an image": self.most_boxes,
            "classes": [
                {
                    "id": class_id,
                    "name": names.get(class_id, ""),
                    "boxes": self.classes[class_id],
                    "images": self.class_images[class_id],
                }
                for class_id in sorted({*self.classes, *names})
            ],
            "areas": dict(self.areas),
            "heights": dict(zip(bins, self.heights.tolist(), strict=True)),
            "widths": dict(zip(bins, self.widths.tolist(), strict=True)),
        }


def inspect(options: flags.FlagValues) -> None:
    """Reads all records once; draws, counts, prints and writes.

    Raises:
      UserError: there are no records, or they cannot be read.
    """
    files = find_files(options.records, "--records")
    num_records = count_records(files)
    if not num_records:
        raise UserError(f"--records={options.records} holds no record; look for another glob.")
    check_records(files)
    names = read_labels(options.labels)
    rng = np.random.default_rng(options.seed)
    drawn = set(rng.permutation(num_records)[: options.num_samples].tolist())
    statistics = Statistics()
    records = tf.data.TFRecordDataset(files).map(_parse, num_parallel_calls=tf.data.AUTOTUNE)
    records = rich.progress.track(
        records.as_numpy_iterator(), "Reading records", num_records, transient=True
    )
    for number, example in enumerate(records):
        if not options.labels:
            texts = zip(example["class_ids"].tolist(), example["class_names"], strict=False)
            names |= {class_id: text.decode(errors="replace") for class_id, text in texts}
        image = None
        if number in drawn or min(example["height"], example["width"]) < 1:
            image = _decoded(example)
        height, width = (example["height"], example["width"]) if image is None else image.shape[:2]
        statistics.add(example, height, width)
        if number in drawn:
            _draw(f"{options.output}/{number:06d}.png", image, example, names)
    summary = statistics.as_json(names)
    write_json(f"{options.output}/summary.json", {"files": files, **summary})
    for table in _tables(summary):
        rich.print(table)
    print(f"{len(drawn)} pictures and summary.json are in {options.output}.")


def _parse(serialized: tf.Tensor) -> dict[str, tf.Tensor]:
    text = tf.io.FixedLenSequenceFeature([], tf.string, allow_missing=True)
    key = "image/object/class/text"
    names = tf.io.parse_single_example(serialized, {key: text})[key]
    return {**parse_example(serialized), "class_names": names}


def _decoded(example: dict[str, np.ndarray]) -> np.ndarray:
    try:
        return decode_image(tf.constant(example["encoded"])).numpy()
    except tf.errors.OpError as error:
        name = example["source_id"].decode(errors="replace")
        raise UserError(f"image {name} does not decode; write these records again.") from error


def _draw(
    path: str, image: np.ndarray, example: dict[str, np.ndarray], names: dict[int, str]
) -> None:
    boxes = example["boxes"] * np.array(image.shape[:2] * 2)
    crowd = (" (crowd)" if is_crowd else "" for is_crowd in example["is_crowd"])
    texts = [names.get(i) or str(i) for i in example["class_ids"].tolist()]
    texts = [text + mark for text, mark in zip(texts, crowd, strict=True)]
    picture = draw_boxes(image, boxes, texts, classes=list(names.values()))
    with written_aside(path) as aside, tf.io.gfile.GFile(aside, "wb") as file:
        Image.fromarray(picture).save(file, "png")


def _tables(summary: dict[str, Any]) -> list[Table]:
    counts = Table("", "number", title="Records")
    for name, value in summary.items():
        if isinstance(value, int):
            counts.add_row(name, f"{value:,}")
    classes = Table("id", "class", "boxes", "images", title="Boxes by class")
    for row in summary["classes"]:
        classes.add_row(str(row["id"]), row["name"], f"{row['boxes']:,}", f"{row['images']:,}")
    sizes = Table("side in pixels", "by height", "by width", title="Boxes by side")
    for name, height in summary["heights"].items():
        sizes.add_row(name, f"{height:,}", f"{summary['widths'][name]:,}")
    areas = Table("COCO size", "boxes", title="Boxes by area")
    for name, count in summary["areas"].items():
        areas.add_row(name, f"{count:,}")
    return [counts, classes, areas, sizes]


if __name__ == "__main__":
    run(define_flags, inspect)
