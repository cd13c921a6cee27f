"""What several stories need."""

from __future__ import annotations

import contextlib
import hashlib
import os
import time
from collections.abc import Iterable
from typing import Any

import keras

from edet.config.labels import class_ids, labels_of
from edet.config.schema import Config
from edet.dataset_check.report import name_clashes
from edet.errors import StorageError, UserError
from edet.export.exported import (
    exported_contents,
    ignored_settings,
    is_exported,
    load_exported,
    with_own_model,
)
from edet.files import read_json_or, write_json
from edet.globs import find_files
from edet.inference.detector import make_predictor
from edet.inference.predictor import Predictor, of_pixels
from edet.models.efficientdet import build_network
from edet.ownership import lock_beside, owned
from edet.records.shards import RecordSet, check_not_empty, check_records
from edet.report.page import write_page
from edet.terminal import Console, warn
from edet.weights.loading import load_weights
from edet.workdir import Workdir

console = Console(soft_wrap=True)

_LOCK_TRIES = 50
_LOCK_SECONDS = 0.1  # between two of them


def keep(workdir: str | Workdir, mode: str, summary: dict) -> dict:
    """Writes <workdir>/<mode>.json and the page, if there is a workdir, and returns the summary.

    It comes before printing: what a mode has worked out for hours is not lost to a terminal.
    """
    if workdir:
        write_json(Workdir(str(workdir)).result_file(mode), summary)
        write_page(Workdir(str(workdir)))
    return summary


def keep_figures(
    workdir: str | Workdir, path: str, figures: dict[str, Any], is_new: bool = False
) -> None:
    """Adds what is known of an exported file to <workdir>/models.json, {path: figures}.

    Of a file that `is_new` nothing else is known: the AP was that of another one in its place.
    Where models.json is damaged or stays locked it is said: what the figures are of is done.
    """
    if not workdir:
        return
    file = Workdir(str(workdir)).result_file("models")
    name = os.path.relpath(path, str(workdir)) if "://" not in path else path
    name = os.path.abspath(path) if name.startswith("..") else name
    with contextlib.ExitStack() as stack:
        try:
            _lock(stack, file)
        except UserError as error:
            warn(f"the figures of {path} are not kept: {error}")
            return
        known = _known_figures(file)
        before = {} if is_new else known.get(name)
        before = before if isinstance(before, dict) else {}
        write_json(file, {**known, name: {**before, **figures}})


def _lock(stack: contextlib.ExitStack, file: str) -> None:
    """Holds the lock of a file until the stack is closed, as soon as another writer is done."""
    for tries_left in reversed(range(_LOCK_TRIES)):
        try:
            stack.enter_context(owned(lock_beside(file), file, "a command", "try again"))
            return
        except StorageError:  # which no waiting mends
            raise
        except UserError:
            if not tries_left:
                raise
            time.sleep(_LOCK_SECONDS)


def _known_figures(file: str) -> dict[str, Any]:
    try:
        return read_json_or(file, "result", {})
    except StorageError:
        raise
    except UserError as error:
        warn(f"{error} It is written anew.")
        return {}


def load_predictor(config: Config, weights: str) -> Predictor:
    """Returns what looks at pictures with weights of a workdir, checkpoint or exported file."""
    if is_exported(weights):
        config = config_of_file(config, weights)
        predictor, contents = load_exported(weights, config), lambda: exported_contents(weights)
    else:
        network = load_network(config, weights)
        predictor = make_predictor(of_pixels(network, config.model), config)
        contents = lambda: (value.tobytes() for value in network.get_weights())  # noqa: E731
    if "segmentation" in predictor.heads and not config.detect.looks_once:
        warn("detect.flip and detect.tile are of boxes; pixels are classified once, in the whole.")
    settings = repr((predictor.model, config.detect)).encode()
    predictor.conditions = lambda: {"weights": _digest(contents()), "settings": _digest([settings])}
    return predictor


def config_of_file(config: Config, path: str) -> Config:
    """Returns `with_own_model`, and says what the file does otherwise than it was asked."""
    if ignored := ignored_settings(path, config):
        warn(f"{path} keeps what it was exported with: {ignored}.")
    return with_own_model(path, config)


def _digest(parts: Iterable[bytes]) -> str:
    digest = hashlib.sha256()
    for part in parts:
        digest.update(part)
    return digest.hexdigest()


def load_network(config: Config, weights: str) -> keras.Model:
    """Builds the network of a configuration with weights of a workdir or checkpoint.

    Raises:
      UserError: they are of another network, so that a part of this one would be untrained.
    """
    network = build_network(config.model)
    report = load_weights(network, weights)
    console.print(str(report), highlight=False, markup=False)
    if left := report.untrained:
        raise UserError(
            f"{weights} has no values for {len(left)} parts of the network, such as {left[0]}, so "
            "what it finds would mean nothing: leave out settings of model that it was not trained "
            "with, or train with them."
        )
    return network


def load_detector(config: Config, weights: str) -> Predictor:
    """As `load_predictor`, where only boxes are of use.

    Raises:
      UserError: the network has none.
    """
    predictor = load_predictor(config, weights)
    if "detection" not in predictor.heads:
        raise UserError("model.heads has no detection, and this command finds objects only.")
    return predictor


def checked_records(config: Config, key: str, for_training: bool = False) -> RecordSet:
    """Returns the records of `data.<key>`, counted and checked for these heads and labels.

    Raises:
      UserError: as `check_records` does; or, for training, the records call a class otherwise than
        the labels, where an evaluation only says so.
    """
    what = f"data.{key}"
    files = find_files(getattr(config.data, key), what)
    check_not_empty(files)
    ids = class_ids(config.model) if config.model.detects else None
    found = check_records(files, ids)
    if ids is not None and (clashes := name_clashes(found.class_names, labels_of(config.model))):
        if for_training:
            raise UserError(f"{what}: {clashes}")
        warn(f"{what}: {clashes}")
    if config.model.segments:
        found.check_masks(what)
    return found
