"""What describes a YOLO set: data.yaml, Darknet's obj.data, or lists of the classes' names."""

from __future__ import annotations

import functools
import posixpath
import re
from collections.abc import Mapping
from typing import Any

from absl import logging

from edet.config.yaml_text import parse_yaml
from edet.errors import UserError
from edet.files import read_text
from edet.records.sources.folder import Folder, shared

# A key of YAML may be in quotes, in braces, and before a space.
_NAMES = re.compile(r"""\bnames["']?\s*:""")
_OTHERS = re.compile(r"""\b(train|val|valid|validation|test|nc)["']?\s*:""", re.I)
_USUAL = ("data.yaml", "data.yml", "dataset.yaml")
NAME_LISTS = (
    "*classes.txt", "*class.txt", "*class_names.txt", "names.txt", "*/names.txt", "*.names",
    "*_darknet.labels", "*labels/labels.txt",
)  # fmt: skip


@functools.lru_cache(maxsize=1)
def data_yaml(folder: Folder) -> tuple[str, dict[str, Any]] | None:
    """Returns the name and the values of the file that describes the set; None without one."""
    found: list[tuple[str, dict[str, Any]]] = []
    names = folder.matching("data.yaml", "*.yaml", "*.yml")
    for name in sorted(names, key=lambda name: (name.count("/"), not name.endswith("data.yaml"))):
        head = folder.head(name, 2**20)  # thousands of names may come first
        is_named = posixpath.basename(name).lower() in _USUAL
        if _NAMES.search(head) and (is_named or _OTHERS.search(head)):
            data = parse_yaml(read_text(folder.path(name), "the YOLO set"), folder.path(name))
            if isinstance(data, dict) and isinstance(data.get("names"), (list, dict)):
                found.append((name, data))
    beside = [other for other in found[1:] if other[0].count("/") == found[0][0].count("/")]
    for name, data in beside:
        if posixpath.basename(name) != "data.yaml":
            continue
        logging.warning("%s is another set and left out.", folder.path(name))
        if _pairs(data) != _pairs(found[0][1]):
            raise UserError(
                f"{folder.path(found[0][0])} and {folder.path(name)} are two sets of different "
                "classes; give one of their folders."
            )
    return found[0] if found else _darknet(folder)


def _darknet(folder: Folder) -> tuple[str, dict[str, Any]] | None:
    """Returns Darknet's description of a set, obj.data, as if it were a data.yaml without names."""
    for name in folder.matching("*.data", beside=True):
        lines = (line.partition("=") for line in folder.head(name).splitlines())
        values = {key.strip(): value.strip() for key, _, value in lines}
        if {"train", "names"} <= values.keys():
            return name, {key: values[key] for key in ("train", "valid", "test") if key in values}
    return None


def _pairs(data: dict[str, Any]) -> list[tuple[Any, Any]]:
    """The ids and names of a data.yaml, which has a list or a map of them."""
    names = data["names"]
    return list(names.items() if isinstance(names, Mapping) else enumerate(names))


def names_of(folder: Folder) -> dict[str, dict[int, str]]:
    """Returns {file: the names of its classes}: of data.yaml, or of each list of names."""
    found = data_yaml(folder)
    if found and "names" in found[1]:
        pairs = _pairs(found[1])
        if wrong := [name for _, name in pairs if type(name) not in (str, int)]:
            raise UserError(
                f"{folder.path(found[0])}: among the names is {wrong[0]!r}, which YAML takes for "
                "something else than text; put it in quotes."
            )
        try:
            return {found[0]: {int(class_id): str(name) for class_id, name in pairs}}
        except (TypeError, ValueError) as error:
            raise UserError(
                f"{folder.path(found[0])}: names must be a list, or a map of whole numbers to "
                f"text ({error})."
            ) from error
    lists = folder.matching(*NAME_LISTS, beside=True)
    if names := {file: listed for file in lists if (listed := _listed(folder.path(file)))}:
        return names
    raise UserError(f"{folder.root} has no data.yaml with the names of the classes; add one.")


def _listed(path: str) -> dict[int, str]:
    """Returns the names of a list, numbered by their lines."""
    lines = [line.strip() for line in read_text(path, "the classes").rstrip().splitlines()]
    if "" in lines:
        raise UserError(
            f"{path}: line {lines.index('') + 1} is empty, and classes are counted by lines; "
            "delete it, or name the class."
        )
    return dict(enumerate(lines))


def nearest(names: dict[str, dict[int, str]], file: str) -> tuple[str, dict[int, str]]:
    """Returns the list that shares most folders with a file, and its names."""
    if len(names) == 1:
        return next(iter(names.items()))
    folders = posixpath.dirname(file).split("/")

    def rank(place: str) -> tuple[int, int]:
        own = [part for part in posixpath.dirname(place).split("/") if part]
        return shared(own, folders), -len(own)

    return max(names.items(), key=lambda item: rank(item[0]))


def key_points(folder: Folder) -> int:
    """The numbers that follow a box of a set for poses; 0 for any other."""
    _, data = data_yaml(folder) or ("", {})
    try:
        count, numbers = map(int, data.get("kpt_shape") or (0, 0))
    except (TypeError, ValueError):
        return 0
    return count * numbers
