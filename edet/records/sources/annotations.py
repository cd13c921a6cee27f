"""What a reader of an annotation format gives, whatever the format, and the examples of it.

A reader only reads: names of pictures, classes and four numbers a box, as they stand in the file.
Here classes get the ids of the set, pictures their files, and boxes their corners.
"""

from __future__ import annotations

import dataclasses
import posixpath
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np

from edet.config.labels import tidy_name
from edet.errors import UserError
from edet.files import reason
from edet.records.schema import Example, box_areas
from edet.records.sources.example_set import ExampleSet, Tally
from edet.records.sources.folder import PACKED, Folder
from edet.records.sources.units import BoxFormat, check_units, to_yxyx


class AnnotatedObject(NamedTuple):
    """One object: its class by id (then `Annotations.labels` has it) or by name, and its box."""

    label: int | str
    box: tuple[float, float, float, float]  # of `Annotations.box_format`
    is_crowd: bool = False
    area: float = 0.0  # pixels squared; 0 stands for that of the box


class AnnotatedImage(NamedTuple):
    """One picture as an annotation file tells of it; a picture without objects is one too."""

    name: str  # as in the file; `Folder.find` finds it
    source_id: str  # the data set's own name of the picture
    objects: list[AnnotatedObject]
    height: int = -1  # pixels, as annotated; -1 where the file does not say
    width: int = -1
    base: str | None = None  # the folder that the name starts from; None: `Annotations.base`
    file: str = ""  # that tells of it; the folder of files of a picture each; "": it has no other


@dataclass
class Annotations:
    """The annotations of one split of a data set.

    Attributes:
      where: the file or folder, for messages.
      images: in the order of the file.
      box_format: which four numbers a box is.
      relative: they are shares of the picture's sides, 0-1, not pixels.
      labels: {id: name} as the set numbers its classes; {} where it only has names.
      tally: what was dropped or changed while reading.
      base: the folder, from the data set's root, that the names of pictures start from.
      split: "train", "val", "test", or "" for a set without splits.
    """

    where: str
    images: list[AnnotatedImage]
    box_format: BoxFormat
    relative: bool = False
    labels: dict[int, str] = field(default_factory=dict)
    tally: Tally = field(default_factory=Tally)
    base: str = ""
    split: str = ""

    def used(self) -> Counter[int | str]:
        """{id or name of a class: objects}."""
        return Counter(thing.label for image in self.images for thing in image.objects)

    def boxes(self) -> np.ndarray:
        """The four numbers of every object of all images, [n, 4] float64.

        Raises:
          UserError: they look like another format's.
        """
        things = [thing for image in self.images for thing in image.objects]
        sizes = [(image.width, image.height) for image in self.images for _ in image.objects]
        boxes = np.array([thing.box for thing in things], np.float64).reshape(-1, 4)
        areas = np.array([thing.area for thing in things], np.float64)
        check_units(
            boxes, np.array(sizes).reshape(-1, 2), areas, self.box_format, self.relative, self.where
        )
        return boxes

    def examples(self, labels: dict[int, str], folder: Folder) -> ExampleSet:
        """Returns the set with ids of `labels`, matched by name, and files of `folder`.

        Boxes of other classes, and pictures that are not there, are dropped and reported.

        Raises:
          UserError: the boxes look like another format's, a class has a name that nothing can
            write, or not one picture is there.
        """
        boxes = to_yxyx(self.boxes(), self.box_format)
        _check_names(labels, self.where)
        ids = class_ids(self, labels)
        examples, missing = [], []
        seen: dict[str, str] = {}  # {source id: path}
        ids_of: dict[str, str] = {}  # {path: the source id that it has first}
        end = 0
        for image in self.images:
            start, end = end, end + len(image.objects)
            try:
                image.source_id.encode()  # refuses half of a letter ("\\ud83d")
                path = self.picture(image, folder)
            except (LookupError, OSError, ValueError) as error:
                missing.append(str(error) if isinstance(error, LookupError) else reason(error))
                what = "dropped: image missing or unreadable"
                self.tally.image_problem(image.name, what, missing[-1])
                continue
            if seen.get(image.source_id, path) != path:  # two files number their pictures alike
                own = posixpath.relpath(path, folder.root)
                image = image._replace(source_id=own)
            if image.source_id in seen:
                what = "dropped: image id is given twice"
                self.tally.image_problem(image.name, what, image.source_id)
                continue
            seen[image.source_id] = path
            if (other := ids_of.setdefault(path, image.source_id)) != image.source_id:
                what = "given under two ids (both written; are the objects of one missing?)"
                self.tally.image_problem(image.name, what, f"{other} and {image.source_id}")
            examples.append(self._example(image, path, boxes[start:end], ids, labels))
        times = Counter(name for name, _ in {(one.filename, one.image) for one in examples})
        for k, one in enumerate(examples):  # a report names each file
            if times[one.filename] > 1:
                own = posixpath.relpath(one.image, folder.root)
                examples[k] = dataclasses.replace(one, filename=own)
        if missing and not examples:
            packed = [] if folder.pictures else folder.matching(*PACKED, beside=True)
            hint = f"; {packed[0]} is packed, so unpack it if they are within" if packed else ""
            raise UserError(f"{self.where}: no picture was found; the first: {missing[0]}{hint}.")
        return self.example_set(examples, labels)

    def picture(self, image: AnnotatedImage, folder: Folder) -> str:
        """Returns the path of a picture; raises what `Folder.find` does."""
        if not folder.files:  # it is said by picture when the shards are written
            return folder.path(image.name)
        return folder.find(image.name, self.base_of(image), self.split)

    def place(self, image: AnnotatedImage, folder: Folder) -> str:
        """Returns the path of a picture, or what it would be where the picture is not there."""
        try:
            return self.picture(image, folder)
        except (LookupError, OSError, ValueError):
            return folder.path(posixpath.normpath(posixpath.join(self.base_of(image), image.name)))

    def settle(self, folder: Folder) -> None:
        """Makes names of classes one line, and keeps pictures that are named as they are written.

        Of all splits before anything is matched by name or found by likeness: `joining.settle`.
        """
        self.labels = {class_id: tidy_name(name) for class_id, name in self.labels.items()}
        for image in self.images:
            for k, thing in enumerate(image.objects):
                name = thing.label
                if isinstance(name, str) and (tidy := tidy_name(name)) != name:
                    image.objects[k] = thing._replace(label=tidy)
        folder.claim((self.base_of(image), image.name) for image in self.images)

    def base_of(self, image: AnnotatedImage) -> str:
        """The folder, from the data set's root, that the name of one of the images starts from."""
        return self.base if image.base is None else image.base

    def example_set(self, examples: list[Example], labels: dict[int, str]) -> ExampleSet:
        """Returns the set of these examples."""
        return ExampleSet(examples, labels, self.tally)

    def _example(
        self, image: AnnotatedImage, path: str, boxes: np.ndarray, ids: dict[int | str, int],
        labels: dict[int, str],
    ) -> Example:  # fmt: skip
        """Returns the example of a picture, `boxes` those of its objects, yxyx."""
        kept = [thing for thing in image.objects if thing.label in ids]
        if len(kept) < len(boxes):
            boxes = boxes[[thing.label in ids for thing in image.objects]]
        for label, count in Counter(o.label for o in image.objects if o.label not in ids).items():
            name = self.labels.get(label, str(label)) if isinstance(label, int) else label
            what = "dropped: class not in the labels"
            self.tally.box_problem(image.name, what, count, name or f"class {label!r}")
        flipped = (boxes[:, 2:] < boxes[:, :2]).any(axis=1)
        what = "drawn from another corner (negative width or height; corners put in order)"
        self.tally.box_problem(image.name, what, np.sum(flipped))
        if flipped.any():
            corners = np.stack([boxes[:, :2], boxes[:, 2:]])
            boxes = np.concatenate([corners.min(0), corners.max(0)], axis=1)
        boxes = boxes.astype(np.float32)
        areas = np.array([thing.area for thing in kept], np.float32)
        return Example(
            image=path,
            source_id=image.source_id,
            boxes=boxes,
            class_ids=np.array([ids[thing.label] for thing in kept], np.int64),
            height=image.height,
            width=image.width,
            is_crowd=np.array([thing.is_crowd for thing in kept], bool),
            areas=np.where(areas > 0, areas, box_areas(boxes)),
            relative=self.relative,
        )


def _check_names(labels: dict[int, str], where: str) -> None:
    for class_id, name in labels.items():
        try:
            name.encode()
        except UnicodeEncodeError as error:
            raise UserError(
                f"{where}: the name of class {class_id}, {name!r}, holds half of a letter, which "
                "nothing can write; mend it."
            ) from error


def class_ids(part: Annotations, labels: dict[int, str]) -> dict[int | str, int]:
    """Returns {id or name in one split: id in `labels`}, by name; other classes are left out."""
    by_name = {name: class_id for class_id, name in reversed(labels.items()) if name}
    if not part.labels:
        return dict(by_name)
    return {
        class_id: class_id if labels.get(class_id) == name else by_name[name]
        for class_id, name in part.labels.items()
        if labels.get(class_id) == name or name in by_name
    }


def common_labels(
    parts: Sequence[Annotations], keep_unused: bool = False
) -> tuple[dict[int, str], list[str]]:
    """Returns one label map for all splits of a set, and what had to be done for it, in words.

    Where the splits agree, ids stay those of the files. Where one lists other classes or numbers
    them anew, the first split's ids are taken and the others' classes follow by name. Classes that
    are only named are numbered from 1 in the order of the alphabet.

    Args:
      parts: the splits, the training split first.
      keep_unused: keeps classes that no box has.
    """
    used: Counter[int | str] = Counter()
    labels: dict[int, str] = {}
    notes = []
    for part in parts:
        known = {name: class_id for class_id, name in reversed(labels.items())}
        for class_id, name in part.labels.items():
            if labels.get(class_id, name) == name and known.get(name, class_id) == class_id:
                labels[class_id] = name
            elif name not in known:  # another class has its id
                labels[max(labels) + 1] = name
        ids = class_ids(part, labels) if part.labels else None
        if ids is not None and (moved := {k: i for k, i in ids.items() if k != i}):
            first = next(iter(moved))
            notes.append(
                f"{part.where} numbers its classes in its own way ({first} is "
                f"{part.labels[first]!r}, {moved[first]} in the other split); they are matched by "
                "name."
            )
        for label, count in part.used().items():
            used[label if ids is None else ids.get(label, label)] += count
    if not labels:
        names = filter(str.strip, map(str, used))  # one that is empty is no class's
        return dict(enumerate(sorted(names), start=1)), notes
    unused = [class_id for class_id in labels if not used[class_id]]
    if unused and not keep_unused and len(unused) < len(labels):
        listed = ", ".join(f"{i} {labels[i]!r}" for i in unused[:5])
        more = f" and {len(unused) - 5} more" if len(unused) > 5 else ""
        notes.append(
            f"no box has the class {listed}{more}; left out of the labels (--keep_unused keeps "
            "them)."
        )
        labels = {i: name for i, name in labels.items() if i not in unused}
    notes += _of_one_name(labels)
    return dict(sorted(labels.items())), notes


def _of_one_name(labels: dict[int, str]) -> Iterator[str]:
    """Says which classes have one name, as some mergers of COCO files leave them."""
    by_name = defaultdict(list)
    for class_id, name in sorted(labels.items()):
        by_name[name].append(str(class_id))
    for name, ids in by_name.items():
        if name and len(ids) > 1:
            yield (
                f"the classes {' and '.join(ids)} have one name, {name!r}, and are classes of "
                "their own; if they are one, give their objects one id in the annotations."
            )
