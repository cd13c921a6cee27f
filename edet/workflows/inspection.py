"""Looking before training: what a network costs, what a data set holds."""

from __future__ import annotations

import dataclasses
import functools
import itertools
from collections.abc import Iterator, Mapping, Sequence

import numpy as np
import tensorflow as tf
from rich.table import Table

from edet.config.labels import labels_of, mask_labels_of
from edet.config.schema import Config, replace
from edet.dataset_check.anchor_recall import best_anchors, image_scales, network_boxes
from edet.dataset_check.check import CheckedImage, CheckedSet, read_image, read_set
from edet.dataset_check.near_duplicates import Pair
from edet.dataset_check.report import DataReport, report_on
from edet.errors import UserError
from edet.evaluation.pages import Row, save_page, scaled
from edet.evaluation.plots import Picture, save_gallery
from edet.geometry.boxes import yxyx_to_xywh
from edet.globs import find_files
from edet.input.pipeline import make_train_dataset
from edet.input.reading import user_errors
from edet.models.complexity import count_cost, outline
from edet.report.page import save_section
from edet.report.pictures import Shown, grouped
from edet.training.tasks import DetectionTask
from edet.workdir import Workdir
from edet.workflows.common import console, keep, warn

_GALLERY = 8  # pictures on each page that a check draws
_SHOWN = 48  # pictures of each kind on the page of the run


def inspect(config: Config, workdir: str = "") -> dict:
    """Prints and returns parameters, multiply-adds, memory and anchors of a network by part."""
    network = outline(config.model)
    costs = count_cost(network)
    table = Table(title=f"{config.model.name} at {'x'.join(map(str, config.model.image_size))}")
    for heading in ("part", "trainable", "statistics", "multiply-adds", "weights", "activations"):
        table.add_column(heading, justify="left" if heading == "part" else "right")
    for part, cost in costs.items():
        table.add_row(
            part, f"{cost.trainable_parameters:,}", f"{cost.other_parameters:,}",
            f"{cost.multiply_adds / 1e9:.3f} B", f"{cost.weight_bytes / 2**20:.1f} MiB",
            f"{cost.activation_bytes / 2**20:.1f} MiB",
        )  # fmt: skip
    anchors, lines = 0, []
    if config.model.detects:
        anchors = network.output["box_deltas"].shape[1]
        lines.append(f"{anchors:,} anchors, {config.model.num_classes} class logits each")
    if config.model.segments:
        _, rows, columns, classes = network.output["segmentation_logits"].shape
        lines.append(f"{rows} x {columns} pixels are classified, {classes} logits each")
    summary = {
        "model": config.model.name,
        "image_size": list(config.model.image_size),
        "anchors": anchors,
        "parts": {part: dataclasses.asdict(cost) for part, cost in costs.items()},
    }
    keep(workdir, "inspect", summary)
    console.print(table, *lines, sep="\n")
    return summary


def check_data(config: Config, workdir: str) -> dict:
    """Reads every record of `data.train_records` and, if set, `data.eval_records`.

    Prints what they hold, what is broken, and whether anchors can reach the boxes; draws a page of
    training images, each beside the anchors that fit its boxes best, and one of pictures that look
    alike, if there are any.

    Returns:
      What <workdir>/check_data.json holds.
    """
    labels = labels_of(config.model)
    sets = {}
    for name in ("train", "eval"):
        key = f"{name}_records"
        if name == "train" or getattr(config.data, key):
            files = find_files(getattr(config.data, key), f"data.{key}")
            sets[name] = read_set(
                files, labels if config.model.detects else None, f"data.{key}",
                mask_labels_of(config.model) if config.model.segments else None,
            )  # fmt: skip
    report = report_on(sets, config)
    if workdir:
        _save_section(config, Workdir(workdir), sets, report)
    keep(workdir, "check_data", report.summary)
    if workdir:
        save_gallery(
            _anchor_pictures(config, sets["train"].images),
            Workdir(workdir).check_data_page, list(labels.values()),
        )  # fmt: skip
        rows = list(itertools.islice(_alike(config, report.pairs), _GALLERY))
        page = Workdir(workdir).near_duplicates_page
        if rows:
            save_page(rows, page)
        elif tf.io.gfile.exists(page):  # of an earlier check
            tf.io.gfile.remove(page)
    console.print(*report.tables)
    for sentence in report.sentences:
        console.print(f"• {sentence}", style="yellow", markup=False, highlight=False)
    if not report.sentences:
        console.print("nothing was found that should be mended")
    if workdir:
        pages = f"{Workdir(workdir).report_page} and {Workdir(workdir).check_data_page}"
        console.print(f"{pages} show the pictures", markup=False, highlight=False)
    return report.summary


def _save_section(
    config: Config, workdir: Workdir, sets: Mapping[str, CheckedSet], report: DataReport
) -> None:
    """Writes the pictures that the page shows: problems, copies, leaks, what is trained on."""
    labels, level = labels_of(config.model), config.model.white_level
    named = {image.name: image for found in sets.values() for image in found.images}

    def shown(image: CheckedImage, note: str) -> Shown:
        """Returns a picture with its finite boxes, and a note beside it."""
        names = [labels.get(k) or str(k) for k in image.class_ids.tolist()]
        boxes = yxyx_to_xywh(image.boxes).tolist()
        return Shown(
            image.source_id, image.height, image.width,
            lambda: read_image(image, level),
            [
                [*box, name] for box, name in zip(boxes, names, strict=True)
                if np.isfinite(box).all()
            ], note,
        )  # fmt: skip

    problems: dict[str, list[str]] = {}
    for problem in (p for name in sets for p in report.summary[name]["problems"]):
        problems.setdefault(str(problem["file"]), []).append(problem["what"])
    worst = sorted((name for name in problems if name in named), key=lambda n: -len(problems[n]))
    groups = {
        "Pictures with most problems": [
            shown(named[name], ", ".join(dict.fromkeys(problems[name]))) for name in worst[:_SHOWN]
        ],
        "Pictures that look alike": [
            shown(image, f"{pair.bits} of 64 bits differ, {where}")
            for where, pairs in report.pairs.items() for pair in pairs[: _SHOWN // 2]
            for image in pair[:2]
        ],
    }  # fmt: skip
    try:
        groups |= _training_pictures(config, list(labels.values()))
    except UserError as error:  # the check goes on where no training would
        warn(f"no picture of what the network sees: {error}")
    data, reads = grouped(groups)
    save_section(workdir, "data", data, lambda: reads)


def _training_pictures(config: Config, names: Sequence[str]) -> dict[str, list[Shown]]:
    """Returns the first training batch: as the network sees it, and the anchors that learn it."""
    small = replace(config, data={"batch_size": _GALLERY, "shuffle_buffer": _GALLERY})
    files = find_files(config.data.train_records, "data.train_records")
    with user_errors(files):
        batch = next(make_train_dataset(small, files).as_numpy_iterator())
    height, width = config.model.image_size

    def shown(k: int, boxes: np.ndarray, classes: np.ndarray, note: str = "") -> Shown:
        """Returns picture k with the boxes of those classes that are none of padding."""
        real = np.flatnonzero(classes >= 0)
        drawn = zip(yxyx_to_xywh(boxes[real]).tolist(), classes[real], strict=True)
        picture = functools.partial(np.asarray, batch["images"][k])
        boxes_of_picture = [[*box, names[place]] for box, place in drawn]
        return Shown("", height, width, picture, boxes_of_picture, note)

    boxes = batch.get("gt_boxes", np.zeros([_GALLERY, 0, 4]))
    classes = batch.get("gt_classes", np.zeros([_GALLERY, 0], int))
    groups = {
        "What the network sees, after augmentation": [
            shown(k, boxes[k], classes[k]) for k in range(_GALLERY)
        ]
    }
    if config.model.detects:
        task = DetectionTask(config)
        anchors, learnt = np.asarray(task.anchors), task.targets(batch).class_targets.numpy()
        groups["The anchors that learn it"] = [
            shown(
                k, anchors, learnt[k],
                f"{np.sum(learnt[k] >= 0)} anchors for {np.sum(classes[k] >= 0)} objects",
            )
            for k in range(_GALLERY)
        ]  # fmt: skip
    return groups


def _alike(config: Config, pairs: Mapping[str, Sequence[Pair]]) -> Iterator[Row]:
    """Yields rows of two pictures that look alike, those of train and eval first."""
    for name in sorted(pairs, key="train and eval".__ne__):
        places = (name.split(" and ")[::-1] * 2)[:2]  # of train and eval, the first is of eval
        for image, other, bits in pairs[name]:
            panels = {
                f"{number}. {place} {shown.source_id}": scaled(
                    read_image(shown, config.model.white_level)
                )
                for number, place, shown in zip((1, 2), places, (image, other), strict=True)
            }
            yield Row(f"{bits} of 64 bits", panels)


def _anchor_pictures(config: Config, images: Sequence[CheckedImage]) -> list[Picture]:
    """Pairs some training images, by seed, with the anchors that overlap their boxes most."""
    labels = labels_of(config.model)
    shown = [image for image in images if len(image.boxes)] or images
    rng = np.random.default_rng(config.train.seed)
    pictures = []
    for k in rng.permutation(len(shown))[:_GALLERY]:
        image = shown[k]
        found = network_boxes([image], config.model)
        overlaps, anchors = best_anchors(found.boxes, config.model)
        names, anchor_names = (
            [labels.get(i) or str(i) for i in ids.tolist()]
            for ids in (image.class_ids, found.class_ids)
        )
        scales = image_scales([image], config.model)
        pictures.append(
            Picture(
                image.source_id, read_image(image, config.model.white_level), image.boxes, names,
                anchors / scales, anchor_names, overlaps, "best anchors and their IoU",
            )
        )  # fmt: skip
    return pictures
