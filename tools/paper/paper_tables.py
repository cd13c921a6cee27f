"""Prints the paper's tables with our figures beside them, and keeps the README's table in step.

  python tools/paper_tables.py            Tables 1, 2, 4 and 5 of arXiv 1911.09070, the lite models,
                                          the costs behind Figures 6 and 9, Figures 7 and 8
  python tools/paper_tables.py --readme   rewrites the model table of README.md
  python tools/paper_tables.py --check    exit code 2 if that table is stale
  python tools/paper_tables.py --count    counts the released models and Table 5 anew first

Parameters and multiply-adds are ours: edet.models.complexity counts them in the networks' layers,
and docs/model_costs.json and docs/paper/feature_networks.json keep them; those of Table 4 and
Figures 6 and 9 are in docs/paper/costs.json, by tools/measure_networks.py. AP on COCO is never
ours: "paper" is what the paper prints, "released" what the authors' README says of the released
weights (edet.weights.zoo). AP on blood cells is ours, from tools/sweep.py.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

import keras
from absl import flags
from rich.progress import track

from edet.cli.common import run
from edet.config.loading import load_config
from edet.config.sizes import (
    MODELS,
    head_repeats,
    image_side,
    list_models,
    pyramid_repeats,
    pyramid_width,
)
from edet.errors import UserError
from edet.files import read_text, write_json, write_text
from edet.models.complexity import count_cost, outline
from edet.weights.zoo import ZOO
from tools.paper import costs as paper_costs
from tools.paper import figure_6, figure_9, recipes, table_4, table_5

_ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
README = os.path.join(_ROOT, "README.md")
COSTS = os.path.join(_ROOT, "docs", "model_costs.json")
BEGIN, END = "<!-- model table: tools/paper_tables.py --readme -->", "<!-- end -->"

Costs = dict[str, dict[str, int]]  # model -> {"parameters", "multiply_adds"}


class PaperRow(NamedTuple):
    """A model as the paper prints it: Table 1, then four columns of Table 2 (version 7, 2020)."""

    phi: int
    backbone: str
    side: int
    width: int
    cells: int
    head: int
    parameters: str  # millions
    multiply_adds: str  # billions; the paper calls them FLOPs
    ap_test: str
    ap_val: str


# D7x has no phi of its own: the pyramid and the heads are those of D7 (paper 4.2).
PAPER = {
    "efficientdet-d0": PaperRow(0, "B0", 512, 64, 3, 3, "3.9", "2.5", "34.6", "34.3"),
    "efficientdet-d1": PaperRow(1, "B1", 640, 88, 4, 3, "6.6", "6.1", "40.5", "40.2"),
    "efficientdet-d2": PaperRow(2, "B2", 768, 112, 5, 3, "8.1", "11", "43.9", "43.5"),
    "efficientdet-d3": PaperRow(3, "B3", 896, 160, 6, 4, "12", "25", "47.2", "46.8"),
    "efficientdet-d4": PaperRow(4, "B4", 1024, 224, 7, 4, "21", "55", "49.7", "49.3"),
    "efficientdet-d5": PaperRow(5, "B5", 1280, 288, 7, 4, "34", "135", "51.5", "51.3"),
    "efficientdet-d6": PaperRow(6, "B6", 1280, 384, 8, 5, "52", "226", "52.6", "52.2"),
    "efficientdet-d7": PaperRow(7, "B6", 1536, 384, 8, 5, "52", "325", "53.7", "53.4"),
    "efficientdet-d7x": PaperRow(7, "B7", 1536, 384, 8, 5, "77", "410", "55.1", "54.4"),
}


class Disagreement(NamedTuple):
    """A published figure that ours is more than one per cent, and more than rounding, away from."""

    model: str
    what: str
    source: str
    published: str
    ours: float


def define_flags(values: flags.FlagValues) -> None:
    """Defines the flags of this tool."""
    for name, text in (
        ("readme", "Rewrite the model table of README.md."),
        ("check", "Fail if the model table of README.md is stale."),
        ("count", "Build and count every network, and keep the figures."),
    ):
        flags.DEFINE_bool(name, False, text, flag_values=values)


def paper_tables(options: flags.FlagValues) -> None:
    """Does what the flags ask for; without --readme and --check it prints the tables."""
    if options.count:
        write_json(COSTS, {name: count(name) for name in track(list_models(), "counting")})
        write_json(table_5.COSTS, table_5.count())
    costs = read_costs()
    if options.readme:
        before, _, after = _parts_of_readme()
        write_text(README, before + readme_table(costs) + after)
    if options.check and _parts_of_readme()[1] != readme_table(costs):
        raise UserError(
            f"the model table of {README} is stale; run python tools/paper_tables.py --readme"
        )
    if not options.readme and not options.check:
        print(table_1(), table_2(costs), lite_table(costs), *measured(), *feature_networks(),
              *training_recipes(), sep="\n")  # fmt: skip
        for model, what, source, published, ours in disagreements(costs):
            print(f"{what.replace('_', '-')} of {model}: ours {ours:#.4g}, {source} {published}")


def count(name: str) -> dict[str, int]:
    """Returns {"parameters", "multiply_adds"} of a network at its own size, for one image."""
    keras.backend.clear_session()
    cost = count_cost(outline(load_config(name).model))["total"]
    return {"parameters": cost.trainable_parameters, "multiply_adds": cost.multiply_adds}


def read_costs() -> Costs:
    """Returns the figures that --count kept, of every model.

    Raises:
      UserError: the file is missing, is not JSON or lacks a model.
    """
    return paper_costs.read_counts(
        COSTS, lambda costs: {name: costs[name] for name in list_models()}
    )


def table_1() -> str:
    """Returns the scaling of D0-D7x: the paper's table, edet.config.sizes, equations alone."""
    headings = ["model", "φ", "backbone", "ours"]
    for quantity, equation in (("input", 3), ("width", 1), ("cells", 1), ("head", 2)):
        headings += [quantity, "ours", f"eq. {equation}"]
    rows = []
    for name, paper in PAPER.items():
        ours, phi = MODELS[name], paper.phi
        rows.append([
            name, phi, paper.backbone, ours["backbone"],
            paper.side, ours["image_size"], f"{image_side(phi):g}",
            paper.width, ours["pyramid_width"], f"{pyramid_width(phi):.1f}",
            paper.cells, ours["pyramid_repeats"], f"{pyramid_repeats(phi):g}",
            paper.head, ours["head_repeats"], head_repeats(phi),
        ])  # fmt: skip
    return "Table 1: scaling, in the paper, here, and by equations (1)-(3) alone\n\n" + markdown(
        headings, rows, left=(0, 2, 3)
    )


def table_2(costs: Costs) -> str:
    """Returns parameters in millions, multiply-adds in billions, published AP and latency."""
    headings = [
        "model", "parameters, M: paper", "released", "ours", "multiply-adds, B: paper", "released",
        "ours", "AP test-dev: paper", "released", "AP val: paper", "released",
        *(f"ms, {machine}: paper" for machine in ZOO["efficientdet-d0"].latency),
    ]  # fmt: skip
    rows = []
    for name, paper in PAPER.items():
        release, ours = ZOO[name], _in_units(costs[name])
        rows.append([
            name, paper.parameters, f"{release.parameters:.1f}", f"{ours['parameters']:#.4g}",
            paper.multiply_adds, f"{release.multiply_adds:.3g}", f"{ours['multiply_adds']:#.4g}",
            paper.ap_test, release.ap_test, paper.ap_val, release.ap_val,
            *(f"{latency:g}" for latency in release.latency.values()),
        ])  # fmt: skip
    return "Table 2: cost, and what was published\n\n" + markdown(headings, rows)


def lite_table(costs: Costs) -> str:
    """Returns the same of the lite models, which came after the paper."""
    headings = [
        "model", "parameters, M: released", "ours", "multiply-adds, B: ours",
        "AP float: released", "AP int8: released",
    ]  # fmt: skip
    rows = []
    for name in _lite_models():
        release, ours = ZOO[name], _in_units(costs[name])
        rows.append([
            name, f"{release.parameters:.1f}", f"{ours['parameters']:#.4g}",
            f"{ours['multiply_adds']:#.4g}", f"{release.ap_val:.2f}", f"{release.ap_int8:.2f}",
        ])  # fmt: skip
    return "Lite models: cost, and the AP that was published\n\n" + markdown(headings, rows)


def measured() -> list[str]:
    """Returns Table 4 and the costs behind Figures 6 and 9, of tools/measure_networks.py."""
    found = paper_costs.read()
    tables = {
        "Table 4: backbone and feature network": table_4.table(found),
        "Figure 6: compound scaling, and one dimension alone": figure_6.table(found),
        "Figure 9: scaled resolution, and 640 for all": figure_9.table(found),
    }
    return _titled(tables)


def feature_networks() -> list[str]:
    """Returns Table 5, and the search for the number of cells that it was made with."""
    costs = table_5.read()
    other_cells = f"Table 5 at other numbers of cells in {table_5.MODEL}"
    tables = {
        "Table 5: cost of the feature networks beside the top-down FPN's": table_5.table(costs),
        f"{other_cells}: parameters / multiply-adds": table_5.search(costs),
    }
    return _titled(tables)


def training_recipes() -> list[str]:
    """Returns Figures 7 and 8 as tables: the paper's AP on COCO, and ours on blood cells."""
    found = recipes.read()
    tables = {
        "Figure 7: length of training": recipes.figure_7(found),
        "Figure 8: scale jitter": recipes.figure_8(found),
    }
    return _titled(tables)


def _titled(tables: dict[str, list[list[str]]]) -> list[str]:
    """Returns each table, headings first, below its title."""
    return [f"{title}\n\n{markdown(rows[0], rows[1:])}" for title, rows in tables.items()]


def readme_table(costs: Costs) -> str:
    """Returns the README's model table: our sizes and costs, and the released weights' AP."""
    headings = [
        "model", "input", "parameters", "multiply-adds", "AP test-dev", "AP val", "backbone",
        "width", "cells", "head",
    ]  # fmt: skip
    rows = []
    for name in list_models():
        ours, release, cost = MODELS[name], ZOO[name], costs[name]
        rows.append([
            name, ours["image_size"], f"{cost['parameters']:,}",
            f"{cost['multiply_adds'] / 1e9:#.4g} B",
            *("–" if ap is None else f"{ap:.1f}" for ap in (release.ap_test, release.ap_val)),
            ours["backbone"], ours["pyramid_width"], ours["pyramid_repeats"], ours["head_repeats"],
        ])  # fmt: skip
    return markdown(headings, rows, left=(0, 6))


def disagreements(costs: Costs) -> list[Disagreement]:
    """Returns the published parameters and multiply-adds that our count does not give."""
    return [
        Disagreement(name, what, source, text, ours[what])
        for name in list_models()
        for ours in [_in_units(costs[name])]
        for what, source, text in _published(name)
        if not _agree(ours[what], text)
    ]


def _published(name: str) -> Iterator[tuple[str, str, str]]:
    """Yields (what, source, number as printed) of everything published on a model's cost."""
    release = ZOO[name]
    yield "parameters", "released", f"{release.parameters:.1f}"
    if release.multiply_adds:
        yield "multiply_adds", "released", f"{release.multiply_adds:.3g}"
    if name in PAPER:
        yield "parameters", "paper", PAPER[name].parameters
        yield "multiply_adds", "paper", PAPER[name].multiply_adds


def markdown(headings: Sequence[str], rows: Iterable[Sequence], left: Sequence[int] = (0,)) -> str:
    """Returns a Markdown table; columns in `left` are flush left, all others flush right."""
    rule = ["---" if i in left else "--:" for i in range(len(headings))]
    lines = [f"| {' | '.join(map(str, row))} |" for row in (headings, *rows)]
    return "\n".join([lines[0], f"|{'|'.join(rule)}|", *lines[1:]]) + "\n"


def _agree(ours: float, published: str) -> bool:
    """Whether ours is within one per cent of a printed number, or rounds to its digits."""
    half_a_digit = 0.5 * 10.0 ** -len(published.partition(".")[2])
    return abs(ours - float(published)) <= max(0.01 * float(published), half_a_digit)


def _in_units(cost: dict[str, int]) -> dict[str, float]:
    """Millions of parameters and billions of multiply-adds, as both are published."""
    return {
        "parameters": cost["parameters"] / 1e6,
        "multiply_adds": cost["multiply_adds"] / 1e9,
    }


def _lite_models() -> list[str]:
    return [name for name in list_models() if name not in PAPER]


def _parts_of_readme() -> tuple[str, str, str]:
    """Returns README.md before the table, the table, and what follows."""
    text = read_text(README, "README")
    before, begin, rest = text.partition(f"{BEGIN}\n\n")
    table, end, after = rest.partition(f"\n{END}\n")
    if not begin or not end:
        raise UserError(f"{README} has no lines {BEGIN} and {END}; the model table goes between.")
    return before + begin, table, end + after


if __name__ == "__main__":
    run(define_flags, paper_tables)
