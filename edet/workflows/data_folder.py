"""A data set as it lies on the disk becomes the records of a run, once."""

from __future__ import annotations

import hashlib
import json
import os

import rich
import tensorflow as tf

from edet.config.labels import read_labels
from edet.errors import UserError
from edet.files import absolute, read_json, write_json
from edet.globs import glob_of
from edet.records.sources.example_set import ExampleSet, stamps_of
from edet.records.sources.folder import Folder
from edet.records.sources.formats import open_folder
from edet.records.writing import write_records
from edet.terminal import say
from edet.workdir import Workdir
from edet.workflows.common import warn

_RECORDS = {"train": "train", "eval": "val"}
VAL_SHARE = 0.1  # of the pictures, where a set has no split to evaluate on


def records_of(data: str, workdir: str) -> list[str]:
    """Makes <workdir>/records of a data set's folder, and returns the settings that name them.

    A second call with the same files makes nothing: their names, sizes and times of change, which
    lie in <workdir>/records/source.json, are looked at, but none is opened.

    Args:
      data: what `records.sources.formats.open_folder` reads.
      workdir: folder of the run; gs:// works.

    Returns:
      Settings for `run_config`: data.train_records, data.eval_records and model.labels.

    Raises:
      UserError: there is no workdir, the set has no training pictures, the workdir's network was
        trained on another set or on other classes, or as `open_folder` and `write_records` do.
    """
    if not workdir:
        raise UserError(f"--data={data} needs --workdir, beside which its records are written.")
    run = Workdir(workdir)
    if absolute(data) == absolute(workdir):
        raise UserError(
            f"--workdir={workdir} is the folder of the data, among which the pictures of the run "
            f"would be; give another one, such as {run.at('run')}."
        )
    files = _stamp(data, run)
    if run.has_records():
        before = read_json(run.records_source, "the source", dict)
        if before.get("files") == files:
            return _settings(run)
        if run.has_config() and absolute(before.get("data", "")) != absolute(data):
            raise UserError(
                f"{run} was trained on {before.get('data')}, of which it keeps the records; use "
                f"another --workdir for {data} (--set train.init={run} starts from these weights), "
                "or evaluate on records of it, made with create_tfrecords and named by --set "
                "data.eval_records."
            )
    sets = open_folder(data, val_share=VAL_SHARE, log=say)
    if run.has_records() and run.checkpoint("last") and "train" in sets:
        _refuse_other_classes(sets["train"].labels, run, data)
    _write(sets, run, data)
    write_json(run.records_source, {"data": data, "files": files})
    return _settings(run)


def _refuse_other_classes(labels: dict[int, str], run: Workdir, data: str) -> None:
    """Keeps the records of a trained network whose classes have other ids now.

    In new ones its logits would stand for other classes, and no evaluation would tell.
    """
    before = read_labels(f"{run.records('train')}.labels.yaml")
    if labels == before:
        return
    names, old = set(labels.values()), set(before.values())
    changes = {"new": names - old, "gone": old - names}
    told = [f"{what}: {', '.join(sorted(which))}" for what, which in changes.items() if which]
    raise UserError(
        f"the classes of {data} are others now than those that {run} was trained on "
        f"({'; '.join(told) or 'their ids'}); use another --workdir for it, where --set "
        f"train.init={run} keeps what is known of classes of the same name."
    )


def _write(sets: dict[str, ExampleSet], run: Workdir, data: str) -> None:
    if "train" not in sets:
        raise UserError(f"{data} has no split to train on (it has {', '.join(sets)}).")
    for split, source in sets.items():
        report = write_records(source.shuffled(), run.records(split), progress=True)
        rich.print(*report.tables())
        for sentence in report.sentences(bool(source.mask_labels)):
            warn(sentence)


def _settings(run: Workdir) -> list[str]:
    values = {
        f"data.{name}_records": f"{glob_of(run.records(split))}-*.tfrecord"
        for name, split in _RECORDS.items()
    }
    values["model.labels"] = f"{run.records('train')}.labels.yaml"
    # In quotes, for YAML reads "run #2" as "run".
    return [f"{key}={json.dumps(value, ensure_ascii=False)}" for key, value in values.items()]


def _stamp(data: str, run: Workdir) -> str:
    """A hash of the names, sizes and times of change of all files but a run's below the data."""
    is_folder = tf.io.gfile.isdir(data)
    folder = Folder(data if is_folder else os.path.dirname(data) or ".")
    own, root = (os.path.join(os.path.abspath(path), "") for path in (run.path, folder.root))
    paths = [folder.path(name) for name in folder.files]
    if not root.startswith(own):
        paths = [path for path in paths if not os.path.abspath(path).startswith(own)]
    digest = hashlib.sha256(repr(data).encode())
    for path, stamp in zip(paths, stamps_of(paths), strict=True):
        digest.update(repr((path.removeprefix(folder.root), *stamp)).encode())
    return digest.hexdigest()
