"""Which configuration a command runs with."""

from __future__ import annotations

from collections.abc import Sequence

from edet.config.loading import load_config
from edet.config.schema import Config
from edet.config.sizes import list_models
from edet.errors import UserError
from edet.export.exported import exported_config, is_exported
from edet.weights.loading import check_source
from edet.weights.zoo import ZOO
from edet.workdir import Workdir


def run_config(
    workdir: str, model: str | None, path: str | None, overrides: Sequence[str], weights: str = ""
) -> Config:
    """Returns the configuration of a command: that of the workdir, unless another one is given.

    Released weights, given as `weights` or in `train.init`, bring the settings that they were
    trained with (anchors, normalisation); the YAML and the overrides are stronger. An exported
    file, a workdir or a checkpoint of one as `weights` brings its configuration along.

    Raises:
      UserError: neither a model, nor a YAML, nor a workdir with a configuration, nor released
        weights are given, or there are no weights where they should be.
    """
    run = Workdir(workdir)
    if not path and not model:
        if run.has_config():
            return run.config(overrides)
        if is_exported(weights):
            return exported_config(weights, overrides)
        if trained := Workdir.of(weights):
            return trained.config(overrides)
        if weights in ZOO and ZOO[weights].model in list_models():
            model = ZOO[weights].model
        else:
            if weights:
                check_source(weights)
            where = f"{run} has no config.yaml" if run else "no --workdir is given"
            if weights and not run:
                where = f"{weights} brings no configuration along"
            raise UserError(f"{where}; name a model with --model or a YAML file with --config.")
    config = load_config(model, path, overrides)
    release = ZOO.get(weights or config.train.init)
    if not release or release.is_backbone:  # which has no anchors, and any recipe trains it on
        return config
    return load_config(model, path, overrides, release.settings)
