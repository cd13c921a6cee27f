"""Counts and times the networks of the paper's tables and figures, into docs/paper/costs.json.

  python tools/measure_networks.py --count                        what depends on no machine
  python tools/measure_networks.py --time --experiments=scaling   milliseconds on this one

Experiments: backbones (Table 4), scaling (Figure 6), resolution (Figure 9), models (Figures 1, 4).
What is in the file already is left as it is unless --again is given. Time on an idle machine: the
load average is kept beside the figures.
"""

from __future__ import annotations

import keras
from absl import flags

from edet.cli.common import run
from edet.errors import UserError
from edet.files import write_json
from tools.paper import costs


def define_flags(values: flags.FlagValues) -> None:
    """Defines the flags of this tool."""
    flags.DEFINE_list("experiments", list(costs.EXPERIMENTS), "Which networks.",
                      flag_values=values)  # fmt: skip
    flags.DEFINE_bool("count", False, "Count parameters, multiply-adds and memory.",
                      flag_values=values)  # fmt: skip
    flags.DEFINE_bool("time", False, "Measure inference on this machine.", flag_values=values)
    flags.DEFINE_bool("again", False, "Also what is in the file already.", flag_values=values)
    flags.DEFINE_float("seconds", 5.0, "How long to time each network, at least.",
                       lower_bound=0, flag_values=values)  # fmt: skip
    flags.DEFINE_float("time_below", 60.0, "Time no network with more billions of multiply-adds.",
                       flag_values=values)  # fmt: skip


def measure_networks(options: flags.FlagValues) -> None:
    """Finds what is missing, network by network; every figure is kept at once."""
    if not (options.count or options.time):
        raise UserError("say what to find: --count, --time or both.")
    found = costs.read()
    for name in options.experiments:
        if name not in costs.EXPERIMENTS:
            raise UserError(
                f"--experiments={name}: there is none; choose of {', '.join(costs.EXPERIMENTS)}."
            )
    subjects = {s.label: s for name in options.experiments for s in costs.EXPERIMENTS[name]}
    for label, subject in subjects.items():
        row = found.setdefault(label, {})
        config = subject.config()
        training = subject in costs.EXPERIMENTS["resolution"]
        last = "training_bytes" if training else "activation_bytes"
        if options.count and (options.again or last not in row):
            keras.backend.clear_session()
            row |= costs.count(config, training)
            write_json(costs.COSTS, found)
        small = row.get("multiply_adds", 0) <= options.time_below * 1e9
        if options.time and small and (options.again or "milliseconds" not in row):
            keras.backend.clear_session()
            row |= costs.timing(config, options.seconds)
            write_json(costs.COSTS, found)
        print(f"{label}: {_summary(row)}", flush=True)


def _summary(row: dict) -> str:
    parts = []
    if "parameters" in row:
        parts.append(f"{row['parameters'] / 1e6:.2f} M parameters")
        parts.append(f"{row['multiply_adds'] / 1e9:.2f} B multiply-adds")
    if "milliseconds" in row:
        parts.append(f"{row['milliseconds']['median']:.0f} ms at a load of {row['load'][0]}")
    return ", ".join(parts) or "nothing found"


if __name__ == "__main__":
    run(define_flags, measure_networks)
