"""Figure 5: normalised fusion weights while training, softmax beside fast, from runs of ours."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from matplotlib.figure import Figure

from edet.errors import UserError
from edet.evaluation.plots import PALETTE
from edet.workdir import Workdir


def draw(workdirs: Mapping[str, str], nodes: Sequence[str] = ()) -> Figure:
    """Returns a panel a node: the share of its first input over the steps, a line a run.

    Args:
      workdirs: {label: workdir}, runs of one model that differ in `model.fusion`.
      nodes: "cell0.node5", ...; by default the three with two inputs that moved the most.

    Raises:
      UserError: a run has no fusion weights, or lacks a node.
    """
    logs = {}
    for label, workdir in workdirs.items():
        logs[label] = Workdir(workdir).fusion_weights()
        if not logs[label]:
            path = Workdir(workdir).fusion_weights_file
            raise UserError(f"{path} has no rows yet; let the run go on for a while.")
    nodes = list(nodes) or _most_moved(list(logs.values()))
    figure = Figure(figsize=(4.5 * len(nodes), 3.6), layout="constrained")
    grid = figure.subplots(1, len(nodes), squeeze=False).ravel()
    for axes, node in zip(grid, nodes, strict=True):
        column = f"{node}.input0"
        for (label, rows), color in zip(logs.items(), PALETTE, strict=False):
            if column not in rows[0]:
                path = Workdir(workdirs[label]).fusion_weights_file
                raise UserError(f"{path} has no node {node}; see its first line.")
            axes.plot(
                [row["step"] for row in rows], [100 * row[column] for row in rows],
                label=label, color=color,
            )  # fmt: skip
        axes.set(title=node, xlabel="step", ylabel="weight of the first input (%)")
        axes.grid(alpha=0.3)
        axes.legend()
    return figure


def _most_moved(logs: Sequence[Sequence[Mapping[str, float]]]) -> list[str]:
    """Returns the three nodes of two inputs whose first weight covers the widest range."""
    columns = [name for name in logs[0][0] if name.endswith(".input0")]
    pairs = [c for c in columns if f"{c[:-1]}1" in logs[0][0] and f"{c[:-1]}2" not in logs[0][0]]

    def span(column: str) -> float:
        values = [row.get(column, 0.0) for rows in logs for row in rows]
        return max(values) - min(values)

    if not pairs:
        raise UserError("no node of these runs has two inputs; name what to draw with --nodes.")
    widest = sorted(pairs, key=span, reverse=True)[:3]
    return [column.removesuffix(".input0") for column in sorted(widest)]
