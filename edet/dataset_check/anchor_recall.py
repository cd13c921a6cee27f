"""Whether anchors can reach the boxes of a data set: recall by class and size, and what to change.

A box is reached if some anchor overlaps it by `loss.positive_iou`. Training gives a box that is
not reached the one anchor that overlaps it most, so it is learnt too, but poorly; with
`loss.assignment` atss the best of those around its centre, so it is learnt from further away.

Shapes: M boxes of a data set · C candidate anchors of one box
Boxes are [ymin, xmin, ymax, xmax] in pixels of the network input, unless a name says otherwise.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from rich.markup import escape
from rich.table import Table

from edet.config.schema import Config, ModelConfig, replace
from edet.dataset_check.statistics import SIDE_EDGES, SIDE_NAMES, simple_table
from edet.geometry.anchors import feature_sizes, make_anchors
from edet.geometry.boxes import coordinates, iou_of_coordinates
from edet.image.letterbox import fit
from edet.input.ground_truth import Annotations
from edet.models.complexity import count_cost, outline

SCALES = (1.0, 1.5, 2.0, 2.5, 3.0, 3.5, 4.0, 5.0, 6.0, 8.0)  # tried beside the configured one
LOW_RECALL = 0.9  # of a class; below it there is advice
_SIMILAR = 0.01  # recalls that differ by less count as equal
_BLOCK = 8192  # boxes at a time: their 45 candidates are 6 MB

_OTHER_SHAPE = "of another shape than the aspects"  # a cause

Row = dict[str, Any]


@dataclass(frozen=True)
class NetworkBoxes:
    """The boxes that training learns from, as the network sees them in its input."""

    boxes: np.ndarray  # [M, 4] float32
    class_ids: np.ndarray  # [M] int64, the data set's own ids

    @property
    def sides(self) -> np.ndarray:
        """Square roots of the areas: [M]."""
        return np.sqrt(np.prod(self.boxes[:, 2:] - self.boxes[:, :2], axis=1))

    @property
    def ratios(self) -> np.ndarray:
        """Width / height: [M]."""
        return np.divide(*(self.boxes[:, 2:] - self.boxes[:, :2]).T[::-1])


def image_scales(images: Sequence[Annotations], model: ModelConfig) -> np.ndarray:
    """Returns network pixels / original pixels, float32 [n, 4], as boxes have them."""
    sizes = np.array([(image.height, image.width) for image in images], np.int32).reshape(-1, 2)
    return np.tile(fit(*sizes.T, model.image_size, model.fit)[0].numpy(), 2)


def network_boxes(images: Sequence[Annotations], model: ModelConfig) -> NetworkBoxes:
    """Moves all boxes into the input; crowds and boxes without area inside are left out."""
    boxes, ids = [np.zeros((0, 4), np.float32)], [np.zeros(0, np.int64)]
    for image, scales in zip(images, image_scales(images, model), strict=True):
        inside = np.clip(image.boxes, 0, [image.height, image.width] * 2)
        kept = (inside[:, 2:] > inside[:, :2]).all(axis=1) & ~image.is_crowd
        kept &= np.isfinite(image.boxes).all(axis=1)
        boxes.append((inside[kept] * scales).astype(np.float32))
        ids.append(image.class_ids[kept])
    return NetworkBoxes(np.concatenate(boxes), np.concatenate(ids))


def best_anchors(boxes: np.ndarray, model: ModelConfig) -> tuple[np.ndarray, np.ndarray]:
    """Finds the anchor that overlaps each box most.

    Anchors of one shape differ in their centres alone, and an overlap grows as the centres come
    closer in y and in x. So the best anchor of each shape lies in the cell that holds the box's
    centre: 45 candidates instead of 19,206 anchors at 320 pixels, and the same maximum.

    Args:
      boxes: [M, 4] float32.
      model: `image_size`, the levels and `anchors` are used.

    Returns:
      (IoU [M], the anchor [M, 4]), float32.
    """
    anchors = make_anchors(model.image_size, model.levels, model.anchors)
    candidates = _candidates(boxes, model)
    overlaps, best = np.zeros(len(boxes), np.float32), np.zeros((len(boxes), 4), np.float32)
    for start in range(0, len(boxes), _BLOCK):
        block = slice(start, start + _BLOCK)
        near = anchors[candidates[block]]  # [block, C, 4]
        overlap = np.asarray(iou_of_coordinates(coordinates(boxes[block, None]), coordinates(near)))
        rows = np.arange(len(near)), overlap.argmax(axis=1)
        overlaps[block], best[block] = overlap[rows], near[rows]
    return overlaps, best


def _candidates(boxes: np.ndarray, model: ModelConfig) -> np.ndarray:
    """Returns [M, C] indices of the anchors in the cells that hold the centres of the boxes."""
    centers = (boxes[:, :2] + boxes[:, 2:]) / 2
    per_location = model.anchors.per_location
    sizes = feature_sizes(model.image_size, model.max_level)
    candidates, start = [], 0
    for level in model.levels:
        height, width = sizes[level]
        cells = np.floor(centers * sizes[level] / model.image_size).astype(np.int64)
        y, x = np.clip(cells, 0, (height - 1, width - 1)).T
        first = start + (y * width + x) * per_location
        candidates.append(first[:, None] + np.arange(per_location))
        start += height * width * per_location
    return np.concatenate(candidates, axis=1)


def measure_recall(found: NetworkBoxes, config: Config, names: dict[int, str]) -> Row:
    """Returns the recall and the mean best IoU of all boxes and of each class, also by side.

    "mean over classes" counts every class alike, as AP does. No boxes give None.
    """
    overlaps, _ = best_anchors(found.boxes, config.model)
    reached = overlaps >= config.loss.positive_iou
    bins = np.digitize(found.sides, SIDE_EDGES[1:])

    def row(of: np.ndarray) -> Row:
        """Returns the figures of the boxes that the mask `of`, [n] bool, selects."""
        by_side = {name: reached[of & (bins == i)] for i, name in enumerate(SIDE_NAMES)}
        return {
            "boxes": int(of.sum()),
            "recall": _mean(reached[of]),
            "mean IoU": _mean(overlaps[of]),
            "sides": {
                name: {"boxes": len(some), "recall": _mean(some)}
                for name, some in by_side.items()
                if len(some)
            },
        }

    ids = np.unique(found.class_ids).tolist()
    return {
        "positive_iou": config.loss.positive_iou,
        "scale": config.model.anchors.scale,
        "all": row(np.ones(len(overlaps), bool)),
        "mean over classes": _class_means(found, overlaps, config),
        "classes": [{"id": i, "name": names.get(i, ""), **row(found.class_ids == i)} for i in ids],
    }


def try_scales(found: NetworkBoxes, config: Config) -> list[Row]:
    """Measures the recall of several `model.anchors.scale`, the configured one among them."""
    rows = []
    for scale in sorted({*SCALES, config.model.anchors.scale}):
        anchors = dataclasses.replace(config.model.anchors, scale=scale)
        overlaps, _ = best_anchors(found.boxes, dataclasses.replace(config.model, anchors=anchors))
        rows.append({"scale": scale, **_class_means(found, overlaps, config)})
    return rows


def suggest_scale(rows: Sequence[Row], configured: float) -> float:
    """Returns the configured scale if its recall is about the best, otherwise the best fit.

    The best fit is the highest mean IoU among the scales of about the best recall. Recall comes
    first, because a mean IoU may be high where many boxes fit well and small ones not at all.
    """
    enough = max(row["recall"] for row in rows) - _SIMILAR
    good = {row["scale"]: row["mean IoU"] for row in rows if row["recall"] >= enough}
    return configured if configured in good else max(good, key=good.get)


def recall_advice(
    images: Sequence[Annotations], measured: Row, scales: Sequence[Row], config: Config
) -> list[str]:
    """Returns sentences on what to change, none where every class is reached well.

    Args:
      images: the training images.
      measured: `measure_recall` of their boxes.
      scales: `try_scales` of the same boxes.
      config: the experiment.
    """
    low = [row for row in measured["classes"] if row["recall"] < LOW_RECALL]
    if not low:
        return []
    low.sort(key=lambda row: row["recall"])
    named = [f"{_percent(row['recall'])}% of {row['name'] or row['id']}" for row in low[:5]]
    more = f" and of {len(low) - 5} more classes" if len(low) > 5 else ""
    found = network_boxes(images, config.model)
    causes, ratio = _causes(found, config)
    sentences = [
        f"Anchors reach only {', '.join(named)}{more} by IoU {measured['positive_iou']}; boxes "
        "out of reach: "
        + ", ".join(f"{count} {cause}" for cause, count in causes.items() if count)
        + "."
    ]
    if config.loss.assignment == "atss":
        sentences.append(
            "They are learnt all the same, from the anchors around their centres "
            "(loss.assignment=atss); what follows brings these nearer."
        )
    sentences += _advice_on_size(images, scales, config)
    sentences += _advice_on_level(found, measured["mean over classes"]["recall"], config)
    if 3 * causes[_OTHER_SHAPE] >= sum(causes.values()):
        key = "aspect_pairs" if config.model.anchors.aspect_pairs else "aspect_ratios"
        sentences.append(
            f"Many boxes have a width / height of about {ratio:.2g}; add such an aspect to "
            f"model.anchors.{key}."
        )
    return sentences


def _advice_on_size(
    images: Sequence[Annotations], scales: Sequence[Row], config: Config
) -> list[str]:
    """Says which anchor scale or image size reaches more, as far as one does."""
    recalls = {row["scale"]: row["recall"] for row in scales}
    current = config.model.anchors.scale
    best, now = suggest_scale(scales, current), recalls[current]
    sentences = []
    if best != current:
        sentences.append(
            f"model.anchors.scale={best:g} reaches {_percent(recalls[best])}% of the boxes (mean "
            f"over classes) instead of {_percent(now)}%."
        )
    if best > current:
        return sentences
    # At a larger input the same anchors are smaller against the boxes.
    factor = current / best if best < current else 1.25
    larger = replace(config, model={"image_size": _enlarged(config.model, factor)})
    found = network_boxes(images, larger.model)
    recall = _class_means(found, best_anchors(found.boxes, larger.model)[0], larger)["recall"]
    if recall > now + _SIMILAR:
        height, width = larger.model.image_size
        size = f"{height}" if height == width else f"[{height},{width}]"
        area = np.prod(larger.model.image_size) / np.prod(config.model.image_size)
        sentences.append(
            f"model.image_size={size} reaches {_percent(recall)}% with the anchors that trained "
            f"heads know, for about {area:.1f} times the computation."
        )
    return sentences


def _advice_on_level(found: NetworkBoxes, now: float, config: Config) -> list[str]:
    """Says what a finer level of the pyramid reaches instead of `now`, and what it costs."""
    level = config.model.min_level - 1
    # Level 1 would cost four times level 2 again, and NAS-FPN was searched for its levels.
    if level < 2 or config.model.feature_network == "nas_fpn":
        return []
    finer = replace(config, model={"min_level": level})
    recall = _class_means(found, best_anchors(found.boxes, finer.model)[0], finer)["recall"]
    if recall <= now + _SIMILAR:
        return []
    before, after = (
        count_cost(outline(which.model))["total"].multiply_adds for which in (config, finer)
    )
    is_there = level in config.model.pyramid_levels  # segmentation reads it
    anew = "" if is_there else "; a trained pyramid starts anew with it"
    return [
        f"model.min_level={level} reaches {_percent(recall)}%: a finer level, whose anchors are "
        f"half as large, for about {after / before:.1f} times the computation{anew}."
    ]


def _enlarged(model: ModelConfig, factor: float) -> list[int]:
    """The image size times a factor, rounded up to whole cells of the coarsest level."""
    cell = 2**model.max_level
    return [math.ceil(round(side * factor / cell, 6)) * cell for side in model.image_size]


def _causes(found: NetworkBoxes, config: Config) -> tuple[dict[str, int], float]:
    """Counts the boxes out of reach by cause; the ratio is that of most of another shape."""
    overlaps, _ = best_anchors(found.boxes, config.model)
    out = overlaps < config.loss.positive_iou
    sides, ratios = found.sides[out], found.ratios[out]
    anchors = make_anchors(config.model.image_size, config.model.levels, config.model.anchors)
    smallest, largest = np.quantile(NetworkBoxes(anchors, np.zeros(0)).sides, [0, 1])
    # Two boxes of one centre and area whose ratios differ by e^d overlap by 1 / (2 e^(d/2) - 1).
    aspects = np.log([width / height for width, height in config.model.anchors.multipliers])
    distance = np.abs(np.log(ratios)[:, None] - aspects).min(axis=1)
    is_other = distance > 2 * np.log((1 + 1 / config.loss.positive_iou) / 2)
    is_small = ~is_other & (sides < smallest)
    is_large = ~is_other & (sides > largest)
    wide = ratios[is_other & (ratios > 1)]
    tall = ratios[is_other & (ratios < 1)]
    counts = {
        f"smaller than the smallest anchor ({smallest:.0f} pixels)": int(is_small.sum()),
        f"larger than the largest anchor ({largest:.0f} pixels)": int(is_large.sum()),
        _OTHER_SHAPE: int(is_other.sum()),
        "between two anchors": int((~(is_other | is_small | is_large)).sum()),
    }
    usual = max(wide, tall, key=len)
    return counts, float(np.median(usual)) if len(usual) else 1.0


def _class_means(found: NetworkBoxes, overlaps: np.ndarray, config: Config) -> Row:
    """Recall and mean IoU, averaged over the classes that have boxes."""
    _, index, counts = np.unique(found.class_ids, return_inverse=True, return_counts=True)
    reached = overlaps >= config.loss.positive_iou
    return {
        name: _mean(np.bincount(index, values) / counts)
        for name, values in (("recall", reached), ("mean IoU", overlaps))
    }


def _mean(values: np.ndarray) -> float | None:
    return round(float(values.mean()), 4) if values.size else None


def _percent(share: float | None) -> str:
    return "–" if share is None else f"{100 * share:.1f}".replace("100.0", "100")


def recall_tables(measured: Row, scales: Sequence[Row]) -> list[Table]:
    """Returns recall by class and side, and by anchor scale, as tables in percent."""
    sides = [name for name in SIDE_NAMES if name in measured["all"]["sides"]]
    table = simple_table(
        f"Boxes that an anchor reaches by IoU {measured['positive_iou']}, %", "class"
    )
    for heading in ("boxes", "mean IoU", "all", *sides):
        table.add_column(heading, justify="right")
    rows = {"all classes": measured["all"]}
    rows |= {f"{row['id']} {escape(row['name'])}": row for row in measured["classes"]}
    for name, row in rows.items():
        by_side = (row["sides"].get(side, {}).get("recall") for side in sides)
        recalls = map(_percent, (row["mean IoU"], row["recall"], *by_side))
        table.add_row(name, f"{row['boxes']:,}", *recalls)
    counts = (f"{measured['all']['sides'][side]['boxes']:,}" for side in sides)
    table.add_row("boxes", "", "", "", *counts)
    tried = simple_table("Mean over classes by anchor scale, %", "model.anchors.scale")
    for heading in ("reached", "mean IoU"):
        tried.add_column(heading, justify="right")
    for row in scales:
        here = " (configured)" if row["scale"] == measured["scale"] else ""
        tried.add_row(f"{row['scale']:g}{here}", _percent(row["recall"]), _percent(row["mean IoU"]))
    return [table, tried]
