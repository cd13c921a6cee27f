"""The terminal: consoles and streams that take every text, whatever letters the terminal has.

Jobs of clusters and old locales give a standard output of ASCII or Latin-1. A dash or the sign for
"squared" in a report must not end a training there, so signs that the encoding lacks are replaced.
Nor must a terminal that was closed, or a `tee` that the same Ctrl-C has ended.
"""

from __future__ import annotations

import codecs
import errno
import io
import os
import sys
from typing import IO, Any

import rich.console

_PLAIN = {"²": "^2", "•": "*", "–": "-", "—": "-", "×": "x", "→": "->", "≥": ">=", "≤": "<=",
          "±": "+-", "µ": "u", "…": "...", "’": "'"}  # fmt: skip
_REPLACE = "edet.terminal"


def _replace(error: UnicodeError) -> tuple[str, int]:
    """Puts ASCII in the place of signs that an encoding lacks; see `codecs.register_error`."""
    if not isinstance(error, UnicodeEncodeError):
        raise error
    return "".join(
        _PLAIN.get(sign, "?") for sign in error.object[error.start : error.end]
    ), error.end


codecs.register_error(_REPLACE, _replace)


class Console(rich.console.Console):
    """A rich console that replaces signs which its stream lacks; rich draws tables accordingly."""

    @property
    def file(self) -> IO[str]:
        """The stream."""
        return _Replacing(super().file)

    @file.setter
    def file(self, stream: IO[str]) -> None:
        rich.console.Console.file.fset(self, stream)


def say(sentence: str) -> None:
    """Prints a sentence as it is, whatever signs a path in it has."""
    Console(soft_wrap=True).print(sentence, markup=False, highlight=False)


def warn(why: str, console: Console | None = None) -> None:
    """Prints a sentence that should be seen among the others, as a warning."""
    console = console or Console(soft_wrap=True)
    console.print(f"warning: {why}", style="yellow", markup=False, highlight=False)


class _Replacing:
    """A text stream whose `write` never meets a sign that the stream's encoding lacks.

    Where nobody reads any more, what is written is dropped.
    """

    def __init__(self, stream: IO[str]):
        self._stream = stream

    def write(self, text: str) -> int:
        """Writes the text as far as the encoding has its signs."""
        encoding = getattr(self._stream, "encoding", None) or "utf-8"
        try:
            return self._stream.write(text.encode(encoding, _REPLACE).decode(encoding))
        except OSError as error:
            return _drop(self._stream, error)

    def flush(self) -> None:
        """Writes what waits."""
        try:
            self._stream.flush()
        except OSError as error:
            _drop(self._stream, error)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)


def _drop(stream: IO[str], error: OSError) -> int:
    """Lets a stream that has no reader any more write to nowhere; raises any other error."""
    if error.errno not in (errno.EPIPE, errno.EIO):
        raise error
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, stream.fileno())
    os.close(nowhere)
    return 0


def flush_output() -> None:
    """Writes what waits for standard output and error, as far as anybody reads them.

    Otherwise Python meets it at its very end, and changes the exit code.
    """
    for stream in (sys.stdout, sys.stderr):
        _Replacing(stream).flush()


def accept_every_sign() -> None:
    """Lets plain `print` to this process's standard output and error replace signs, too."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors=_REPLACE)
