"""What several stories need."""

from __future__ import annotations

from rich.console import Console

from edet.config.labels import class_ids
from edet.config.schema import Config
from edet.data.examples import check_records, count_records
from edet.files import find_files
from edet.models.efficientdet import build_network
from edet.serving.detector import Detector
from edet.serving.exported import ExportedDetector, is_exported
from edet.weights.loading import load_weights

console = Console(soft_wrap=True)

_CHECK_ALL_BELOW = 20_000  # records; a larger set has only the first record of each shard checked


def load_detector(config: Config, weights: str) -> Detector:
    """Builds the detector of a configuration with weights of a workdir, checkpoint or file."""
    if is_exported(weights):
        return ExportedDetector(weights, config)
    network = build_network(config.model)
    console.print(str(load_weights(network, weights)), highlight=False)
    return Detector(network, config)


def checked_records(config: Config, key: str) -> list[str]:
    """Returns the shards of `data.<key>` after looking into them; see `check_records`."""
    what = f"data.{key}"
    files = find_files(getattr(config.data, key), what)
    every_record = count_records(files) < _CHECK_ALL_BELOW
    check_records(files, class_ids(config.model), every_record)
    return files
