"""What the networks of Tables 2 and 4 and Figures 1, 4, 6 and 9 cost.

tools/measure_networks.py counts and times them; docs/paper/costs.json keeps the figures.
"""

from __future__ import annotations

import json
import os
import statistics
import time
from collections.abc import Callable, Iterable, Mapping
from typing import Any, NamedTuple

import tensorflow as tf

from edet.config.loading import load_config
from edet.config.schema import Config
from edet.config.sizes import DIMENSIONS, TABLE_1
from edet.errors import UserError
from edet.export.fold import fold
from edet.files import read_json, read_text
from edet.models.complexity import count_cost, outline
from edet.models.efficientdet import build_network
from edet.runtime.memory import expected_memory, peak_memory

_ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
COSTS = os.path.join(_ROOT, "docs", "paper", "costs.json")
_MODELS = os.path.join(_ROOT, "docs", "model_costs.json")  # of tools/paper_tables.py
_LEAST_RUNS = 5
_HOW = "run python tools/measure_networks.py --count (or --time)."

Costs = dict[str, dict[str, Any]]  # label -> what `count` and `timing` return


class Subject(NamedTuple):
    """A network: what --model, --config and --set say."""

    label: str
    model: str | None = None
    path: str | None = None  # below the root of the repository
    settings: tuple[str, ...] = ()

    def config(self) -> Config:
        """Returns its configuration."""
        path = os.path.join(_ROOT, self.path) if self.path else None
        return load_config(self.model, path, self.settings)


def _named(*names: str) -> tuple[Subject, ...]:
    return tuple(Subject(name, model=name) for name in names)


COMPOUND = tuple(f"efficientdet-phi{phi}" for phi in ("0", "1", "1.5", "2", "3"))
SINGLE = {d: tuple(f"efficientdet-phi{phi}-{d}" for phi in (2, 4, 6)) for d in DIMENSIONS}
FIXED = {f"efficientdet-d{phi}": f"efficientdet-d{phi} at 640" for phi in range(1, 7)}
_NECKS = ("resnet50_fpn", "resnet101_fpn", "efficientnet_b3_fpn", "efficientnet_b3_bifpn")

EXPERIMENTS: dict[str, tuple[Subject, ...]] = {
    "backbones": tuple(
        Subject(name, path=f"configs/paper/backbone_neck/{name}.yaml") for name in _NECKS
    ),
    "scaling": _named(*COMPOUND, *(name for names in SINGLE.values() for name in names)),
    "resolution": (
        *_named(*FIXED),
        *(Subject(label, name, None, ("model.image_size=640",)) for name, label in FIXED.items()),
    ),
    "models": _named(*TABLE_1),
}


def count(config: Config, training: bool = False) -> dict[str, Any]:
    """Returns what one image costs, read from the layers; nothing depends on the machine.

    "activation_bytes" are the outputs of convolutions and resamplings together, in float32. With
    `training`, "training_bytes" is what `edet.runtime.memory` expects on one device in float32:
    "fixed" (weights, velocities, averages, gradients) and what each "image" of the batch adds.
    """
    network = outline(config.model)
    cost = count_cost(network)["total"]
    found: dict[str, Any] = {
        "image_size": list(config.model.image_size),
        "parameters": cost.trainable_parameters,
        "multiply_adds": cost.multiply_adds,
        "activation_bytes": cost.activation_bytes,
    }
    if training:
        expected = expected_memory(network, images=1)
        image = expected.activations + expected.temporary
        found["training_bytes"] = {"fixed": expected.total - image, "image": image}
    return found


def timing(config: Config, seconds: float) -> dict[str, Any]:
    """Returns how long this machine takes for one image, the network folded as it is exported.

    "milliseconds" by the clock and "processor_milliseconds" of all threads, medians and least, of
    at least _LEAST_RUNS runs and `seconds`; "inference_bytes" is the peak beyond the weights, as
    "inference_bytes_of" counts it; "load" the machine's load average a minute before and after.
    """
    device = "GPU:0" if tf.config.list_physical_devices("GPU") else "CPU:0"
    network = fold(build_network(config.model))
    pixels = tf.random.stateless_normal((1, *config.model.image_size, 3), [0, 0])
    run = tf.function(lambda images: network(images, training=False), autograph=False)
    load = [os.getloadavg()[0]]
    for _ in range(2):
        _finish(run(pixels))
    peak, measure = peak_memory(lambda: _finish(run(pixels)), device)
    clock, processor = [], []
    end = time.perf_counter() + seconds
    while len(clock) < _LEAST_RUNS or time.perf_counter() < end:
        started, used = time.perf_counter(), time.process_time()
        _finish(run(pixels))
        clock.append(1000 * (time.perf_counter() - started))
        processor.append(1000 * (time.process_time() - used))
    load.append(os.getloadavg()[0])
    return {
        "milliseconds": {"median": statistics.median(clock), "least": min(clock)},
        "processor_milliseconds": {"median": statistics.median(processor), "least": min(processor)},
        "runs": len(clock),
        "inference_bytes": peak,
        "inference_bytes_of": measure,
        "load": [round(value, 1) for value in load],
    }


def _finish(outputs: dict[str, tf.Tensor]) -> None:
    """Waits for a result."""
    for value in outputs.values():
        value.numpy()


def read() -> Costs:
    """Returns what was kept of every network, and the counts of the named models.

    Raises:
      UserError: a file is not what the tools write.
    """
    found: Costs = {}
    for path in filter(os.path.exists, (COSTS, _MODELS)):
        try:
            for label, row in read_json(path, "costs").items():
                found[label] = found.get(label, {}) | row
        except (ValueError, AttributeError, TypeError) as error:
            raise UserError(f"{path} is not what this tool writes ({error}); remove it.") from error
    return found


def read_counts(path: str, pick: Callable[[Any], Any]) -> Any:
    """Returns what `pick` takes out of a file that tools/paper_tables.py --count has written.

    Raises:
      UserError: the file is missing or not JSON, or `pick` does not find all.
    """
    text = read_text(path, "counts")
    try:
        return pick(json.loads(text))
    except (ValueError, KeyError, TypeError) as error:
        raise UserError(
            f"{path} does not hold every network ({error}); run python tools/paper_tables.py "
            "--count"
        ) from error


def figure(costs: Costs, label: str, key: str = "parameters") -> Any:
    """Returns one figure of a network.

    Raises:
      UserError: it was not found yet.
    """
    try:
        return costs[label][key]
    except (KeyError, TypeError) as error:
        raise UserError(f"{COSTS} has no {key} of {label}; {_HOW}") from error


def processor_time(row: Mapping[str, Any]) -> float:
    """Returns the milliseconds of all cores together, which other work on a machine hardly moves.

    The clock shows half of it on two idle cores, and anything on busy ones.
    """
    return row["processor_milliseconds"]["least"]


def points(
    rows: Iterable[tuple[float, Mapping[str, Any]]], value: Callable[[Mapping[str, Any]], float]
) -> list[tuple[float, float]]:
    """Returns (x, value) of those pairs of an x and a row whose value is known."""
    return [(x, value(row)) for x, row in rows if has(row, value)]


def cell(row: Mapping[str, Any], value: Callable[[Mapping[str, Any]], float], form: str) -> str:
    """Returns a value as a table shows it; "–" if it is not known."""
    return f"{value(row):{form}}" if has(row, value) else "–"


def clock_time(row: Mapping[str, Any]) -> str:
    """Returns the milliseconds by the clock and the load that they were taken at; "–" if never."""
    if "milliseconds" not in row:
        return "–"
    return f"{row['milliseconds']['median']:.0f} ({row['load'][0]:.0f})"


def has(row: Mapping[str, Any], value: Callable[[Mapping[str, Any]], float]) -> bool:
    """Returns whether `value` finds what it reads in a network's figures."""
    try:
        value(row)
    except KeyError:
        return False
    return True
