"""Estimates the hours and the price of a training run on a TPU, before anybody rents one.

  python tpu/cost.py --model=efficientdet-d0 --type=v3-32
  python tpu/cost.py --model=efficientdet-d0 --type=v5litepod-32 --price=0.6 --source='list, 1 May'

One training time on TPUs has been published: EfficientDet-D1, 300 epochs of COCO, about 9 hours on
32 cores of v3 (https://github.com/google/automl/issues/48). Another model or slice is assumed to
take longer in proportion to its arithmetic, and shorter in proportion to what its cores can do: to
their peak of arithmetic if arithmetic bounds it, to their memory bandwidth if that does. The
arithmetic is what the compile check counted in the compiled training steps (compile_results.json,
for v3) or, until it has both models, six times the multiply-adds of docs/model_costs.json.
Evaluation, waiting for capacity and what is lost at preemptions are not in it. Prices change and
differ by region: the caller gives one, and where it is from.

Needs nothing but Python, so that it runs wherever gcloud does.
"""

from __future__ import annotations

import argparse
import json
import math
import pathlib
import re
from dataclasses import dataclass

_HERE = pathlib.Path(__file__).parent
_COMPILED = _HERE / "compile_results.json"
_COSTS = _HERE.parent / "docs" / "model_costs.json"
COCO = 118_287  # images of train2017
# Multiply-adds are two operations, and the backward pass costs two forward passes.
FLOPS_PER_MULTIPLY_ADD = 6


@dataclass(frozen=True)
class Core:
    """What one core of a TPU can do (Google's pages on v3, v5e and v6e; a v3 chip has two)."""

    flops: float  # bfloat16 operations a second, at most
    bandwidth: float  # bytes a second from its memory
    slices: tuple[int, ...]  # cores of the slices that are offered


CORES = {
    "v3": Core(123e12 / 2, 900e9 / 2, (8, 32, 64, 128, 256, 512, 1024, 2048)),
    "v5litepod": Core(197e12, 819e9, (1, 4, 8, 16, 32, 64, 128, 256)),
    "v6e": Core(918e12, 1640e9, (1, 4, 8, 16, 32, 64, 128, 256)),
}


@dataclass(frozen=True)
class Published:
    """A run whose time is known."""

    model: str = "efficientdet-d1"
    images: int = 300 * COCO
    core: str = "v3"
    cores: int = 32
    hours: float = 9.0


@dataclass(frozen=True)
class Estimate:
    """What a run would take."""

    cores: int
    flops: float  # of the whole run
    counted: str  # where they were counted
    hours: tuple[float, float]  # if arithmetic bounds it, if memory does
    utilisation: float  # share of the peak of arithmetic in the first case

    @property
    def core_hours(self) -> tuple[float, float]:
        """What is paid for."""
        return (self.hours[0] * self.cores, self.hours[1] * self.cores)


def estimate(model: str, kind: str, epochs: float = 0, images: int = COCO) -> Estimate:
    """Estimates a run.

    Args:
      model: a name of docs/model_costs.json.
      kind: accelerator type, such as v3-32 or v5litepod-128; the number is that of cores.
      epochs: passes over the images; 0 takes the paper's, 600 for D7 and D7x and 300 for others.
      images: of one epoch.

    Raises:
      ValueError: there is no such model or type.
    """
    match = re.fullmatch(r"(\w+)-(\d+)", kind)
    if not match or match[1] not in CORES:
        raise ValueError(f"{kind!r} is not a type such as v3-32; known are {', '.join(CORES)}")
    core, cores, known = CORES[match[1]], int(match[2]), Published()
    if cores not in core.slices:
        offered = ", ".join(map(str, core.slices))
        raise ValueError(f"{kind!r}: there is no such slice; {match[1]} has {offered} cores")
    epochs = epochs or (600 if model.startswith("efficientdet-d7") else 300)
    per_image, counted = _flops(known.model, model)
    flops = per_image[model] * epochs * images
    # Seconds that the published run would need at the peak, against those that it took.
    known_flops = per_image[known.model] * known.images
    then = CORES[known.core]
    utilisation = known_flops / (known.hours * 3600 * known.cores * then.flops)
    by_arithmetic = flops / (utilisation * core.flops * cores) / 3600
    by_memory = by_arithmetic * (core.flops / then.flops) / (core.bandwidth / then.bandwidth)
    return Estimate(cores, flops, counted, (by_arithmetic, by_memory), utilisation)


def _flops(*models: str) -> tuple[dict[str, float], str]:
    """Returns the operations of one training image of each model, all counted in the same way."""
    rows = json.loads(_COMPILED.read_text()) if _COMPILED.exists() else []
    compiled = {
        row["model"]: row["flops"] / row["images_per_core"]
        for row in sorted(rows, key=lambda row: -row["images_per_core"])  # the paper's batch last
        if row["step"] == "train" and row["topology"].startswith("v3:")
        if row.get("flops") and not row.get("remat") and row.get("micro_batches", 1) == 1
    }
    if all(model in compiled for model in models):
        return compiled, "in the compiled steps"
    costs = json.loads(_COSTS.read_text())
    for model in models:
        if model not in costs:
            raise ValueError(f"there is no model {model!r}; known are {', '.join(costs)}")
    counted = {name: FLOPS_PER_MULTIPLY_ADD * row["multiply_adds"] for name, row in costs.items()}
    return counted, "as six times the multiply-adds"


def report(model: str, kind: str, found: Estimate, price: float, source: str) -> str:
    """Returns the estimate in words, with what it assumes."""
    lines = [
        f"{model} on {kind}: {_span(found.hours, '.1f')} hours, "
        f"{_span(found.core_hours, ',.0f')} core hours",
        f"assumed: {found.flops:.2e} operations, counted {found.counted}, at "
        f"{100 * found.utilisation:.1f} % of the peak as in the one published run (D1, 9 hours on "
        "32 cores of v3)",
    ]
    if found.hours[0] != found.hours[1]:
        lines[1] += "; the second number if memory, not arithmetic, bounds it there"
    if source:
        cost = tuple(hours * price for hours in found.core_hours)
        lines.append(f"price: {_span(cost, ',.0f')}, at {price:g} a core hour ({source})")
    else:
        lines.append("price: give --price of a core hour (v3: half of a chip's) and its --source")
    return "\n".join(lines)


def _span(values: tuple[float, float], form: str) -> str:
    return " to ".join(dict.fromkeys(format(value, form) for value in values))


def main(arguments: list[str] | None = None) -> None:
    """Prints an estimate."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", required=True)
    parser.add_argument("--type", required=True, help="v3-32, v5litepod-32, ...")
    parser.add_argument("--epochs", type=float, default=0, help="default: the paper's")
    parser.add_argument("--images", type=int, default=COCO, help="of an epoch; default: COCO's")
    parser.add_argument("--price", type=float, default=0, help="of a core hour, in any currency")
    parser.add_argument("--source", default="", help="where the price is from, and its date")
    options = parser.parse_args(arguments)
    for name in ("epochs", "images", "price"):
        if not 0 <= getattr(options, name) < math.inf:
            parser.error(f"--{name} is {getattr(options, name):g}; give a number from 0 on")
    if bool(options.price) != bool(options.source):
        parser.error("--price and --source go together: prices differ by region and change")
    try:
        found = estimate(options.model, options.type, options.epochs, options.images)
    except ValueError as error:
        parser.error(str(error))
    print(report(options.model, options.type, found, options.price, options.source))


if __name__ == "__main__":
    main()
