"""The files of a data set's folder, without what systems and edet itself have put there."""

from __future__ import annotations

import os
from collections.abc import Iterator

import tensorflow as tf

from edet.errors import UserError
from edet.workdir import Workdir

_LEFT_OUT = ("__MACOSX",)


def files_below(root: str) -> Iterator[str]:
    """Yields the files below a folder, links followed, each folder once, without edet's runs."""
    is_local = "://" not in root
    seen: set[str] = set()
    walk = os.walk(root, followlinks=True) if is_local else tf.io.gfile.walk(root)
    for folder, folders, names in walk:
        if is_local and (real := os.path.realpath(folder)) in seen:
            folders.clear()
            continue
        if folder != root and _is_run(folder, folders, names):
            folders.clear()
            continue
        if is_local:
            seen.add(real)
        folders[:] = [f for f in folders if not f.startswith(".") and f not in _LEFT_OUT]
        below = folder[len(root) :].strip("/").replace(os.sep, "/")
        for name in names:
            try:
                name.encode()
            except UnicodeEncodeError as error:
                raise UserError(
                    f"a file's name in {folder} is not UTF-8 ({os.fsencode(name)!r}); rename it."
                ) from error
            if not name.startswith("."):
                yield f"{below}/{name}" if below else name


def _is_run(folder: str, folders: list[str], names: list[str]) -> bool:
    """Whether a folder is a workdir, whose pictures and records are no part of a data set."""
    if "check_data.json" in names or {"config.yaml", "recipe.json"} <= set(names):
        return True
    return "records" in folders and tf.io.gfile.exists(Workdir(folder).records_source)
