"""Shows what is in TFRecord shards: boxes on images, and how many boxes of which class and size.

  edet inspect_tfrecords --records='records/train-*' --output=inspected

Reads every record, draws some into <output>/<number>.png and writes the figures that it prints to
<output>/summary.json. gs:// paths work.

Shapes: n boxes of one image, R records.
"""

from __future__ import annotations

import numpy as np
import rich
import rich.progress
import tensorflow as tf
from absl import flags

from edet.cli.common import define_white_level, run
from edet.config.labels import read_labels
from edet.dataset_check.statistics import Statistics, statistics_tables
from edet.errors import UserError
from edet.evaluation.plots import draw_boxes
from edet.files import write_json
from edet.globs import find_files
from edet.image.files import save_png
from edet.input.ground_truth import ground_truth
from edet.input.reading import decode_parsed, user_errors
from edet.records.schema import parse_example
from edet.records.shards import check_records, open_records


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
    define_white_level(values)
    flags.mark_flags_as_required(["records", "output"], flag_values=values)


def inspect(options: flags.FlagValues) -> None:
    """Reads all records once; draws, counts, prints and writes.

    Raises:
      UserError: there are no records, or they cannot be read.
    """
    files = find_files(options.records, "--records")
    num_records = check_records(files, every_record=False).num_records
    if not num_records:
        raise UserError(f"--records={options.records} holds no record; look for another glob.")
    names = read_labels(options.labels)
    rng = np.random.default_rng(options.seed)
    drawn = set(rng.permutation(num_records)[: options.num_samples].tolist())
    statistics = Statistics()
    records = open_records(files).map(_parse, num_parallel_calls=tf.data.AUTOTUNE)
    records = rich.progress.track(
        records.as_numpy_iterator(), "Reading records", num_records, transient=True
    )
    with user_errors(files):
        for number, example in enumerate(records):
            if not options.labels:
                texts = zip(example["class_ids"].tolist(), example["class_names"], strict=False)
                names |= {class_id: text.decode(errors="replace") for class_id, text in texts}
            if number in drawn or min(example["height"], example["width"]) < 1:
                image = _decoded(example, options.white_level)
                example["height"], example["width"] = image.shape[:2]
            statistics.add(ground_truth(example))
            if number in drawn:
                _draw(f"{options.output}/{number:06d}.png", image, example, names)
    summary = statistics.summary(names)
    write_json(f"{options.output}/summary.json", {"files": files, **summary})
    for table in statistics_tables({"": summary}, "pixels"):
        rich.print(table)
    print(f"{len(drawn)} pictures and summary.json are in {options.output}.")


def _parse(serialized: tf.Tensor) -> dict[str, tf.Tensor]:
    text = tf.io.FixedLenSequenceFeature([], tf.string, allow_missing=True)
    key = "image/object/class/text"
    names = tf.io.parse_single_example(serialized, {key: text})[key]
    return {**parse_example(serialized), "class_names": names}


def _decoded(example: dict[str, np.ndarray], white_level: int) -> np.ndarray:
    try:
        return decode_parsed(example, white_level)["image"].numpy()
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
    save_png(picture, path)


if __name__ == "__main__":
    run(define_flags, inspect)
