"""Writes a data set into TFRecord shards that edet trains and evaluates on.

  edet create_tfrecords --output=records/train --data=FOLDER --split=train
  edet create_tfrecords --output=records/train --format=coco
      --annotations=instances_train2017.json --images=train2017
  edet create_tfrecords --output=records/train --format=voc --voc_root=VOC --split=train
  edet create_tfrecords --output=records/train --format=synthetic --num_images=2000
  edet create_tfrecords --output=records/train --format=masks --images=VOC/JPEGImages
      --masks=VOC/SegmentationClass --split=VOC/ImageSets/Segmentation/train.txt
  edet create_tfrecords --output=records/train --format=coco --images=train2017
      --annotations=instances_train2017.json --masks=panoptic_train2017
      --panoptic=panoptic_train2017.json
  edet create_tfrecords --output=records/train --format=tfds --tfds_name=voc/2007
      --split=train

  edet create_tfrecords --runner=beam --beam=runner=DataflowRunner --beam=region=... ...

Beside the shards <output>-00000-of-000nn.tfrecord it writes <output>.labels.yaml for model.labels
(and <output>.mask_labels.yaml for model.segmentation.labels),
<output>.report.json with every image and box that was dropped or changed, and
<output>.manifest.json, by which a second run keeps the shards that are finished. gs:// paths work.
A record is a tf.Example; edet/records/schema.py lists its features.
"""

from __future__ import annotations

import rich
from absl import flags

from edet.cli.common import check_prefix, run
from edet.config.labels import read_labels, read_mask_labels
from edet.errors import UserError
from edet.records.beam import OnBeam
from edet.records.sources.coco import read_coco
from edet.records.sources.example_set import ExampleSet, Relabelled, Source
from edet.records.sources.formats import FORMATS, open_folder
from edet.records.sources.mask_sets import add_masks, add_panoptic, read_mask_set
from edet.records.sources.synthetic import SyntheticSet
from edet.records.sources.tfds import read_tfds
from edet.records.sources.voc import read_voc
from edet.records.writing import write_records
from edet.terminal import say, warn

# Format: (flags it needs, flags it may have).
_FOLDER = (("data",), ("split", "labels", "keep_unused", "val_share", "seed", "exif"))
_FLAGS = {
    "coco": (
        ("annotations", "images"),
        ("labels", "keep_unused", "exif", "masks", "panoptic", "mask_labels"),
    ),
    "voc": (("voc_root",), ("split", "labels", "skip_difficult", "exif", "masks", "mask_labels")),
    "masks": (("images", "masks"), ("split", "mask_labels")),
    "synthetic": (("num_images",), ("image_size", "seed", "labels")),
    "tfds": (("tfds_name", "split"), ("tfds_dir", "labels")),
}


_TEXTS = {
    "data": "Folder of a data set as an annotation tool wrote it, or its annotation file "
    "(docs/data.md).",
    "annotations": "COCO instances JSON.",
    "images": "Folder that the file names in --annotations are relative to.",
    "voc_root": "Folder with Annotations, JPEGImages and ImageSets.",
    "masks": "Folder of PNGs named as the pictures: a class for every pixel, 255 for none.",
    "panoptic": "COCO: panoptic JSON of the PNGs in --masks; its categories are the classes.",
    "mask_labels": "'voc', 'coco' or a YAML file of value: name; empty is 'voc', with 0 as "
    "background.",
    "split": "--data: train, val or test; empty where there are no splits. VOC: a file of "
    "ImageSets/Main; empty takes every xml. Masks: a text file of names. TFDS: a split's name.",
    "labels": "'coco', 'voc', or a YAML file of id: name such as <output>.labels.yaml of "
    "another split; classes are matched by name. Empty takes those of the set.",
    "tfds_name": "Name in the TFDS catalogue, such as voc/2007.",
    "tfds_dir": "Folder of prepared TFDS sets; empty takes TFDS's own.",
}
_NUMBERS = {
    "num_images": (0, "Synthetic scenes."),
    "image_size": (128, "Height and width of synthetic scenes in pixels."),
    "seed": (0, "Of synthetic scenes, sets of different seeds share none; of --val_share."),
    "num_shards": (0, "0 makes shards of about 100 MB."),
    "workers": (0, "Threads that check images; 0 takes one for each processor."),
}


def define_flags(values: flags.FlagValues) -> None:
    """Defines the flags of this tool."""
    flags.DEFINE_string("output", None, "Prefix of all files: records/train.", flag_values=values)
    flags.DEFINE_enum(
        "format", "auto", ["auto", *_FLAGS, *(name for name in FORMATS if name not in _FLAGS)],
        "Kind of data set; auto recognises that of --data.", flag_values=values,
    )  # fmt: skip
    flags.DEFINE_enum(
        "exif", "auto", ["auto", "displayed", "stored"],
        "Which pixels of photos with an EXIF orientation the boxes are of; auto: the annotated "
        "size tells, and where it cannot, the displayed ones.", flag_values=values,
    )  # fmt: skip
    flags.DEFINE_float(
        "val_share", 0.0, "Share of the pictures for --split=val, where --data has no such split; "
        "the others are --split=train.", 0.0, 1.0, flag_values=values,
    )  # fmt: skip
    flags.DEFINE_bool("keep_unused", False, "Keep classes that no box has.", flag_values=values)
    flags.DEFINE_enum(
        "runner", "threads", ["threads", "beam"],
        "Who checks and writes: threads here, or Apache Beam (extra 'beam'; docs/large_scale.md).",
        flag_values=values,
    )  # fmt: skip
    flags.DEFINE_multi_string(
        "beam", [], "An option of Beam or of its runner: --beam=runner=DataflowRunner.",
        flag_values=values,
    )  # fmt: skip
    for name, help_text in _TEXTS.items():
        flags.DEFINE_string(name, "", help_text, flag_values=values)
    for name, (default, help_text) in _NUMBERS.items():
        flags.DEFINE_integer(name, default, help_text, lower_bound=0, flag_values=values)
    flags.DEFINE_bool(
        "skip_difficult", False, "VOC: leave out boxes marked as difficult.", flag_values=values
    )
    flags.DEFINE_bool(
        "shuffle", True,
        "Mixes the images of files, always in the same way; --noshuffle leaves them as they come.",
        flag_values=values,
    )  # fmt: skip
    flags.mark_flags_as_required(["output"], flag_values=values)


def create(options: flags.FlagValues) -> None:
    """Reads the annotations, writes the shards and prints what became of them."""
    on_beam = options.runner == "beam"
    if options.beam and not on_beam:
        raise UserError(f"--beam={options.beam[0]} means nothing without --runner=beam.")
    check_prefix(options.output)
    source = open_source(options)
    if options.shuffle and isinstance(source, ExampleSet):
        source = source.shuffled()
    report = write_records(
        source,
        options.output,
        num_shards=options.num_shards,
        workers=options.workers,
        progress=not on_beam,
        write_shards=OnBeam(options.output, options.beam) if on_beam else None,
    )
    for table in report.tables():
        rich.print(table)
    for sentence in report.sentences(bool(source.mask_labels)):
        warn(sentence)
    kept = f", {report.kept} of them kept from an earlier run" if report.kept else ""
    print(f"{len(report.shards)} shards{kept}; {options.output}.report.json has the details.")


def open_source(options: flags.FlagValues) -> Source:
    """Returns the data set that the flags ask for.

    Raises:
      UserError: a flag that the format needs is missing, or one is given that it does not have.
    """
    if options.format == "auto" and not options.data:
        raise UserError("give --data=FOLDER, or --format with the flags of that format.")
    needed, possible = _FOLDER if options.data else _FLAGS.get(options.format, _FOLDER)
    for name in needed:
        if not options[name].value:
            raise UserError(f"--format={options.format} needs --{name}.")
    every = {name for pair in (_FOLDER, *_FLAGS.values()) for names in pair for name in names}
    for name in sorted(every - set(needed + possible)):
        if options[name].present:
            what = "--data" if options.data else f"--format={options.format}"
            raise UserError(f"--{name} means nothing for {what}; leave it out.")
    source = _open_source(options)
    if options.exif != "auto":
        return source.of_stored_pixels(options.exif == "stored")
    return source


def _open_source(options: flags.FlagValues) -> Source:
    labels = read_labels(options.labels) or None
    if options.data:
        return _open_split(options, labels)
    mask_labels = read_mask_labels(options.mask_labels or "voc")
    if options.format == "masks":
        return read_mask_set(options.images, options.masks, mask_labels, options.split)
    if options.format in ("coco", "voc"):
        source = _open_boxes(options, labels)
        if options.panoptic:
            if not options.masks:
                raise UserError("--panoptic needs --masks, the folder of its PNGs.")
            return add_panoptic(source, options.panoptic, options.masks)
        return add_masks(source, options.masks, mask_labels) if options.masks else source
    if options.format == "tfds":
        source = read_tfds(options.tfds_name, options.split, options.tfds_dir or None)
    else:
        source = SyntheticSet(options.num_images, options.image_size, options.seed)
    return Relabelled(source, labels) if labels else source


def _open_split(options: flags.FlagValues, labels: dict[int, str] | None) -> ExampleSet:
    found = open_folder(
        options.data, options.format, labels, options.keep_unused, options.val_share, options.seed,
        log=say,
    )  # fmt: skip
    if options.split in found:
        return found[options.split]
    if not options.split and len(found) == 1:
        return next(iter(found.values()))
    splits = [split for split in found if split]
    known = f"the splits {', '.join(splits)}" if splits else "no splits"
    advice = " or ".join(f"--split={split}" for split in splits) or "no --split"
    divide = "" if options.val_share else ", or --val_share to divide it"
    raise UserError(
        f"--split={options.split or '(empty)'} is not in {options.data}, which has {known}; give "
        f"{advice}{divide}."
    )


def _open_boxes(options: flags.FlagValues, labels: dict[int, str] | None) -> ExampleSet:
    if options.format == "coco":
        return read_coco(options.annotations, options.images, labels, options.keep_unused)
    return read_voc(options.voc_root, options.split, labels, options.skip_difficult)


if __name__ == "__main__":
    run(define_flags, create)
