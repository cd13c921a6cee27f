"""Feature networks as data: which node reads what (paper section 3, Figure 2 and Table 5).

A node is (level, inputs). Ids 0..n-1 are the cell's inputs, fine to coarse, and every node gets
the next id. A cell's output at a level is the last node of that level. Every drawing below is for
levels 3 to 7, with the ids of its nodes; a node brings what it reads to its own level, merges it
(`pyramid.cell`) and filters the sum with a convolution (`model.convolution`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from itertools import pairwise
from typing import NamedTuple


class Node(NamedTuple):
    """One merge: the level it lives on, and the ids that it reads.

    `attends` merges by global attention instead of `model.fusion`: the first input, the coarser of
    two, says channel by channel how much of the second is added; what follows is simply added.
    """

    level: int
    inputs: tuple[int, ...]
    attends: bool = False


class _Cell:
    """The nodes of a cell in the making."""

    def __init__(self, levels: range):
        self.inputs = {level: position for position, level in enumerate(levels)}
        self.last = dict(self.inputs)  # newest id of every level
        self.nodes: list[Node] = []

    def add(self, level: int, *inputs: int) -> int:
        """Adds a node and returns its id."""
        self.last[level] = len(self.inputs) + len(self.nodes)
        self.nodes.append(Node(level, inputs))
        return self.last[level]


def fpn(levels: range) -> list[Node]:
    """Returns one cell of the top-down FPN (Figure 2a).

    level   input   output
     P7       4 ─────► 5       a convolution alone, as section 3.1 writes it
                       ▼
     P6       3 ─────► 6
                       ▼
     P5       2 ─────► 7
                       ▼
     P4       1 ─────► 8
                       ▼
     P3       0 ─────► 9
    """
    cell = _Cell(levels)
    _pass(cell, reversed(levels))
    return cell.nodes


def panet(levels: range) -> list[Node]:
    """Returns one cell of FPN + PANet: top-down, then bottom-up (Figure 2b).

    level   input   top-down   bottom-up (output)
     P7       4 ─────► 5 ─────────► 14
                       ▼             ▲
     P6       3 ─────► 6 ─────────► 13
                       ▼             ▲
     P5       2 ─────► 7 ─────────► 12
                       ▼             ▲
     P4       1 ─────► 8 ─────────► 11
                       ▼             ▲
     P3       0 ─────► 9 ─────────► 10
    """
    cell = _Cell(levels)
    _pass(cell, reversed(levels))
    _pass(cell, levels)
    return cell.nodes


def _pass(cell: _Cell, levels: Iterable[int]) -> None:
    """A node on each level in turn, reading the level's newest id and the node before."""
    before: tuple[int, ...] = ()
    for level in levels:
        before = (cell.add(level, cell.last[level], *before),)


def bifpn(levels: range) -> list[Node]:
    """Returns one cell of the BiFPN (Figure 2d, section 3.2).

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
    cell = _Cell(levels)
    _there_and_back(cell, levels[::-1])
    return cell.nodes


def _there_and_back(cell: _Cell, levels: range) -> dict[int, int]:
    """The BiFPN's two ways, from the first of `levels` to the last and back, over the inputs.

    Returns the newest id of each level.
    """
    ids = {level: [cell.inputs[level]] for level in levels}
    for before, level in pairwise(levels):
        ids[level].append(cell.add(level, ids[level][0], ids[before][-1]))
    for before, level in pairwise(reversed(levels)):
        ids[level].append(cell.add(level, *ids[level], ids[before][-1]))
    return {level: made[-1] for level, made in ids.items()}


def fully_connected(levels: range) -> list[Node]:
    """Returns one cell in which every output reads every input (Table 5).

         level   input         output
          P7       4 ──┐    ┌───► 9
          P6       3 ──┤    ├───► 8
          P5       2 ──┼────┼───► 7       each of 5-9 reads all of 0-4
          P4       1 ──┤    ├───► 6
          P3       0 ──┘    └───► 5

    The paper draws it in its first version only; that it is this is what its costs say (see
    docs/paper/feature_networks.md).
    """
    cell = _Cell(levels)
    for level in levels:
        cell.add(level, *range(len(levels)))
    return cell.nodes


def nas_fpn(levels: range) -> list[Node]:
    """Returns one cell of NAS-FPN, 7 merging cells (arXiv 1904.07392, Figure 2c); levels 3 to 7.

         level   input                                   output
          P7       4 ──────────────────────────────────► 10*         10* reads 6, 9 and 4
          P6       3 ────┐                               11*         11* reads 9 and 10
          P5       2 ────│─────────────────────► 9*                   9* reads 7, 8 and 2
                         ▼                       ▲
          P4       1 ──► 5* ──► 6 ─────► 8 ──────┤        6 also reads 1
                                │        ▲       │
          P3       0 ───────────▼──────► 7 ──────┘        7 reads 0 and 6; 8 reads 6 and 7

    * merges by global attention, gated by its coarser input; the others sum. What nothing else
    reads (2 and 4) is added to the output of its level, as the authors' code does.
    """
    del levels  # the search was for these five; see ModelConfig
    return [
        Node(4, (3, 1), attends=True),
        Node(4, (1, 5)),
        Node(3, (0, 6)),
        Node(4, (6, 7)),
        Node(5, (8, 7, 2), attends=True),
        Node(7, (9, 6, 4), attends=True),
        Node(6, (10, 9), attends=True),
    ]


def quad_fpn(levels: range) -> list[Node]:
    """Returns one cell of the reference's "qufpn": the BiFPN, its mirror image, and their sum.

    level   BiFPN   first bottom-up   then top-down   output
     P7      12           16 ──────────────┬──────► 21 = 12, 16
                           ▲               ▼
     P6      11     3 ──► 15 ────────────► 17 ────► 22 = 11, 17     17 also reads 3
                           ▲               ▼
     P5      10     2 ──► 14 ────────────► 18 ────► 23 = 10, 18     18 also reads 2
                           ▲               ▼
     P4       9     1 ──► 13 ────────────► 19 ────► 24 =  9, 19     19 also reads 1
                           ▲               ▼
     P3       8     0 ─────┴─────────────► 20 ────► 25 =  8, 20     20 also reads 0
    """
    cell = _Cell(levels)
    one = _there_and_back(cell, levels[::-1])
    mirrored = _there_and_back(cell, levels)
    for level in reversed(levels):
        cell.add(level, one[level], mirrored[level])
    return cell.nodes


# by `model.feature_network`
FEATURE_NETWORKS: dict[str, Callable[[range], list[Node]]] = {
    "bifpn": bifpn,
    "fpn": fpn,
    "panet": panet,
    "nas_fpn": nas_fpn,
    "fully_connected": fully_connected,
    "quad_fpn": quad_fpn,
}
# What the reference has too. The quad FPN begins with the BiFPN's nodes, so its weights fit there.
_OF_REFERENCE = ("bifpn", "quad_fpn")


def name_prefix(feature_network: str) -> str:
    """Returns what comes before "node5" in names, so that weights find only their own network."""
    return "" if feature_network in _OF_REFERENCE else f"{feature_network}_"
