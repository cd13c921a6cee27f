"""A large tensor as a few hundred numbers, so that a test can hold ours against the reference's."""

import numpy as np

from tests.golden.filler import rng_for

_ENTRIES = 300


def summarize(name: str, values: np.ndarray) -> np.ndarray:
    """Returns largest size, mean and root mean square of all entries, then up to 300 of them.

    float32 [3 + n]. The entries' places follow from the name; mean and root mean square are
    computed in float64 over all entries.
    """
    flat = np.ravel(values).astype(np.float64)
    if not flat.size:
        return np.zeros(3, np.float32)
    count = min(_ENTRIES, flat.size)
    places = np.sort(rng_for(name, "places").choice(flat.size, count, replace=False))
    moments = [np.abs(flat).max(), flat.mean(), np.sqrt(np.square(flat).mean())]
    return np.concatenate([moments, flat[places]]).astype(np.float32)


def difference(name: str, values: np.ndarray, summary: np.ndarray) -> float:
    """Returns the largest difference from the summarized tensor, as a share of its largest entry.

    A tensor of zeros must be met exactly.
    """
    error = np.abs(summarize(name, values).astype(np.float64) - summary).max()
    return float(error / summary[0]) if error else 0.0
