"""What is said of a folder that holds no set of a format that edet knows."""

from __future__ import annotations

import os
import posixpath
from collections.abc import Sequence

from edet.files import read_json
from edet.records.sources import imagefolder, yolo
from edet.records.sources.folder import PACKED, Folder, stem_of

_TEXTS = (".csv", ".tsv", ".json", ".jsonl", ".ndjson", ".manifest", ".odgt", ".xml", ".yaml",
          ".yml", ".txt")  # fmt: skip
_HEIC = ("*.heic", "*.heif")


def refusal(folder: Folder, data: str, names: Sequence[str]) -> str:
    """Returns a sentence that says what to do.

    Args:
      folder: of the data set.
      data: what the user gave.
      names: of the formats that were tried.
    """
    return (
        imagefolder.parquet_refusal(folder)
        or _tfds(folder)
        or _no_pictures(folder, data)
        or yolo.refusal(folder)
        or f"{data} holds no annotations {f'of {names[0]} ' if len(names) == 1 else ''}that edet "
        f"knows ({len(folder.pictures)} pictures of {len(folder.files)} files{_beginning(folder)});"
        f" {_advice(folder)}"
    )


def _advice(folder: Folder) -> str:
    if folder.pictures and len(folder.pictures) == len(folder.files):
        return (
            "label them first, with a tool such as labelImg, LabelMe, CVAT or Label Studio; "
            "docs/data.md says where each puts its files."
        )
    return "see docs/data.md for how each format lies in its folder."


def _tfds(folder: Folder) -> str:
    """Says how a set is read that tensorflow-datasets has prepared: <name>/<version>/*.json."""
    for file in folder.matching("*dataset_info.json", beside=True):
        home = folder.path(file).removesuffix("/dataset_info.json")
        if f"{file.removesuffix('dataset_info.json')}features.json" not in folder.files:
            continue
        info = read_json(folder.path(file), "what the set is", dict)
        names = [name for key in ("name", "configName") if (name := info.get(key))]
        root = "/".join(os.path.abspath(home).split("/")[: -1 - len(names)])
        return (
            f"{home} is a set of tensorflow-datasets; make records of it with create_tfrecords "
            f"--format=tfds --tfds_name={'/'.join(names)}:{info.get('version')} "
            f"--tfds_dir={root} --split=train."
        )
    return ""


def _no_pictures(folder: Folder, data: str) -> str:
    """Says what has to be done before there are any pictures."""
    if folder.pictures:
        return ""
    if packed := folder.matching(*PACKED, beside=True):
        return f"{folder.path(packed[0])} is packed; unpack it, and give --data its folder."
    if photos := folder.matching(*_HEIC, beside=True):
        return (
            f"the {len(photos):,} pictures of {data}, such as {photos[0]}, are HEIC, which edet "
            "does not read; convert them to JPEG of the same names."
        )
    return ""


def _beginning(folder: Folder) -> str:
    """Names a file that may hold annotations, with what it begins with; "" where none is text.

    One that is called as a picture comes first: others may be of classes, or tell of the set.
    """
    stems = {stem_of(name) for name in folder.pictures}
    names = folder.matching(*(f"*{ending}" for ending in _TEXTS))
    for name in sorted(names, key=lambda n: stem_of(posixpath.splitext(n)[0]) not in stems)[:20]:
        line = folder.head(name, 1000).strip().partition("\n")[0].strip()
        if line and "readme" not in name.lower():
            return f"; {name} begins with {line[:80]!r}"
    return ""
