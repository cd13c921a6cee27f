"""Table 5: what the feature networks cost beside the repeated top-down FPN.

The paper gives ratios only, and neither the model nor how often each network was repeated. Its AP
of the last row is that of EfficientNet-B3 + BiFPN in Table 4, so the model is D3; the repeats are
found by counting: see docs/paper/feature_networks.md.
"""

from __future__ import annotations

import os
from typing import NamedTuple

import keras

from edet.config.loading import load_config
from edet.models.complexity import count_cost
from edet.models.efficientnet import efficientnet
from edet.models.layers import Style
from edet.models.pyramid import cell, extend
from tools.paper.costs import read_counts

_ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
COSTS = os.path.join(_ROOT, "docs", "paper", "feature_networks.json")
MODEL = "efficientdet-d3"
REPEATS = range(3, 8)  # BiFPN cells that are tried; D3 has 6, and 5 in the paper's first version
BEST = 5  # what gives the paper's ratios


class Network(NamedTuple):
    """A row of the paper's Table 5, and what it is here."""

    label: str
    feature_network: str
    fusion: str
    cells: int  # beside one of the BiFPN; a cell of one layer is repeated twice as often
    ap: str
    parameters: float  # ratios
    multiply_adds: float


NETWORKS = (
    Network("Repeated top-down FPN", "fpn", "sum", 2, "42.29", 1.0, 1.0),
    Network("Repeated FPN+PANet", "panet", "sum", 1, "44.08", 1.0, 1.0),
    Network("NAS-FPN", "nas_fpn", "sum", 1, "43.16", 0.71, 0.72),
    Network("Fully-Connected FPN", "fully_connected", "sum", 2, "43.06", 1.24, 1.21),
    Network("BiFPN (w/o weighted)", "bifpn", "sum", 1, "43.94", 0.88, 0.67),
    Network("BiFPN (w/ weighted)", "bifpn", "fast", 1, "44.39", 0.88, 0.68),
)

Costs = dict[str, dict[str, list[int]]]  # repeats -> label -> [parameters, multiply-adds]


def count() -> Costs:
    """Counts every network at every number of repeats, the feature network alone, in minutes."""
    costs: Costs = {}
    for repeats in REPEATS:
        keras.backend.clear_session()
        costs[str(repeats)] = {row.label: count_network(row, repeats) for row in NETWORKS}
    return costs


def count_network(row: Network, repeats: int, model: str = MODEL) -> list[int]:
    """Returns [parameters, multiply-adds] of a feature network: P6, P7 and all its cells."""
    settings = [f"model.feature_network={row.feature_network}", f"model.fusion={row.fusion}"]
    config = load_config(model, overrides=settings).model
    images = keras.Input((*config.image_size, 3))
    style, width = Style(config.convolution, config.activation), config.pyramid_width
    features = efficientnet(images, config.backbone, config.drop_connect_rate, style)
    pyramid = extend(features, config.pyramid_levels, width, style, config.project_once)
    for index in range(repeats * row.cells):
        pyramid = cell(pyramid, row.feature_network, row.fusion, width, style, index)
    cost = count_cost(keras.Model(images, list(pyramid.values())))["pyramid"]
    return [cost.trainable_parameters, cost.multiply_adds]


def read() -> Costs:
    """Returns what `count` found when it was last kept.

    Raises:
      UserError: the file is missing, is not JSON or lacks a network.
    """

    def pick(costs: Costs) -> Costs:
        return {str(n): {r.label: costs[str(n)][r.label] for r in NETWORKS} for n in REPEATS}

    return read_counts(COSTS, pick)


def ratios(costs: Costs, repeats: int) -> dict[str, tuple[float, float]]:
    """Returns {label: (parameters, multiply-adds)}, the top-down FPN's being 1."""
    of_repeats = costs[str(repeats)]
    base = of_repeats[NETWORKS[0].label]
    return {
        label: (parameters / base[0], multiply_adds / base[1])
        for label, (parameters, multiply_adds) in of_repeats.items()
    }


def distance(costs: Costs, repeats: int) -> float:
    """Returns the largest difference of a ratio from the paper's."""
    ours = ratios(costs, repeats)
    return max(
        abs(mine - paper)
        for row in NETWORKS
        for mine, paper in zip(ours[row.label], (row.parameters, row.multiply_adds), strict=True)
    )


def table(costs: Costs) -> list[list[str]]:
    """Returns headings and rows: the paper's ratios and ours at BEST repeats."""
    ours = ratios(costs, BEST)
    rows = [["network", "cells here", "AP: paper", "parameters: paper", "ours", "ours, M",
             "multiply-adds: paper", "ours", "ours, B"]]  # fmt: skip
    for row in NETWORKS:
        parameters, multiply_adds = costs[str(BEST)][row.label]
        ratio = ours[row.label]
        rows.append([
            row.label, f"{BEST * row.cells} `{row.feature_network}`", row.ap,
            f"{row.parameters:.2f}", f"{ratio[0]:.3f}", f"{parameters / 1e6:.3f}",
            f"{row.multiply_adds:.2f}", f"{ratio[1]:.3f}", f"{multiply_adds / 1e9:.3f}",
        ])  # fmt: skip
    return rows


def search(costs: Costs) -> list[list[str]]:
    """Returns headings and rows: our ratios at every number of repeats that was tried."""
    rows = [["BiFPN cells", *(row.label for row in NETWORKS), "largest difference"]]
    papers = (f"{row.parameters:.2f} / {row.multiply_adds:.2f}" for row in NETWORKS)
    rows.append(["paper", *papers, ""])
    for repeats in REPEATS:
        pairs = ratios(costs, repeats).values()
        rows.append([
            str(repeats), *(f"{p:.2f} / {m:.2f}" for p, m in pairs),
            f"{distance(costs, repeats):.2f}",
        ])  # fmt: skip
    return rows
