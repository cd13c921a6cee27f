"""What several stories need."""

from __future__ import annotations

from typing import NamedTuple

import keras
from rich.console import Console

from edet.config.labels import class_ids, labels_of
from edet.config.schema import Config
from edet.dataset_check.report import name_clashes
from edet.errors import UserError
from edet.export.exported import (
    ExportedDetector,
    ExportedSegmenter,
    exported_config,
    is_exported,
)
from edet.files import find_files
from edet.inference.detector import Detector
from edet.inference.segmenter import Segmenter
from edet.models.efficientdet import build_network
from edet.records.shards import RecordSet, check_records
from edet.weights.loading import load_weights

console = Console(soft_wrap=True)


class Heads(NamedTuple):
    """What looks at pictures: one of both, or both with one network."""

    detector: Detector | None
    segmenter: Segmenter | None

    @classmethod
    def of(cls, network: keras.Model, config: Config) -> Heads:
        """Returns those that `model.heads` names."""
        model = config.model
        return cls(
            Detector(network, config) if model.detects else None,
            Segmenter(network, config) if model.segments else None,
        )

    @property
    def network(self) -> keras.Model:
        """Their network."""
        return (self.detector or self.segmenter).network


def load_heads(config: Config, weights: str) -> Heads:
    """Builds the network of a configuration with weights of a workdir, checkpoint or file."""
    if is_exported(weights):
        model = exported_config(weights).model
        return Heads(
            ExportedDetector(weights, config) if model.detects else None,
            ExportedSegmenter(weights, config) if model.segments else None,
        )
    network = build_network(config.model)
    console.print(str(load_weights(network, weights)), highlight=False, markup=False)
    return Heads.of(network, config)


def load_detector(config: Config, weights: str) -> Detector:
    """As `load_heads`, where only boxes are of use.

    Raises:
      UserError: the network has none.
    """
    detector = load_heads(config, weights).detector
    if detector is None:
        raise UserError("model.heads has no detection, and this command finds objects only.")
    return detector


def checked_records(config: Config, key: str) -> RecordSet:
    """Returns the records of `data.<key>`, counted and checked for these heads and labels."""
    what = f"data.{key}"
    files = find_files(getattr(config.data, key), what)
    ids = class_ids(config.model) if config.model.detects else None
    found = check_records(files, ids)
    if ids is not None and (clashes := name_clashes(found.class_names, labels_of(config.model))):
        console.print(f"warning: {what}: {clashes}", style="yellow", markup=False)
    if config.model.segments:
        found.check_masks(what)
    return found
