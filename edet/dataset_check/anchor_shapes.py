"""Anchors fitted to the boxes of a data set: aspects by k-means, and the scale that goes with them.

Shapes: M boxes of a data set, K aspects.
"""

from __future__ import annotations

import dataclasses

import numpy as np

from edet.config.schema import AnchorConfig, Config
from edet.dataset_check.anchor_recall import NetworkBoxes, Row, suggest_scale, try_scales

# The mean overlap has to grow by as much before a change is worth its price: a detector's trained
# heads know their own anchors.
WORTHWHILE = 0.03


def fit_anchors(found: NetworkBoxes, config: Config) -> tuple[AnchorConfig, Row]:
    """Returns anchors of as many aspects as the configured ones, fitted to boxes, and figures.

    The aspects are the centres of K clusters of log(width / height), every class alike in weight,
    which is what AP gives it. The scale is `suggest_scale`'s for these aspects.

    Args:
      found: at least one box.
      config: the experiment; `model.anchors` says how many aspects and octaves there are.
    """
    anchors = config.model.anchors
    _, index, counts = np.unique(found.class_ids, return_inverse=True, return_counts=True)
    logs = np.log(found.ratios.astype(np.float64))
    centers = cluster(logs, 1 / counts[index], len(anchors.multipliers))
    ratios = tuple(dict.fromkeys(round(float(ratio), 2) for ratio in np.exp(centers)))
    fitted = dataclasses.replace(anchors, aspect_ratios=ratios, aspect_pairs=())
    model = dataclasses.replace(config.model, anchors=fitted)
    rows = try_scales(found, dataclasses.replace(config, model=model))
    scale = suggest_scale(rows, anchors.scale)
    return dataclasses.replace(fitted, scale=scale), _at(rows, scale)


def cluster(values: np.ndarray, weights: np.ndarray, count: int) -> np.ndarray:
    """Returns the centres [count] of weighted k-means of `values` [M], rising; empty ones stay.

    It starts from quantiles and so gives the same centres for the same values.
    """
    order = np.argsort(values)
    values, weights = values[order], weights[order]
    shares = (np.cumsum(weights) - weights / 2) / weights.sum()
    centers = np.interp((np.arange(count) + 0.5) / count, shares, values)
    for _ in range(100):
        nearest = np.abs(values[:, None] - centers).argmin(axis=1)
        mass = np.bincount(nearest, weights, count)
        sums = np.bincount(nearest, weights * values, count)
        moved = np.where(mass > 0, sums / np.maximum(mass, 1e-12), centers)
        if np.allclose(moved, centers, atol=1e-9):
            break
        centers = moved
    return np.sort(centers)


def fitted_advice(found: NetworkBoxes, scales: list[Row], config: Config) -> list[str]:
    """Returns a sentence with the setting to use, if fitted anchors lie much better on the boxes.

    Args:
      found: at least one box.
      scales: `try_scales` of the same boxes and configuration.
      config: the experiment.
    """
    fitted, after = fit_anchors(found, config)
    before = _at(scales, config.model.anchors.scale)
    if after["mean IoU"] < before["mean IoU"] + WORTHWHILE or after["recall"] < before["recall"]:
        return []
    ratios = ", ".join(f"{ratio:g}" for ratio in fitted.aspect_ratios)
    pairs = "aspect_pairs: [], " if config.model.anchors.aspect_pairs else ""
    return [
        f"Anchors of the shapes of these boxes overlap them by {after['mean IoU']:.2f} instead of "
        f"{before['mean IoU']:.2f} (mean over classes) and reach {100 * after['recall']:.1f}% "
        f"instead of {100 * before['recall']:.1f}%; in YAML, where heads start anew:\n"
        f"model: {{anchors: {{scale: {fitted.scale:g}, {pairs}aspect_ratios: [{ratios}]}}}}"
    ]


def _at(rows: list[Row], scale: float) -> Row:
    """Returns the row of a scale."""
    return next(row for row in rows if row["scale"] == scale)
