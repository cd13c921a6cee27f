"""Reads TFRecords of the TF Object Detection API, as Roboflow, FiftyOne and its own scripts write.

edet trains on most of them as they are. Read as a source they may differ in what training refuses:
classes numbered by each split for itself, names without numbers, empty lists of any kind. Pictures
stay in their files until a shard of them is written.
"""

from __future__ import annotations

import dataclasses
import functools
import posixpath
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field

import tensorflow as tf
from google.protobuf.message import DecodeError

from edet.config.labels import read_labels
from edet.errors import UserError
from edet.records.schema import Example
from edet.records.shards import FRAME_BYTES, read_records, records_at
from edet.records.sources.annotations import AnnotatedImage, AnnotatedObject, Annotations
from edet.records.sources.example_set import ExampleSet, stamps_of
from edet.records.sources.folder import Folder, by_split, usual_split
from edet.records.sources.loose_records import RecordedObject, picture_of, recorded_objects
from edet.records.sources.shapes import BAD_IMAGE, WRONG, Seen, in_words, pixels, read_objects, text

_FILES = tuple(
    f"*.{name}{packed}" for name in ("tfrecord", "tfrecords", "record", "tfrec") for packed in
    ("", ".gz", "-*-of-*", "-*-of-*.gz")
)  # fmt: skip


def splits(folder: Folder) -> dict[str, tuple[str, ...]]:
    """Returns {split: its files} of a folder; {} where there is none, or of another schema."""
    names = folder.matching(*_FILES)
    return by_split(names) if any(_has_pictures(folder.path(name)) for name in names[:20]) else {}


def _has_pictures(file: str) -> bool:
    """Whether the first record has a picture; a file that cannot be read is named by `read`."""
    try:
        return all(picture_of(_features(record)) for record in read_records(file, 1))
    except (KeyError, DecodeError):
        return False
    except UserError:
        return True


def _features(record: bytes) -> dict[str, tf.train.Feature]:
    return dict(tf.train.Example.FromString(record).features.feature)


@dataclass
class RecordAnnotations(Annotations):
    """Annotations whose pictures lie in records: {source id: (file, first byte, file name)}."""

    places: dict[str, tuple[str, int, str]] = field(default_factory=dict)

    def picture(self, image: AnnotatedImage, folder: Folder) -> str:
        """Returns where a picture is."""
        file, offset, _ = self.places[image.source_id]
        return f"{file}#{offset}"

    def example_set(self, examples: list[Example], labels: dict[int, str]) -> ExampleSet:
        """Returns a set that reads pictures when a shard is asked for."""
        names = [self.places[example.source_id][2] for example in examples]
        named = [
            dataclasses.replace(example, filename=name)
            for example, name in zip(examples, names, strict=True)
        ]
        return RecordedPictures(named, labels, self.tally)


class RecordedPictures(ExampleSet):
    """An ExampleSet whose images are places in TFRecord files, "file#first byte"."""

    def shard(self, index: int, num_shards: int) -> Sequence[Example]:
        """Every num_shards-th example from `index` on, with its encoded picture."""
        examples = self.examples[index::num_shards]
        wanted: dict[str, list[int]] = defaultdict(list)
        for example in examples:
            file, offset = _place(example)
            wanted[file].append(offset)
        pictures = {}
        for file, offsets in wanted.items():
            for offset, record in zip(
                sorted(offsets), records_at(file, sorted(offsets)), strict=True
            ):
                pictures[f"{file}#{offset}"] = picture_of(_features(record))["encoded"]
        return [dataclasses.replace(e, image=pictures[e.image]) for e in examples]

    @functools.cached_property
    def _stamps(self) -> list[tuple[int, int]]:
        files = [_place(example)[0] for example in self.examples]
        known = list(set(files))
        stamps = dict(zip(known, stamps_of(known), strict=True))
        return [stamps[file] for file in files]

    def num_bytes(self) -> int:
        """Bytes of the files."""
        return sum(size for size, _ in stamps_of({_place(e)[0] for e in self.examples}))


def _place(example: Example) -> tuple[str, int]:
    file, _, offset = str(example.image).rpartition("#")
    return file, int(offset)


def read(folder: Folder, split: str, files: tuple[str, ...]) -> RecordAnnotations:
    """Returns the annotations of one split.

    Raises:
      UserError: a file is no TFRecord file, or cut off or damaged.
    """
    where = folder.path(files[0])
    found = RecordAnnotations(where, [], "xyxy", relative=True, split=split)
    recorded: list[list[RecordedObject]] = []
    for file in files:
        offset = 0
        for index, record in enumerate(read_records(folder.path(file))):
            place, offset = offset, offset + len(record) + FRAME_BYTES
            what = f"record {index} of {file}"
            try:
                features = _features(record)
                picture, objects = picture_of(features), recorded_objects(features)
            except (DecodeError, *WRONG) as error:
                found.tally.image_problem(what, BAD_IMAGE, in_words(error))
                continue
            name = picture["filename"] or picture["source_id"] or what
            source_id = picture["source_id"] or name
            source_id = what if source_id in found.places else source_id
            found.places[source_id] = folder.path(file), place, posixpath.basename(name)
            size = pixels(picture["height"]), pixels(picture["width"])
            found.images.append(AnnotatedImage(name, source_id, [], *size))
            recorded.append(objects)
    _name_classes(found, recorded, _label_map(folder, split, files))
    return found


def _label_map(folder: Folder, split: str, files: tuple[str, ...]) -> dict[int, str]:
    """Returns the classes of the label_map.pbtxt beside the records, or of the only split."""
    names = folder.matching("*.pbtxt", beside=True)
    folders = set(map(posixpath.dirname, files))
    own = {n: read_labels(folder.path(n)) for n in names if posixpath.dirname(n) in folders}
    for name, labels in own.items():
        if labels != next(iter(own.values())):
            raise UserError(
                f"{folder.path(next(iter(own)))} and {folder.path(name)} number the classes "
                "differently; make records of one folder at a time."
            )
    beside = [n for n in own if posixpath.dirname(n) == posixpath.dirname(files[0])]
    others = [n for n in names if usual_split(n) in (split, "")]
    if beside:
        return own[beside[0]]
    return read_labels(folder.path(others[0])) if others else {}


def _name_classes(
    found: RecordAnnotations, objects: list[list[RecordedObject]], label_map: dict[int, str]
) -> None:
    """Fills in the classes and the objects of the images.

    The names in the records are nearer to the boxes than a file beside them, so they come first;
    where one id has several of them, or there are no ids, classes have names alone.
    """
    named: dict[int, set[str]] = defaultdict(set)
    without_id = False
    for thing in (thing for things in objects for thing in things):
        if thing.class_id is None:
            without_id = True
        else:
            named[thing.class_id].add(thing.name or label_map.get(thing.class_id, ""))
    clash = {class_id: names for class_id, names in named.items() if len(names) > 1}
    if clash:
        class_id, names = next(iter(clash.items()))
        detail = f"{class_id} is {' and '.join(map(repr, sorted(names)))}"
        found.tally.image_problem(found.where, "one id of several classes (taken by name)", detail)
    elif not without_id:
        own = {class_id: next(iter(names)) for class_id, names in named.items()}
        others = {k: name for k, name in label_map.items() if name not in own.values()}
        found.labels = others | {k: name or f"class {k}" for k, name in own.items()}
    for image, things in zip(found.images, objects, strict=True):
        see = functools.partial(_seen, by_id=bool(found.labels))
        image.objects.extend(read_objects(image.name, things, see, found.tally))


def _seen(thing: RecordedObject, by_id: bool) -> Seen:
    ymin, xmin, ymax, xmax = thing.box
    label = thing.class_id if by_id else text(thing.name)
    return Seen(AnnotatedObject(label, (xmin, ymin, xmax, ymax), thing.is_crowd, thing.area))
