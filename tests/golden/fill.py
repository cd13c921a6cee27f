"""Puts the golden weights of `filler` into a network of ours, by the reference's names."""

import keras
import numpy as np

from edet.config.schema import ModelConfig
from edet.weights.reference_names import reference_names
from tests.golden.filler import weight


def fill_with_golden_weights(network: keras.Model, config: ModelConfig, meta: dict) -> None:
    """Fills every variable; `meta` is a golden file's, with salt and gains."""
    names = reference_names(network, config)
    for variable in network.variables:
        named = names[variable.path]
        if variable.path.endswith("fusion_weights"):
            parts = [weight(n, variable.shape[1:], meta["salt"], meta["gains"]) for n in named]
            variable.assign(np.stack(parts))
        else:
            variable.assign(weight(named[0], variable.shape, meta["salt"], meta["gains"]))
