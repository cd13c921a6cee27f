"""Figure 2: the feature networks, drawn from the node lists that the networks are built from."""

from __future__ import annotations

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from edet.evaluation.plots import PALETTE
from edet.models.fusion_graph import FEATURE_NETWORKS, Node

LEVELS = range(3, 8)
_TITLES = {
    "fpn": "(a) top-down FPN",
    "panet": "(b) FPN + PANet",
    "nas_fpn": "(c) NAS-FPN",
    "bifpn": "(d) BiFPN",
    "fully_connected": "fully connected (Table 5)",
    "quad_fpn": "quad FPN (reference)",
}
_RADIUS = 0.3


def draw() -> Figure:
    """Returns one cell of every feature network: inputs on the left, outputs on the right."""
    figure = Figure(figsize=(15, 8.5), layout="constrained")
    grid = figure.subplots(2, 3).ravel()
    for axes, (name, title) in zip(grid, _TITLES.items(), strict=True):
        _draw_cell(axes, FEATURE_NETWORKS[name](LEVELS))
        axes.set_title(title)
    figure.supxlabel(
        "A circle merges what its arrows bring by model.fusion, a square by global attention; "
        "filled circles are the cell's inputs."
    )
    return figure


def places(nodes: list[Node]) -> list[tuple[int, int]]:
    """Returns (column, level) of every id: inputs in column 0, outputs in the last one."""
    found = [(0, level) for level in LEVELS]
    last = {node.level: len(LEVELS) + order for order, node in enumerate(nodes)}
    made = dict.fromkeys(LEVELS, 0)
    for node in nodes:
        made[node.level] += 1
        found.append((made[node.level], node.level))
    columns = max(made.values())
    for level, output in last.items():
        found[output] = (columns, level)
    return found


def _draw_cell(axes: Axes, nodes: list[Node]) -> None:
    points = places(nodes)
    for order, node in enumerate(nodes):
        end = len(LEVELS) + order
        for start in node.inputs:
            _arrow(axes, points, start, end)
    for number, (column, level) in enumerate(points):
        attends = number >= len(LEVELS) and nodes[number - len(LEVELS)].attends
        axes.scatter(
            column, level, s=420, marker="s" if attends else "o", zorder=3,
            edgecolors=PALETTE[level - LEVELS[0]],
            facecolors=PALETTE[level - LEVELS[0]] if column == 0 else "white", linewidths=2,
        )  # fmt: skip
        axes.text(column, level, str(number), ha="center", va="center", zorder=4, fontsize=9)
    axes.set_yticks(LEVELS, [f"P{level}" for level in LEVELS])
    axes.set_xticks([])
    axes.set(xlim=(-0.5, max(column for column, _ in points) + 0.5), ylim=(2.5, 7.5))
    axes.spines[:].set_visible(False)


def _arrow(axes: Axes, points: list[tuple[int, int]], start: int, end: int) -> None:
    """Draws an arrow, in a bow where a straight line would cross another node of its line."""
    (x, y), (to_x, to_y) = points[start], points[end]
    between = (
        p for p in points
        if min(x, to_x) <= p[0] <= max(x, to_x) and min(y, to_y) <= p[1] <= max(y, to_y)
        and (p[0] - x) * (to_y - y) == (p[1] - y) * (to_x - x)
    )  # fmt: skip
    bow = _RADIUS if len(set(between)) > 2 else 0.0
    axes.annotate(
        "", xy=(to_x, to_y), xytext=(x, y), zorder=2,
        arrowprops={
            "arrowstyle": "-|>", "color": PALETTE[y - LEVELS[0]], "shrinkA": 11, "shrinkB": 11,
            "connectionstyle": f"arc3,rad={bow}",
        },
    )  # fmt: skip
