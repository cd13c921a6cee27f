"""Putting foreign values into a network, and saying what fitted."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import keras
import numpy as np

from edet.errors import UserError


@dataclass(frozen=True)
class LoadReport:
    """What `load_weights` did, by name.

    `loaded` and `reinitialized` are paths of the network's variables and together all of them;
    `unused` are names in the source that no variable took.
    """

    source: str
    loaded: tuple[str, ...]
    reinitialized: tuple[str, ...]
    unused: tuple[str, ...]

    def __str__(self) -> str:
        lines = [
            f"{self.source}: {len(self.loaded)} variables loaded, {len(self.reinitialized)} "
            f"left at their initial values, {len(self.unused)} arrays unused"
        ]
        for title, names in (("initial", self.reinitialized), ("unused", self.unused)):
            layers = sorted({name.rpartition("/")[0] or name for name in names})
            shown = ", ".join(layers[:6]) + (f", ... ({len(layers)} layers)" if layers[6:] else "")
            lines += [f"  {title}: {shown}"] if layers else []
        return "\n".join(lines)


def assign_weights(
    network: keras.Model, values: Mapping[str, np.ndarray], names: Mapping[str, str], source: str
) -> LoadReport:
    """Assigns each variable the value of its name, where there is one of its shape.

    Args:
      values: {name in the source: array}, laid out as Keras wants it.
      names: {variable's path: name in the source}; paths left out keep their values.
      source: what the values came from, for the report.

    Raises:
      UserError: not one variable found a value.
    """
    loaded, missing = [], []
    for variable in network.variables:
        value = values.get(names.get(variable.path, ""))
        if value is not None and tuple(value.shape) == tuple(variable.shape):
            variable.assign(value)
            loaded.append(variable.path)
        else:
            missing.append(variable.path)
    if not loaded:
        raise UserError(
            f"{source} holds no weight of {network.name}: its names are such as "
            f"{', '.join(sorted(values)[:3])}, and none fits; is it made for another model?"
        )
    used = {names[path] for path in loaded}
    unused = tuple(sorted(name for name in values if name not in used))
    return LoadReport(source, tuple(loaded), tuple(missing), unused)
