"""What every evaluation of a head is, so that one loop over the pictures feeds all of them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

import numpy as np


class Result(Protocol):
    """What an evaluator says of all pictures."""

    @property
    def metrics(self) -> dict[str, float]:
        """The numbers that are compared, 0-1, by name."""

    def as_dict(self) -> dict[str, Any]:
        """Returns everything, ready for JSON."""


class Evaluator(Protocol):
    """Compares what one head finds in the pictures of a data set with what is there."""

    def reset(self) -> None:
        """Forgets all pictures, as before another evaluation."""

    def update(self, batch: Mapping[str, np.ndarray], outputs: Mapping[str, np.ndarray]) -> None:
        """Adds a batch.

        Args:
          batch: "image_index" int32 [B], numbers of the pictures in the data set; each comes once.
          outputs: what the network's heads found in them, by name; the evaluator takes its own.
        """

    def result(self) -> Result:
        """Returns what was found so far."""
