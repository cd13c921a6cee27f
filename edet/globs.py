"""What lies on a disk or in a bucket (gs://): files by glob, and the names in a folder."""

from __future__ import annotations

import contextlib
import glob
import itertools
import os
from collections.abc import Iterator, Sequence

import tensorflow as tf

from edet.errors import StorageError, UserError
from edet.files import check_file, failure, reason


def find_files(pattern: str | Sequence[str], what: str) -> list[str]:
    """Returns the sorted files that match a glob, or several.

    Args:
      pattern: for example "records/train-*.tfrecord" or "gs://bucket/train-*"; or a list of such.
        A comma belongs to a name, but where nothing has this name, globs may lie between commas.
      what: what the files are for, in the error ("data.train_records").

    Raises:
      UserError: nothing is asked for, or a glob matches no file.
    """
    if not pattern:
        raise UserError(f"{what} is not set; give a glob such as 'records/train-*.tfrecord'.")
    files: list[str] = []
    for one in [pattern] if isinstance(pattern, str) else pattern:
        found = {part: match_files(part) for part in _parts(one)}
        missing = [part for part, matches in found.items() if not matches]
        if missing:
            which = one if len(missing) == len(found) else missing[0]
            why = "matches no file; check the path"
            if tf.io.gfile.isdir(os.path.expanduser(which)):
                why = "is a folder; give a glob of its TFRecords, which create_tfrecords makes"
            raise UserError(f"{what} = {which!r} {why}.")
        files += itertools.chain(*found.values())
    for file in files:
        try:
            check_file(file)
        except OSError as error:
            raise failure(f"cannot read {what} {file}", error) from error
    return sorted(set(files))


def _parts(pattern: str) -> list[str]:
    """Returns the globs between the commas of one that matches nothing itself."""
    if "," not in pattern or match_files(pattern):
        return [pattern]
    return [part.strip() for part in pattern.split(",")]


def match_files(pattern: str) -> list[str]:
    """Returns the sorted files that a glob matches; one that has this very name comes alone.

    Names may hold what means something in a glob, such as "photo[1].jpg". "~" is the home folder,
    which a shell does not put in behind a "=".

    Raises:
      UserError: a file's name is not UTF-8.
    """
    pattern = os.path.expanduser(pattern)
    with _utf8_names(os.path.dirname(pattern)):
        names = [pattern] if tf.io.gfile.exists(pattern) else sorted(tf.io.gfile.glob(pattern))
        return [name for name in names if not tf.io.gfile.isdir(name)]


def glob_of(path: str) -> str:
    """Returns a glob that matches this path alone, whatever signs are in its name."""
    return glob.escape(path).replace("\\", "\\\\")


def list_folder(folder: str) -> list[str]:
    """Returns the names in a folder; none if it is not there.

    Raises:
      UserError: it may not be read, or a name in it is not UTF-8; StorageError: its disk or bucket
        does not answer now.
    """
    try:
        # Listing alone does not tell: a bucket that does not answer is a missing folder to it.
        with _utf8_names(folder):
            return tf.io.gfile.listdir(folder) if tf.io.gfile.exists(folder) else []
    except tf.errors.NotFoundError as error:
        if os.path.isfile(folder):
            raise UserError(f"cannot list {folder}: it is a file, not a folder.") from error
        raise StorageError(f"cannot list {folder}, which is there: {reason(error)}") from error
    except tf.errors.OpError as error:
        raise failure(f"cannot list {folder}", error) from error


def list_filled_folder(folder: str, what: str) -> list[str]:
    """Returns the sorted names in a folder that must hold something.

    Raises:
      UserError: it does not, or is not there, with `what` it is for; and as `list_folder` does.
    """
    names = sorted(list_folder(folder))
    if not names:
        raise UserError(f"{folder} is missing or empty; {what}.")
    return names


@contextlib.contextmanager
def _utf8_names(folder: str) -> Iterator[None]:
    """Raises UserError naming the folder if the name of a file in it is not UTF-8."""
    try:
        yield
    except UnicodeDecodeError as error:
        raise UserError(
            f"a file's name in {folder or 'this folder'} is not UTF-8 ({error.object!r}); rename "
            "it."
        ) from error
