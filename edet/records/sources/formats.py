"""Which annotation formats there are, which of them a folder holds, and its splits."""

from __future__ import annotations

import dataclasses
import os
import posixpath
import re
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass

import tensorflow as tf
from absl import logging

from edet.errors import UserError
from edet.records.sources import (
    box_csv,
    coco,
    createml,
    cvat,
    darwin,
    datumaro,
    imagefolder,
    json_lines,
    kitti,
    label_studio,
    labelme,
    open_images,
    picture_lists,
    picture_texts,
    scalabel,
    supervisely,
    tfrecord,
    unknown,
    via,
    visdrone,
    voc,
    vott,
    yolo,
)
from edet.records.sources.annotations import Annotations, common_labels
from edet.records.sources.example_set import ExampleSet, Tally
from edet.records.sources.folder import Folder, stem_of
from edet.records.sources.joining import settle
from edet.records.sources.shapes import NO_FILE
from edet.records.sources.split import divide
from edet.records.sources.split_lists import by_folders, by_lists

Splits = dict[str, tuple[str, ...]]
_REST = "rest"
OF_OTHERS = "dropped: picture with labels of another format alone"
_ROOMS = ("annotations", "labels", "ann")  # of annotations alone
_ORDER = {"train": 0, "": 1, "trainval": 2, "val": 3, "test": 4}


@dataclass(frozen=True)
class Format:
    """One annotation format.

    Attributes:
      splits: returns {split: files that `read` takes} of a folder, split "" where it has none;
        {} where the folder is not of this format. It looks at names and at heads of files.
      read: returns the annotations of one split.
    """

    splits: Callable[[Folder], Splits]
    read: Callable[[Folder, str, tuple[str, ...]], Annotations]


# In the order in which a folder is tried; the first whose `splits` finds something is taken.
FORMATS: dict[str, Format] = {
    "yolo": Format(yolo.splits, yolo.read),
    "datumaro": Format(datumaro.splits, datumaro.read),
    "darwin": Format(darwin.splits, darwin.read),
    "coco": Format(coco.splits, coco.read),
    "voc": Format(voc.splits, voc.read),
    "labelme": Format(labelme.splits, labelme.read),
    "label_studio": Format(label_studio.splits, label_studio.read),
    "createml": Format(createml.splits, createml.read),
    "supervisely": Format(supervisely.splits, supervisely.read),
    "cvat": Format(cvat.splits, cvat.read),
    "via": Format(via.splits, via.read),
    "kitti": Format(kitti.splits, kitti.read),
    "open_images": Format(open_images.splits, open_images.read),
    "csv": Format(box_csv.splits, box_csv.read),
    "tfrecord": Format(tfrecord.splits, tfrecord.read),
    # What came later takes no folder from what was read before it.
    "vott": Format(vott.splits, vott.read),
    "scalabel": Format(scalabel.splits, scalabel.read),
    "visdrone": Format(visdrone.splits, visdrone.read),
    "imagefolder": Format(imagefolder.splits, imagefolder.read),
    "wider_face": Format(picture_lists.wider_splits, picture_lists.read_wider),
    "keras_yolo": Format(picture_lists.keras_yolo_splits, picture_lists.read_keras_yolo),
    "dota": Format(picture_texts.dota_splits, picture_texts.read_dota),
    "oidv4": Format(picture_texts.oidv4_splits, picture_texts.read_oidv4),
    "json_lines": Format(json_lines.splits, json_lines.read),
}


def open_folder(
    data: str,
    format_name: str = "auto",
    labels: dict[int, str] | None = None,
    keep_unused: bool = False,
    val_share: float = 0.0,
    seed: int = 0,
    log: Callable[[str], None] = logging.warning,
) -> dict[str, ExampleSet]:
    """Returns the splits of a data set as it lies on the disk, with one label map for all.

    Args:
      data: the folder, or one annotation file with its pictures below the file's folder.
      format_name: of FORMATS; "auto" recognises it.
      labels: {id: name} that classes are matched with by name; None takes the set's own.
      keep_unused: keeps classes that no box has.
      val_share: the share of pictures that "val" gets where there is no such split, by `divide`.
      seed: of that choice.
      log: told what was recognised, and what had to be matched or left out.

    Returns:
      {"train", "val", "test" or "" (no splits): its examples}.

    Raises:
      UserError: the folder holds no set, annotations cannot be read, or no picture is found.
    """
    folder, name, found = recognise(data, format_name)
    parts = {split: FORMATS[name].read(folder, split, files) for split, files in found.items()}
    counts = ", ".join(f"{k or 'all'} {len(part.images):,}" for k, part in parts.items())
    log(f"{data} is a set of the format {name}: {counts} pictures.")
    if all(len(part.images) == part.tally.images[NO_FILE] > 0 for part in parts.values()):
        raise UserError(
            f"{data} is a set of the format {name}, but not one of its pictures has labels; are "
            "their files there? (One that is empty makes its picture one without objects.)"
        )
    settle(list(parts.values()), folder)
    if list(parts) == [""]:
        parts = by_lists(parts[""], folder, log) or by_folders(parts[""], folder, log)
    if "" in parts and len(parts) > 1:
        _name_rest(parts, log)
    if "val" in parts and _same_pictures(parts["val"], parts.get("train"), folder):
        log(f"{parts['val'].where}: the split val is the split train; AP of it would mean nothing.")
        if val_share:
            del parts["val"]
    if val_share and "val" not in parts and {"train", ""} & parts.keys():
        log(_divide(parts, val_share, seed))
    ordered = sorted(parts, key=lambda split: _ORDER.get(split, len(_ORDER)))
    if labels is None:
        labels, notes = common_labels([parts[split] for split in ordered], keep_unused)
        for note in notes:
            log(note)
    for note in _almost_alike(labels.values()):
        log(note)
    sets = {split: parts[split].examples(labels, folder) for split in ordered}
    if format_name == "auto":
        for other, lost in _labels_of_others(folder, name, list(sets.values())):
            log(_leave_out(lost, other, name, folder, sets.values()))
    for note in (*_without_files(sets.values()), *_left_out(folder, name, list(sets.values()))):
        log(note)
    return sets


def _without_files(sets: Iterable[ExampleSet]) -> Iterator[str]:
    """Says how many pictures have no file of labels, where these are more than a tenth."""
    counts = [(source.tally.images[NO_FILE], len(source)) for source in sets]
    without, pictures = map(sum, zip(*counts, strict=True))
    if 10 * without > pictures:
        yield (
            f"{without:,} of the {pictures:,} pictures have no file of labels, and are taken as "
            "without objects; move those that nobody has labelled elsewhere."
        )


def _almost_alike(names: Iterable[str]) -> Iterator[str]:
    """Says which names differ in capital letters, spaces and dashes alone."""
    by_key: dict[str, list[str]] = defaultdict(list)
    for name in dict.fromkeys(names):
        by_key[re.sub(r"[\s_-]+", " ", name.casefold())].append(name)
    for alike in by_key.values():
        if len(alike) > 1:
            yield (
                f"the classes {' and '.join(map(repr, alike))} are called almost alike, and are "
                "classes of their own; if they are one, give them one name in the annotations."
            )


def _left_out(folder: Folder, name: str, sets: Sequence[ExampleSet]) -> Iterator[str]:
    """Says where pictures are that nothing which was read names, a sentence or none."""
    if name == "tfrecord" or folder.only:
        return
    named = {example.image for source in sets for example in source.examples}
    named |= {folder.path(one["file"]) for source in sets for one in source.tally.problems}
    rooms = Counter(
        posixpath.dirname(name) for name in folder.pictures if folder.path(name) not in named
    )
    if rooms:
        listed = [f"{count:,} in {room or folder.root}" for room, count in rooms.most_common(3)]
        others = [f"{len(rooms) - 3} other folders"] if len(rooms) > 3 else []
        where = ", ".join(listed + others)
        yield f"pictures that no annotation of the format {name} names are left out: {where}."


def _labels_of_others(
    folder: Folder, name: str, sets: Sequence[ExampleSet]
) -> Iterator[tuple[str, dict[str, str]]]:
    """Yields other formats, and {path: name} of the pictures that have labels in that one alone.

    Args:
      folder: of the set.
      name: of the format that was read.
      sets: what was read.
    """
    pictures = {example.image for source in sets for example in source.examples}
    problems = (problem for source in sets for problem in source.tally.problems)
    without = {folder.path(one["file"]) for one in problems if one["what"] == NO_FILE}
    labelled = pictures - without
    rest = set(map(folder.path, folder.pictures)) - labelled
    if not rest:
        return
    done = set(map(stem_of, labelled)) - set(map(stem_of, rest))
    later = list(FORMATS)[list(FORMATS).index(name) + 1 :]
    for other in later:
        if other == "tfrecord":  # its records have pictures of their own
            continue
        try:
            lost = dict(_labelled_by(FORMATS[other], folder.unclaimed(), rest, done))
        except UserError:
            continue  # then it is no set of that format
        if lost:
            yield other, lost


def _leave_out(
    lost: dict[str, str], other: str, name: str, folder: Folder, sets: Iterable[ExampleSet]
) -> str:
    """Takes pictures with labels of another format, {path: name}, for no background; says so."""
    for source in sets:
        source.examples = [one for one in source.examples if one.image not in lost]
        for problem in source.tally.problems:
            if problem["what"] == NO_FILE and folder.path(problem["file"]) in lost:
                problem["what"] = OF_OTHERS
                source.tally.images.update({NO_FILE: -1, OF_OTHERS: 1})
        source.tally.images = +source.tally.images
    return (
        f"warning: pictures such as {next(iter(lost.values()))} ({len(lost):,} in all) have labels "
        f"of the format {other} alone, and are left out: convert them to {name}, or make records "
        f"of them with create_tfrecords --format={other}."
    )


def _labelled_by(
    other: Format, folder: Folder, wanted: set[str], done: set[str]
) -> Iterator[tuple[str, str]]:
    """Yields paths and names of pictures, of those wanted, in which a format has objects.

    Args:
      other: the format.
      folder: of the set.
      wanted: paths of pictures.
      done: stems of pictures; files of annotations that are called like these are not read, since
        most formats have one for each picture.
    """
    for split, files in other.splits(folder).items():
        if files := tuple(f for f in files if stem_of(posixpath.splitext(f)[0]) not in done):
            part = other.read(folder, split, files)
            for image in part.images:
                if image.objects and (place := part.place(image, folder)) in wanted:
                    yield place, image.name


def _divide(parts: dict[str, Annotations], val_share: float, seed: int) -> str:
    """Divides what there is to train on into "train" and "val"; returns how, in a sentence."""
    whole = parts.pop("train", None) or parts.pop("")
    train, val, how = divide(whole.images, val_share, seed)
    parts["train"] = dataclasses.replace(whole, images=train)
    parts["val"] = dataclasses.replace(whole, images=val, tally=Tally())
    return how


def _name_rest(parts: dict[str, Annotations], log: Callable[[str], None]) -> None:
    """Gives what is of no split beside others a name: "train" where there is none of that name."""
    whole = parts.pop("")
    if "train" not in parts:
        parts["train"] = whole
    elif whole.images:
        parts[_REST] = whole
        log(
            f"{len(whole.images):,} pictures, such as {whole.images[0].name}, are of no split that "
            f"edet knows by its name; they are the split {_REST!r}, which no training takes."
        )
    else:
        parts["train"].tally.add(whole.tally)


def _same_pictures(first: Annotations, second: Annotations | None, folder: Folder) -> bool:
    """Whether two splits have the same files; equal names may lie in folders of their own."""
    if not second or {i.name for i in first.images} != {i.name for i in second.images}:
        return False

    paths = [{part.place(image, folder) for image in part.images} for part in (first, second)]
    return paths[0] == paths[1]


def recognise(data: str, format_name: str = "auto") -> tuple[Folder, str, Splits]:
    """Returns a data set's folder, the name of its format, and its splits.

    Raises:
      UserError: the folder is empty, or of no format, or not of this one.
    """
    data = os.path.expanduser(data)
    is_file = tf.io.gfile.exists(data) and not tf.io.gfile.isdir(data)
    folder = _home(data) if is_file else Folder(data)
    if is_file:
        folder.only = os.path.relpath(data, folder.root).replace(os.sep, "/")
    if not folder.files:
        raise UserError(f"{data} is missing or empty; give the folder of a data set.")
    names = list(FORMATS) if format_name == "auto" else [format_name]
    for name in names:
        if found := FORMATS[name].splits(folder):
            return folder, name, found
    raise UserError(unknown.refusal(folder, data, names))


def _home(file: str) -> Folder:
    """Returns the folder of an annotation file, or, without pictures, that of the annotations'."""
    folder = Folder(os.path.dirname(file) or ".")
    for room in (folder.root, os.path.dirname(folder.root)):  # COCO's, BDD100K's labels/det_20
        if not folder.pictures and os.path.basename(room).lower() in _ROOMS:
            return Folder(os.path.dirname(room) or ".")
    return folder
