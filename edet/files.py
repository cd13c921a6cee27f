"""Files on disk or in a bucket (gs://): read whole, written aside and then renamed."""

from __future__ import annotations

import codecs
import contextlib
import errno
import gc
import json
import os
import re
import uuid
from collections.abc import Iterator
from typing import Any

import tensorflow as tf

from edet.errors import StorageError, UserError

PICTURE_ENDINGS = (".jpg", ".jpeg", ".png", ".gif", ".bmp", ".webp")
# What is wrong with a path or in a file does not pass by itself, unlike a full disk.
_PERMANENT = (
    PermissionError, FileNotFoundError, NotADirectoryError, IsADirectoryError, UnicodeDecodeError,
    tf.errors.PermissionDeniedError, tf.errors.UnauthenticatedError, tf.errors.NotFoundError,
    tf.errors.FailedPreconditionError, tf.errors.InvalidArgumentError, tf.errors.UnimplementedError,
    tf.errors.DataLossError, tf.errors.OutOfRangeError,
)  # fmt: skip
_PERMANENT_NUMBERS = (errno.ENAMETOOLONG, errno.ELOOP, errno.EROFS, errno.EINVAL)
# A bucket, another worker or a TPU that does not answer.
UNAVAILABLE = (
    tf.errors.UnavailableError, tf.errors.AbortedError, tf.errors.DeadlineExceededError,
)  # fmt: skip
# TensorFlow's names and its marks of an assertion, which tell a user nothing.
_NODE_NAMES = re.compile(r"\{\{.*?\}\} | \[Op:\w+\]( name: $)?", re.M)
# Where a graph was called: all up to the line that ends in the name of the node.
_TRACE = re.compile(r"\AGraph execution error:.*\n\n(?=[^\n]+\n\t \[\[)", re.DOTALL)
_ASSERTION = re.compile(r"^assertion failed: \[(.*)\]$")


@contextlib.contextmanager
def written_aside(path: str | os.PathLike, is_one_of_many: bool = False) -> Iterator[str]:
    """Yields a temporary path in the same folder; it becomes `path` only if the block succeeds.

    A disk has it before it gets its name, for otherwise a loss of power leaves an empty file of
    this name. That takes milliseconds: `is_one_of_many` leaves it out, of what is made again.

    Raises:
      UserError: the path cannot be written; StorageError: this may pass, as a full disk does. The
        old file stays.
    """
    path = os.fspath(path)
    aside = aside_of(path)
    try:
        if folder := os.path.dirname(path):
            tf.io.gfile.makedirs(folder)
        yield aside
        if not is_one_of_many:
            flush(aside)
        tf.io.gfile.rename(aside, path, overwrite=True)
    except (OSError, tf.errors.OpError) as error:
        raise failure(f"cannot write {path}", error) from error
    finally:
        # A bucket or disk that has just failed may refuse this too; the first error is the news.
        with contextlib.suppress(OSError, tf.errors.OpError):
            if tf.io.gfile.exists(aside):
                tf.io.gfile.remove(aside)


def flush(path: str) -> None:
    """Has a disk hold a file, which may be in memory alone for half a minute; not of a bucket."""
    if "://" not in path:
        with open(path, "rb+") as file:
            os.fsync(file.fileno())


@contextlib.contextmanager
def folder_aside(path: str) -> Iterator[str]:
    """As `written_aside` for a folder, which the block makes; errors are those of the system."""
    aside = aside_of(path.rstrip("/"))
    try:
        yield aside
        # A disk refuses a folder that holds something in its own words; a bucket would mix both.
        tf.io.gfile.rename(aside, path, overwrite="://" not in path)
    finally:
        with contextlib.suppress(OSError, tf.errors.OpError):
            if tf.io.gfile.exists(aside):
                tf.io.gfile.rmtree(aside)


def aside_of(path: str) -> str:
    """Returns a path in the same folder for what becomes `path` when it is complete.

    It is short wherever `path` is long: file systems limit a name, most to 255 bytes, some to 143.
    """
    folder, name = os.path.split(path)
    start = name.encode(errors="ignore")[:64].decode(errors="ignore")
    return os.path.join(folder, f".{start}.{uuid.uuid4().hex[:8]}.part")


def failure(what: str, error: Exception) -> UserError:
    """Returns the error for a read or write that failed: `what` did, and the system's own words.

    It is a StorageError where it may pass by itself: a full disk, a bucket that does not answer.
    """
    is_permanent = (
        isinstance(error, _PERMANENT) or getattr(error, "errno", None) in _PERMANENT_NUMBERS
    )
    return (UserError if is_permanent else StorageError)(f"{what}: {reason(error)}")


@contextlib.contextmanager
def bucket_errors() -> Iterator[None]:
    """Turns what a place that is no disk raises into a sentence, wherever it is met.

    Raises:
      StorageError: a bucket does not answer; the error's own words, which name the file.
      UserError: it is none of Google's, such as s3:// or https://.
    """
    try:
        yield
    except tf.errors.UnimplementedError as error:
        if "File system scheme" not in error.message:
            raise
        raise UserError(
            f"edet reads and writes on disks and in gs:// ({reason(error)}); copy it to one of "
            "these."
        ) from error
    except (*UNAVAILABLE, tf.errors.FailedPreconditionError) as error:
        # Without either, another worker is gone, or the TPU.
        if not any(word in error.message for word in ("gs://", "libcurl")):
            raise
        words = " ".join(error.message.split())
        raise StorageError(f"a bucket does not answer ({words}); try again later.") from error


def reason(error: BaseException) -> str:
    """The system's own words for a failed read or write, on one line."""
    text = getattr(error, "strerror", None) or getattr(error, "message", None) or str(error)
    text = _NODE_NAMES.sub("", _TRACE.sub("", text))
    return _ASSERTION.sub(r"\1", text.splitlines()[0]) if text else type(error).__name__


def write_bytes(path: str | os.PathLike, content: bytes, is_one_of_many: bool = False) -> None:
    """Writes a file aside, then renames it; as `written_aside`, which raises what this does."""
    with written_aside(path, is_one_of_many) as aside, tf.io.gfile.GFile(aside, "wb") as file:
        file.write(content)


def write_text(path: str | os.PathLike, text: str) -> None:
    """Writes a text file aside, then renames it; raises what `encoded` and `written_aside` do."""
    write_bytes(path, encoded(text, path))


def encoded(text: str, path: str | os.PathLike) -> bytes:
    """Returns the UTF-8 of a text for a file.

    Raises:
      UserError: it has none: half of a sign, as a label may hold that was cut in UTF-16.
    """
    try:
        return text.encode()
    except UnicodeEncodeError as error:
        place = text[max(0, error.start - 20) : error.end + 20]
        raise UserError(
            f"cannot write {os.fspath(path)}: {place!r} holds what is no sign; mend the name."
        ) from error


def append_text(path: str | os.PathLike, text: str) -> None:
    """Appends to a text file that a run has been writing already.

    Raises:
      StorageError: it cannot be written now; it has what it had before.
    """
    path, length = os.fspath(path), None
    try:
        length = tf.io.gfile.stat(path).length
        with tf.io.gfile.GFile(path, "a") as file:
            file.write(text)
    except (OSError, tf.errors.OpError) as error:
        if length is not None:
            with contextlib.suppress(OSError):  # a bucket's file grows by the whole text or not
                os.truncate(path, length)
        raise StorageError(f"cannot write {path}: {reason(error)}") from error


def write_json(path: str | os.PathLike, value: Any) -> None:
    """Writes JSON with two-space indents, aside, then renames it."""
    write_text(path, json.dumps(value, indent=2, ensure_ascii=False) + "\n")


def read_text(path: str | os.PathLike, what: str) -> str:
    """Returns the text of a file, as `decoded` reads it; "~" is the home folder.

    Raises:
      UserError: it is missing or unreadable, in one sentence naming `what` and the path;
        StorageError: its disk or bucket does not answer now.
    """
    try:
        return decoded(read_bytes(os.path.expanduser(path), what))
    except UnicodeDecodeError as error:
        raise failure(f"cannot read {what} {os.fspath(path)}", error) from error


def decoded(data: bytes, errors: str = "strict") -> str:
    """Returns bytes as text: UTF-8, or UTF-16 by its mark; the mark of either is left out.

    Programs on Windows write such marks: editors, spreadsheets, what a shell has redirected.
    """
    is_utf_16 = data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE))
    return data.decode("utf-16" if is_utf_16 else "utf-8-sig", errors)


_KINDS = {dict: "object", list: "list"}  # JSON's words


def read_json(path: str | os.PathLike, what: str, kind: type = object) -> Any:
    """Returns the value in a JSON file.

    Args:
      path: of the file.
      what: it is, in messages.
      kind: of the value, dict or list; by default any.

    Raises:
      UserError: it is not JSON or a value of another kind, named by `what` and the path; and as
        `read_text` does.
    """
    text = read_text(path, what)
    try:
        with without_collector():
            value = json.loads(text)
    # A JSONDecodeError, a number of too many digits, or lists within lists without end.
    except (ValueError, RecursionError) as error:
        raise UserError(f"{what} {os.fspath(path)} is not JSON: {error}.") from error
    if not isinstance(value, kind):
        raise UserError(f"{what} {os.fspath(path)} holds no {_KINDS[kind]} but {text[:40]!r}.")
    return value


def absolute(path: str) -> str:
    """Returns a local path from the root, by which it is compared; one such as gs:// as it is."""
    return path if "://" in path else os.path.abspath(os.path.expanduser(path))


def read_json_or(path: str | os.PathLike, what: str, otherwise: Any) -> Any:
    """As `read_json`, a value of the kind of `otherwise`, which stands for a file not there."""
    kind = object if otherwise is None else type(otherwise)
    return read_json(path, what, kind) if tf.io.gfile.exists(path) else otherwise


@contextlib.contextmanager
def without_collector() -> Iterator[None]:
    """A million new objects are no garbage; looking through them again and again takes a third."""
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_on:
            gc.enable()


def read_bytes(path: str | os.PathLike, what: str) -> bytes:
    """Returns what a file holds, of whatever encoding; it raises what `read_text` does."""
    try:
        return content_of(os.fspath(path))
    except (OSError, tf.errors.OpError) as error:
        raise failure(f"cannot read {what} {os.fspath(path)}", error) from error


def content_of(file: str | bytes) -> bytes:
    """Returns what a file holds, or the bytes themselves; errors are those of the system."""
    if isinstance(file, bytes):
        return file
    check_file(file)
    with tf.io.gfile.GFile(file, "rb") as opened:
        return opened.read()


def check_file(path: str) -> None:
    """Raises OSError for a pipe, which would be waited for without end, and the like."""
    if not os.path.isfile(path) and os.path.exists(path) and not os.path.isdir(path):
        raise OSError(errno.EINVAL, "it is a pipe, a socket or a device, and only files are read")
