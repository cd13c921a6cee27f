"""Makes one of what several files, or several splits, say: pictures, objects and classes."""

from __future__ import annotations

import dataclasses
from collections import defaultdict
from collections.abc import Sequence

from absl import logging

from edet.records.sources.annotations import (
    AnnotatedImage,
    Annotations,
    class_ids,
    common_labels,
)  # fmt: skip
from edet.records.sources.example_set import ExampleSet
from edet.records.sources.folder import Folder

_JOINED = "objects of several files, of a class each (joined)"
_TWICE = "dropped: picture that another file has too"


def examples_of(
    parts: Sequence[Annotations], folder: Folder, labels: dict[int, str] | None = None,
    keep_unused: bool = False,
) -> list[ExampleSet]:  # fmt: skip
    """Returns the splits of a set with one label map, see `common_labels` and `examples`.

    Args:
      parts: the splits, the training split first.
      folder: where the pictures are.
      labels: {id: name}; None takes the files' own.
      keep_unused: keeps classes that no box has.
    """
    settle(parts, folder)
    if labels is None:
        labels, notes = common_labels(parts, keep_unused)
        for note in notes:
            logging.warning("%s", note)
    return [part.examples(labels, folder) for part in parts]


def settle(parts: Sequence[Annotations], folder: Folder) -> None:
    """Settles the splits of a set: their classes have names, their pictures are there once.

    To be done before anything is matched by name or found by likeness.
    """
    for part in parts:
        part.settle(folder)
    _name_the_nameless(parts)
    for part in parts:
        _join_files(part, folder)


def _name_the_nameless(parts: Sequence[Annotations]) -> None:
    """Calls classes that have boxes and no name by their numbers; else they are never detected."""

    def has_none(part: Annotations, class_id: int | str) -> bool:
        return not part.labels.get(class_id, "-").strip()

    ids = {i for part in parts for i in part.used() if has_none(part, i)}
    for i in sorted(ids):
        logging.warning("class %d has boxes and no name; it is called 'class %d'.", i, i)
    for part in parts:
        part.labels |= {i: f"class {i}" for i in ids if has_none(part, i)}


def _join_files(part: Annotations, folder: Folder) -> None:
    """Gives the objects of a picture that several files tell of to the first of its entries.

    If they are of other classes than all of the files before, as of files for a class each;
    otherwise it is another version of the same. A file may list a picture for each of its objects,
    under an id each; an id that is listed again has all objects.
    """
    classes: dict[str, set[int | str]] = defaultdict(set)
    for image in part.images:
        classes[image.file].update(thing.label for thing in image.objects)
    if len(classes) == 1:
        return
    folder = folder.quiet()
    images, part.images = part.images, []
    first: dict[str, AnnotatedImage] = {}  # {place: the entry that gets the objects}
    taken: dict[str, dict[str, set[str]]] = {}  # {place: {file: the ids whose objects it gave}}
    for image in images:
        place = part.place(image, folder)
        files = taken.setdefault(place, {image.file: set()})
        if image.file == next(iter(files)):
            first.setdefault(place, image)
            part.images.append(image)
            continue
        if all(classes[image.file].isdisjoint(classes[file]) for file in files):
            files[image.file] = set()
        what = _TWICE
        if image.source_id not in files.get(image.file, {image.source_id}):
            files[image.file].add(image.source_id)
            first[place].objects.extend(image.objects)
            what = _JOINED
        part.tally.image_problem(image.name, what, image.file)


def joined(parts: Sequence[Annotations]) -> Annotations:
    """Returns the annotations of several files of one split as one, classes matched by name."""
    first, *others = parts
    if not others:
        return first
    has_ids = any(part.labels for part in parts)
    labels = common_labels(parts, keep_unused=True)[0] if has_ids else {}
    images: list[AnnotatedImage] = []
    for part in parts:
        ids = class_ids(part, labels) if has_ids else {}
        for image in part.images:
            objects = image.objects
            if has_ids:  # a number that its own file does not name is no class of another file
                objects = [
                    o._replace(label=ids.get(o.label, o.label if isinstance(o.label, str) else -1))
                    for o in objects
                ]
            where = {"base": part.base_of(image), "file": image.file or part.where}
            images.append(image._replace(objects=objects, **where))
    for part in others:
        first.tally.add(part.tally)
    return dataclasses.replace(first, images=images, labels=labels)
