"""Writes a data set into TFRecord shards that edet trains and evaluates on.

  python tools/create_tfrecords.py --output=records/train --format=coco
      --annotations=instances_train2017.json --images=train2017
  python tools/create_tfrecords.py --output=records/train --format=voc --voc_root=VOC --split=train
  python tools/create_tfrecords.py --output=records/train --format=synthetic --num_images=2000
  python tools/create_tfrecords.py --output=records/train --format=tfds --tfds_name=voc/2007
      --split=train

Beside the shards <output>-00000-of-000nn.tfrecord it writes <output>.labels.yaml for model.labels,
<output>.report.json with every image and box that was dropped or changed, and
<output>.manifest.json, by which a second run keeps the shards that are finished. gs:// paths work.
A record is a tf.Example; edet/data/examples.py lists its features.
"""

from __future__ import annotations

import os

# TensorFlow's notices about the processor say nothing to a user; its errors come as exceptions.
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import rich
from absl import flags

from edet.config.labels import read_labels
from edet.data.coco import read_coco
from edet.data.records import write_records
from edet.data.sources import Source
from edet.data.synthetic import SyntheticSet
from edet.data.tfds import read_tfds
from edet.data.voc import read_voc
from edet.errors import UserError
from tools.common import run

# Format: (flags it needs, flags it may have).
_FLAGS = {
    "coco": (("annotations", "images"), ()),
    "voc": (("voc_root",), ("split", "labels", "skip_difficult")),
    "synthetic": (("num_images",), ("image_size", "seed")),
    "tfds": (("tfds_name", "split"), ("tfds_dir",)),
}


def define_flags(values: flags.FlagValues) -> None:
    """Defines the flags of this tool."""
    text = {
        "annotations": "COCO instances JSON.",
        "images": "Folder that the file names in --annotations are relative to.",
        "voc_root": "Folder with Annotations, JPEGImages and ImageSets.",
        "split": "VOC: a file of ImageSets/Main; empty takes every xml. TFDS: a split's name.",
        "labels": "VOC: 'voc' or a YAML file of id: name. Empty numbers the sorted names from 1.",
        "tfds_name": "Name in the TFDS catalogue, such as voc/2007.",
        "tfds_dir": "Folder of prepared TFDS sets; empty takes TFDS's own.",
    }
    numbers = {
        "num_images": (0, "Synthetic scenes."),
        "image_size": (128, "Height and width of synthetic scenes in pixels."),
        "seed": (0, "Of synthetic scenes; sets of different seeds share no scene."),
        "num_shards": (0, "0 makes shards of about 100 MB."),
        "workers": (0, "Threads that check images; 0 takes one for each processor."),
    }
    flags.DEFINE_string("output", None, "Prefix of all files: records/train.", flag_values=values)
    flags.DEFINE_enum("format", None, list(_FLAGS), "Kind of data set.", flag_values=values)
    for name, help_text in text.items():
        flags.DEFINE_string(name, "", help_text, flag_values=values)
    for name, (default, help_text) in numbers.items():
        flags.DEFINE_integer(name, default, help_text, lower_bound=0, flag_values=values)
    flags.DEFINE_bool(
        "skip_difficult", False, "VOC: leave out boxes marked as difficult.", flag_values=values
    )
    flags.mark_flags_as_required(["format", "output"], flag_values=values)


def create(options: flags.FlagValues) -> None:
    """Reads the annotations, writes the shards and prints what became of them."""
    report = write_records(
        open_source(options),
        options.output,
        num_shards=options.num_shards,
        workers=options.workers,
        progress=True,
    )
    for table in report.tables():
        rich.print(table)
    kept = f", {report.kept} of them kept from an earlier run" if report.kept else ""
    print(f"{len(report.shards)} shards{kept}; {options.output}.report.json has the details.")


def open_source(options: flags.FlagValues) -> Source:
    """Returns the data set that the flags ask for.

    Raises:
      UserError: a flag that the format needs is missing, or one is given that it does not have.
    """
    needed, possible = _FLAGS[options.format]
    for name in needed:
        if not options[name].value:
            raise UserError(f"--format={options.format} needs --{name}.")
    for name in {name for pair in _FLAGS.values() for names in pair for name in names}:
        if options[name].present and name not in needed + possible:
            raise UserError(f"--{name} means nothing for --format={options.format}; leave it out.")
    if options.format == "coco":
        return read_coco(options.annotations, options.images)
    if options.format == "voc":
        labels = read_labels(options.labels) or None
        return read_voc(options.voc_root, options.split, labels, options.skip_difficult)
    if options.format == "tfds":
        return read_tfds(options.tfds_name, options.split, options.tfds_dir or None)
    return SyntheticSet(options.num_images, options.image_size, options.seed)


if __name__ == "__main__":
    run(define_flags, create)
