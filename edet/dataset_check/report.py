"""What a check of a data set says: figures, anchor recall, and what a person should look at."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass, field

from rich.table import Table

from edet.config.labels import labels_of, tidy_name
from edet.config.schema import Config
from edet.dataset_check.anchor_recall import (
    image_scales,
    measure_recall,
    network_boxes,
    recall_advice,
    recall_tables,
    try_scales,
)
from edet.dataset_check.anchor_shapes import fitted_advice
from edet.dataset_check.check import OUTSIDE, CheckedImage, CheckedSet
from edet.dataset_check.limits import limits
from edet.dataset_check.near_duplicates import Pair, near_duplicates
from edet.dataset_check.statistics import Statistics, Summary, statistics_tables
from edet.image.sixteen_bits import white_level_advice
from edet.records.sources.example_set import Tally

_NAMED = 5  # examples in a sentence


@dataclass(frozen=True)
class DataReport:
    """The whole check: for a file, for the terminal, and in words."""

    summary: Summary
    tables: list[Table]
    sentences: list[str]
    pairs: dict[str, list[Pair]] = field(default_factory=dict)  # that look alike, by set


def report_on(sets: dict[str, CheckedSet], config: Config) -> DataReport:
    """Counts, compares and measures what was read.

    Args:
      sets: "train" and, if there is one, "eval", from `edet.dataset_check.check.read_set`.
      config: the experiment.
    """
    labels = labels_of(config.model)
    summary = {name: _summary(found, config) for name, found in sets.items()}
    tables = statistics_tables(summary, "pixels of the network input")
    problems, sentences = Tally(), []
    for name, found in sets.items():
        problems.add(found.tally)
        sentences += _problems(name, found) + _names(name, found, labels)
        sentences += _repetitions(name, summary[name]) + _open_orientations(name, summary[name])
        if config.model.detects:
            sentences += _beyond_limits(name, found, config)
        sentences += _sixteen_bits(name, found, config)
        if config.model.segments:
            sentences += _without_mask(name, found)
    train = sets["train"].images
    if config.model.detects:
        sentences += _classes_without_boxes(summary["train"], labels) + _crowded(train, config)
    if "eval" in sets:
        summary["overlap"] = _overlap(train, sets["eval"].images)
        sentences += _overlap_sentences(summary["overlap"])
    pairs = near_duplicates({name: found.images for name, found in sets.items()})
    summary["near duplicates"] = {
        name: [{"image": p.image.name, "looks like": p.other.name, "bits": p.bits} for p in found]
        for name, found in pairs.items()
    }
    sentences += _near_duplicate_sentences(pairs)
    boxes = network_boxes(train, config.model)
    if config.model.detects and len(boxes.boxes):
        measured, scales = measure_recall(boxes, config, labels), try_scales(boxes, config)
        summary["anchors"] = {**measured, "scales": scales}
        tables += recall_tables(measured, scales)
        sentences += recall_advice(train, measured, scales, config)
        sentences += fitted_advice(boxes, scales, config)
    if problems.problems:
        tables.append(problems.problem_table("in check_data.json"))
    return DataReport({**summary, "sentences": sentences}, tables, sentences, pairs)


def _summary(found: CheckedSet, config: Config) -> Summary:
    statistics = Statistics()
    named = {class_id: name for class_id, name in labels_of(config.model).items() if name}
    for image, scales in zip(found.images, image_scales(found.images, config.model), strict=True):
        statistics.add(image, scales)
    return {
        **statistics.summary(named),
        "repeated source ids": _repeated(found.images, lambda image: image.source_id),
        "repeated pictures": _repeated(found.images, lambda image: image.digest),
        "turned by exif, boxes unsure": [
            {"image": image.name, "orientation": image.orientation}
            for image in found.images
            if image.orientation > 1
        ],
        "problem counts": _counts(found.tally),
        "problems": found.tally.problems,
    }


def _repeated(
    images: Sequence[CheckedImage], key: Callable[[CheckedImage], Hashable]
) -> list[list[str]]:
    """Returns the names of the images that share a key, by key."""
    groups = defaultdict(list)
    for image in images:
        groups[key(image)].append(image.name)
    return [names for names in groups.values() if len(names) > 1]


def _problems(name: str, found: CheckedSet) -> list[str]:
    examples = {problem["what"]: problem["file"] for problem in reversed(found.tally.problems)}
    counts = _counts(found.tally)
    sentences = [f"{name}: {n} × {what}, first {examples[what]}." for what, n in counts.items()]
    if 2 * counts.get(OUTSIDE, 0) > sum(len(image.boxes) for image in found.images):
        sentences.append(
            f"{name}: most boxes are outside; records hold shares of height and width, 0-1, not "
            "pixels."
        )
    return sentences


def _counts(tally: Tally) -> dict[str, int]:
    """{what: images or boxes}"""
    return {**tally.images, **tally.boxes}


def name_clashes(class_names: Mapping[int, set[str]], labels: Mapping[int, str]) -> str:
    """Says which classes the records call otherwise than the label map; "" if none.

    Args:
      class_names: {class id: its names in the records}.
      labels: {class id: name}, as the model has them.
    """
    clashes = [
        f"{class_id} is {text!r} in the records and {labels[class_id]!r} in model.labels"
        for class_id, texts in sorted(class_names.items())
        for text in sorted(texts - {""})
        # Labels that nobody has given are named after their ids.
        if labels.get(class_id, text) not in (text, tidy_name(text), f"class {class_id}")
    ]
    if not clashes:
        return ""
    return (
        f"class names differ: {_listed(clashes)}; set model.labels to the data's, or write all "
        "records with the same label map (edet create_tfrecords --labels)."
    )


def _names(name: str, found: CheckedSet, labels: dict[int, str]) -> list[str]:
    """A label map in another order gives a detector that takes one class for another."""
    clashes = name_clashes(found.class_names, labels)
    return [f"{name}: {clashes}"] if clashes else []


def _sixteen_bits(name: str, found: CheckedSet, config: Config) -> list[str]:
    brightest = [image.brightest for image in found.images if image.brightest >= 0]
    advice = white_level_advice(brightest, config.model.white_level)
    return [f"{name}: {advice}"] if advice else []


def _without_mask(name: str, found: CheckedSet) -> list[str]:
    bare = [image.name for image in found.images if not image.has_mask]
    if not bare:
        return []
    return [
        f"{name}: {len(bare)} of {len(found.images)} images have no mask and say nothing about "
        f"pixels, such as {bare[0]}."
    ]


def _repetitions(name: str, summary: Summary) -> list[str]:
    sentences = []
    for what in ("source ids", "pictures"):
        groups = summary[f"repeated {what}"]
        refused = "; evaluation refuses them" if (name, what) == ("eval", "source ids") else ""
        if groups:
            sentences.append(
                f"{name}: {what} that come more than once: {len(groups)}, such as "
                f"{' and '.join(groups[0][:2])}{refused}."
            )
    return sentences


def _open_orientations(name: str, summary: Summary) -> list[str]:
    photos = summary["turned by exif, boxes unsure"]
    if not photos:
        return []
    counts = sorted(Counter(photo["orientation"] for photo in photos).items())
    orientations = ", ".join(f"{count} of orientation {number}" for number, count in counts)
    return [
        f"{name}: photos that EXIF turns or mirrors and whose size does not tell whether boxes are "
        f"of the photo as shown, as is taken here, or as stored: {len(photos)} ({orientations}), "
        f"first {photos[0]['image']}; look at some (edet inspect_tfrecords), and if their boxes "
        "are turned, write the records again with edet create_tfrecords --exif=stored."
    ]


def _near_duplicate_sentences(pairs: Mapping[str, Sequence[Pair]]) -> list[str]:
    where = {
        "train": "train: pictures that look like one before them",
        "eval": "eval: pictures that look like one before them",
        "train and eval": "Pictures of eval that look like one of train, so that AP may look "
        "better than it is",
    }
    return [
        f"{where[name]}: {len(found)}, such as "
        f"{_listed([f'{p.image.name} and {p.other.name}' for p in found[:2]])}; the workdir's "
        "near_duplicates.png shows the first, check_data.json names all."
        for name, found in pairs.items()
        if found
    ]


def _beyond_limits(name: str, found: CheckedSet, config: Config) -> list[str]:
    objects = (
        {"image_id": image.name, "category_id": class_id, "iscrowd": is_crowd}
        for image in found.images
        for class_id, is_crowd in zip(image.class_ids.tolist(), image.is_crowd, strict=True)
    )
    sentences = limits(objects, config.detect.max_detections)
    return [f"{name}: {sentence[0].lower()}{sentence[1:]}" for sentence in sentences]


def _crowded(train: Sequence[CheckedImage], config: Config) -> list[str]:
    """Training keeps `data.max_boxes` of an image, evaluation all."""
    kept = ((~i.is_crowd).sum() if config.data.skip_crowd else len(i.is_crowd) for i in train)
    limit = config.data.max_boxes
    over = [int(count) - limit for count in kept if count > limit]
    if not over:
        return []
    return [
        f"train: images with more than data.max_boxes={limit} boxes: {len(over)}; training leaves "
        f"out {sum(over)} of their boxes, data.max_boxes={limit + max(over)} keeps all."
    ]


def _classes_without_boxes(train: Summary, labels: dict[int, str]) -> list[str]:
    empty = [row["name"] for row in train["classes"] if labels.get(row["id"]) and not row["boxes"]]
    if not empty:
        return []
    return [f"train: classes without a box: {_listed(empty)}."]


def _overlap(train: Sequence[CheckedImage], other: Sequence[CheckedImage]) -> Summary:
    """Returns what the two sets share: source ids, and images of the same bytes."""
    shared_ids = {image.source_id for image in train} & {image.source_id for image in other}
    digests = {image.digest for image in train}
    return {
        "source ids": sorted(shared_ids),
        "pictures": [image.name for image in other if image.digest in digests],
    }


def _overlap_sentences(overlap: Summary) -> list[str]:
    ids, pictures = overlap["source ids"], overlap["pictures"]
    if pictures:
        return [
            f"Pictures in both train and eval make AP look better than it is: {_listed(pictures)}."
        ]
    if ids:
        return [
            "Source ids in both train and eval, with other bytes; if they show the same, AP looks "
            f"better than it is: {_listed(ids)}."
        ]
    return []


def _listed(texts: Sequence[str]) -> str:
    more = f" and {len(texts) - _NAMED} more" if len(texts) > _NAMED else ""
    return ", ".join(texts[:_NAMED]) + more
