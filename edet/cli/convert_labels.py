"""Writes records, or what was detected, as COCO JSON, YOLO text or Pascal VOC xml, with pictures.

  edet convert_labels --records='records/val-*' --labels=records/val.labels.yaml \\
      --to=coco --output=val_coco
  edet convert_labels --detections=runs/mine/detections.json --records='records/val-*' \\
      --min_score=0.5 --to=yolo --output=to_correct
  edet convert_labels --detections=found/predictions.json --to=voc --output=to_correct

So that an annotation tool can open and correct them; edet create_tfrecords reads what it saves.
Detections of an evaluation stand in the place of the records' boxes. Those of a prediction bring
the pictures that they name; detections.jsonl names only those in which something was found. Frames
of videos are left out. What a format cannot hold is said. gs:// paths work.
"""

from __future__ import annotations

import itertools
import json
import os
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import rich.progress
import tensorflow as tf
from absl import flags

from edet.cli.common import run
from edet.config.labels import read_labels
from edet.errors import UserError
from edet.evaluation.coco_format import ImageId, check_entries, parse_image_id
from edet.files import content_of, read_json, read_text, reason
from edet.geometry.boxes import xywh_to_yxyx
from edet.globs import find_files
from edet.image.decode import exif_orientation
from edet.image.header import stored_size
from edet.image.transcode import BadImage, make_plain
from edet.input.ground_truth import ground_truth, read_ground_truth, with_size
from edet.ownership import owned
from edet.records.label_files import LABEL_FORMATS, write_labels
from edet.records.schema import Example, parse_example
from edet.records.shards import check_records, read_records

Names = dict[int, set[str]]  # {class id: what it is called, "" where it is not}


def define_flags(values: flags.FlagValues) -> None:
    """Defines the flags of this tool."""
    text = {
        "records": ("", "Glob of shards, or several with commas."),
        "detections": ("", "detections.json of an evaluation, with the --records that it was of; "
                       "or predictions.json or detections.jsonl of a prediction."),
        "labels": ("", "coco, voc or a YAML file of id: name; empty takes the names in the records "
                   "or in predictions.json."),
        "output": (None, "Folder to write to; it may hold other splits of the same set."),
    }  # fmt: skip
    for name, (default, help_text) in text.items():
        flags.DEFINE_string(name, default, help_text, flag_values=values)
    flags.DEFINE_enum("to", None, list(LABEL_FORMATS), "Format to write.", flag_values=values)
    flags.DEFINE_enum("split", "train", ["train", "val", "test"], "What the pictures are for.",
                      flag_values=values)  # fmt: skip
    flags.DEFINE_float("min_score", 0.4, "Detections below it are left out.", 0, 1,
                       flag_values=values)  # fmt: skip
    flags.DEFINE_bool("pictures", True, "Write them, too.", flag_values=values)
    flags.mark_flags_as_required(["to", "output"], flag_values=values)


def convert(options: flags.FlagValues) -> None:
    """Reads records or detections, writes the labels, and says what was left out.

    Raises:
      UserError: nothing can be read, classes have no names, or the output is in use.
    """
    if not options.records and not options.detections:
        raise UserError("convert_labels needs --records, or --detections of a prediction.")
    if options["min_score"].present and not options.detections:
        raise UserError("--min_score means nothing without --detections; leave it out.")
    notes: list[str] = []
    found = None
    if options.detections:
        found = _read_detections(options, notes)
    if options.records:
        files = find_files(options.records, "--records")
        checked = check_records(files, every_record=True)
        names = checked.class_names if found is None else found.names | checked.class_names
        if found is not None:
            _check_known(found, files, options, notes)
        if not checked.num_records:
            raise UserError(f"--records={options.records} holds no record; look for another glob.")
        if checked.has_masks:
            notes.append("the masks of the records are left out.")
        examples, total = _of_records(files, found), checked.num_records
    else:
        names, total = found.names, len(found.pictures)
        examples = _of_pictures(found, notes)
    labels = _label_map(options.labels, names)
    examples = rich.progress.track(examples, "Converting", total, transient=True)
    lock = os.path.join(options.output, "convert.lock")
    with owned(lock, options.output, "a conversion", "use another --output"):
        count, boxes, more = write_labels(
            examples, labels, options.to, options.output, options.split, options.pictures
        )
    for note in (*more, *notes):
        print(f"note: {note}")
    print(f"{count} pictures with {boxes} objects are in {options.output}.")


@dataclass
class _Found:
    """{image id, or path of a picture: COCO results}, of pictures without any too."""

    pictures: dict[ImageId, list[dict[str, Any]]] = field(default_factory=dict)
    names: Names = field(default_factory=lambda: defaultdict(set))


def _read_detections(options: flags.FlagValues, notes: list[str]) -> _Found:
    """Returns the detections of a file from `min_score` on, by image id where records are given."""
    path, found, frames = options.detections, _Found(), 0
    key = "image_id" if options.records else "file_name"
    results: list[Any] = []
    pictures = found.pictures
    for entry in _entries(path):
        if isinstance(entry, Mapping) and ("frame" in entry or "frames" in entry):
            frames += 1
        elif isinstance(entry, Mapping) and isinstance(entry.get("detections"), list):
            file = str(entry.get("file"))  # of predictions.json
            pictures.setdefault(parse_image_id(file), [])
            results += [
                {**result, "file_name": file} if isinstance(result, Mapping) else result
                for result in entry["detections"]
            ]
        else:
            results.append(entry)
    if not all(isinstance(result, Mapping) for result in results):
        raise UserError(f"detections {path} is no list of results; give what edet wrote.")
    if not options.records and any("file_name" not in result for result in results):
        raise UserError(f"{path} names no files of pictures; give the --records that it is of.")
    named = [{**result, "image_id": result.get(key)} for result in results]
    check_entries(named, "detections", f"detections {path}")
    for result in named:
        if result["score"] >= options.min_score:
            pictures.setdefault(parse_image_id(result["image_id"]), []).append(result)
            found.names[result["category_id"]].add(str(result.get("category") or ""))
    if frames:
        notes.append(f"{frames} entries of videos are left out.")
    if not pictures and not options.records:
        raise UserError(f"{path} has no picture with a score of {options.min_score} or more.")
    return found


def _entries(path: str) -> list[Any]:
    if not path.endswith(".jsonl"):
        entries = read_json(path, "detections")
        if not isinstance(entries, list):
            raise UserError(f"detections {path} is no list; give what edet eval or predict wrote.")
        return entries
    entries = []
    for number, line in enumerate(read_text(path, "detections").split("\n"), start=1):
        try:
            entries += [json.loads(line)] if line.strip() else []
        except ValueError as error:
            raise UserError(f"line {number} of detections {path} is not JSON: {error}.") from error
    return entries


def _check_known(
    found: _Found, files: list[str], options: flags.FlagValues, notes: list[str]
) -> None:
    """Refuses detections of other records; some of other pictures are noted."""
    known = {parse_image_id(truth.source_id) for truth in read_ground_truth(files)}
    unknown = [image_id for image_id in found.pictures if image_id not in known]
    if unknown and len(unknown) == len(found.pictures):
        raise UserError(
            f"none of the pictures of {options.detections}, such as {unknown[0]!r}, is in "
            f"--records={options.records}; give those that were evaluated."
        )
    if unknown:
        notes.append(
            f"detections of {len(unknown)} pictures that the records do not hold are left out, "
            f"first {unknown[0]!r}."
        )


def _label_map(given: str, names: Names) -> dict[int, str]:
    """Returns {id: name} of the classes that have a name, in rising order.

    Raises:
      UserError: a class of an object has no name, or two.
    """
    labels = {class_id: name for class_id, name in sorted(read_labels(given).items()) if name}
    for class_id, texts in sorted(names.items()):
        called = sorted(texts - {""})
        if given and class_id not in labels:
            raise UserError(f"class {class_id} has no name in --labels={given}; add it there.")
        if not given and len(called) != 1:
            is_called = f"is called {' and '.join(map(repr, called))}" if called else "has no name"
            raise UserError(f"class {class_id} {is_called}; give --labels, a YAML of id: name.")
        labels.setdefault(class_id, *called[:1])
    return dict(sorted(labels.items()))


def _of_records(files: list[str], found: _Found | None) -> Iterator[Example]:
    """Yields the records, with what was found in the place of their boxes where that is given."""
    for serialized in itertools.chain.from_iterable(map(read_records, files)):
        record = {key: value.numpy() for key, value in _parse(serialized).items()}
        yield _of_record(record, found)


@tf.function(input_signature=[tf.TensorSpec([], tf.string)], autograph=False)
def _parse(serialized: tf.Tensor) -> dict[str, tf.Tensor]:
    key = "image/filename"
    name = tf.io.parse_single_example(serialized, {key: tf.io.FixedLenFeature([], tf.string, "")})
    example = parse_example(serialized)
    orientation = exif_orientation(example["encoded"])
    return {**example, "filename": name[key], "orientation": orientation}


def _is_plain(record: dict[str, Any]) -> bool:
    """Whether a picture is an upright JPEG or PNG of the size that its record says."""
    recorded = int(record["height"]), int(record["width"])
    if min(recorded) < 1 or record["orientation"] != 1:
        return False
    try:
        return recorded == tuple(stored_size(tf.constant(record["encoded"])).numpy())
    except tf.errors.InvalidArgumentError:  # of a damaged JPEG, of which `make_plain` says more
        return False


def _of_record(record: dict[str, Any], found: _Found | None) -> Example:
    encoded, height, width = record["encoded"], int(record["height"]), int(record["width"])
    if not _is_plain(record):
        try:
            picture = make_plain(encoded, height, width)
        except BadImage as error:
            name = record["source_id"].decode(errors="replace")
            raise UserError(f"image {name} of the records {error}; write it again.") from error
        encoded, height, width = picture.encoded, picture.height, picture.width
    truth = ground_truth(with_size(record, height, width))
    name = record["filename"].decode(errors="replace")
    if found is not None:
        results = found.pictures.get(parse_image_id(truth.source_id), [])
        return _of_results(results, encoded, truth.source_id, height, width, name)
    return Example(
        encoded, truth.source_id, truth.boxes, truth.class_ids, height, width,
        is_crowd=truth.is_crowd, areas=truth.areas, filename=name,
    )  # fmt: skip


def _of_pictures(found: _Found, notes: list[str]) -> Iterator[Example]:
    """Yields the pictures that a prediction has looked at; those that cannot be read are noted."""
    are_read = False
    for path, results in found.pictures.items():
        try:
            picture = make_plain(content_of(str(path)))
        except (BadImage, OSError, tf.errors.OpError) as error:
            why = str(error) if isinstance(error, BadImage) else reason(error)
            notes.append(f"{path} is left out: {why}.")
            continue
        are_read, name = True, os.path.basename(str(path))
        yield _of_results(
            results, picture.encoded, os.path.splitext(name)[0], picture.height, picture.width, name
        )
    if not are_read:
        raise UserError(f"no picture of the detections can be read; the first: {notes[-1]}")


def _of_results(
    results: Iterable[Mapping[str, Any]], encoded: bytes, source_id: str, height: int, width: int,
    name: str,
) -> Example:  # fmt: skip
    """Returns a picture with the detections in it as its objects, clipped to it."""
    results = list(results)
    boxes = xywh_to_yxyx(np.array([r["bbox"] for r in results], np.float64).reshape(-1, 4))
    boxes = np.clip(boxes, 0, [height, width] * 2)
    kept = (boxes[:, 2:] > boxes[:, :2]).all(axis=1)
    ids = np.array([result["category_id"] for result in results], np.int64)
    return Example(encoded, source_id, boxes[kept], ids[kept], height, width, filename=name)


if __name__ == "__main__":
    run(define_flags, convert)
