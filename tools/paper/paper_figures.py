"""Draws the paper's figures: costs, times and curves from here, AP as it was published.

  python tools/paper_figures.py --figures=2
  python tools/paper_figures.py --figures=5 --runs=softmax=runs/softmax,fast=runs/fast

Each figure is a module of tools/paper/ that returns a matplotlib Figure, and a line in FIGURES.
"""

from __future__ import annotations

import os
from collections.abc import Callable

from absl import flags
from matplotlib.figure import Figure

from edet.cli.common import run
from edet.errors import UserError
from edet.evaluation.plots import save_figure
from tools.paper import figure_1, figure_2, figure_5, figure_6, figure_9

_ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))


def _figure_2(options: flags.FlagValues) -> Figure:
    return figure_2.draw()


def _figure_5(options: flags.FlagValues) -> Figure:
    return figure_5.draw(_runs(options), options.nodes)


# number: (what it is, file, how to draw it)
FIGURES: dict[str, tuple[str, str, Callable[[flags.FlagValues], Figure]]] = {
    "1": ("AP over multiply-adds", "figure_1.png", lambda _: figure_1.multiply_adds()),
    "2": ("feature networks", "figure_2.png", _figure_2),
    "4": ("AP over parameters and time", "figure_4.png", lambda _: figure_1.size_and_time()),
    "5": ("fusion weights while training", "figure_5.png", _figure_5),
    "6": ("ways of scaling", "figure_6.png", lambda _: figure_6.draw()),
    "9": ("fixed and scaled resolution", "figure_9.png", lambda _: figure_9.draw()),
}


def define_flags(values: flags.FlagValues) -> None:
    """Defines the flags of this tool."""
    choices = "; ".join(f"{number}: {what}" for number, (what, *_) in FIGURES.items())
    flags.DEFINE_list("figures", None, f"Which to draw. {choices}.", flag_values=values)
    flags.mark_flag_as_required("figures", flag_values=values)
    flags.DEFINE_string("output", os.path.join(_ROOT, "docs", "paper"), "Folder of the PNGs.",
                        flag_values=values)  # fmt: skip
    flags.DEFINE_list("runs", [], "Figure 5: label=workdir of every run.", flag_values=values)
    flags.DEFINE_list("nodes", [], "Figure 5: nodes such as cell0.node5; by default the three "
                      "that moved the most.", flag_values=values)  # fmt: skip


def paper_figures(options: flags.FlagValues) -> None:
    """Draws every figure that is asked for and prints where it is."""
    for number in options.figures:
        if number not in FIGURES:
            raise UserError(
                f"--figures={number} is not drawn here; choose of {', '.join(FIGURES)}."
            )
        _, file, draw = FIGURES[number]
        path = os.path.join(options.output, file)
        save_figure(draw(options), path)
        print(path)


def _runs(options: flags.FlagValues) -> dict[str, str]:
    pairs = [pair.partition("=") for pair in options.runs]
    if not pairs or not all(label and workdir for label, _, workdir in pairs):
        raise UserError("give --runs=label=workdir,label=workdir for figure 5, such as "
                        "--runs=softmax=runs/softmax,fast=runs/fast")  # fmt: skip
    return {label: workdir for label, _, workdir in pairs}


if __name__ == "__main__":
    run(define_flags, paper_figures)
