"""Feature networks as data: which node reads what.

A node is (level, inputs). Ids 0..n-1 are the cell's inputs, fine to coarse, and every node gets
the next id. A cell's output at a level is the last node of that level.

The BiFPN (paper 3.2, Figure 2d) for levels 3 to 7, with its node ids:

    level   input   top-down   bottom-up (output)
     P7       4 ─────────┬───────► 12
                         ▼          ▲
     P6       3 ───────► 5 ───────► 11      11 also reads 3
                         ▼          ▲
     P5       2 ───────► 6 ───────► 10      10 also reads 2
                         ▼          ▲
     P4       1 ───────► 7 ───────► 9        9 also reads 1
                         ▼          ▲
     P3       0 ───────► 8 ─────────┘        8 is the output of P3
"""

from __future__ import annotations

from typing import NamedTuple


class Node(NamedTuple):
    """One fusion: the level it lives on, and the ids that it reads."""

    level: int
    inputs: tuple[int, ...]


def bifpn(levels: range) -> list[Node]:
    """Returns the nodes of one BiFPN cell; the picture above is `bifpn(range(3, 8))`."""
    # ids of every node made so far, by level; the cell's inputs come first
    made = {level: [position] for position, level in enumerate(levels)}
    nodes: list[Node] = []

    def add(level: int, inputs: list[int]) -> None:
        made[level].append(len(levels) + len(nodes))
        nodes.append(Node(level, tuple(inputs)))

    for level in reversed(levels[:-1]):
        add(level, [made[level][0], made[level + 1][-1]])
    for level in levels[1:]:
        add(level, [*made[level], made[level - 1][-1]])
    return nodes


FEATURE_NETWORKS = {"bifpn": bifpn}
