"""The terminal: consoles and streams that take every text, whatever letters the terminal has.

Jobs of clusters and old locales give a standard output of ASCII or Latin-1. A dash or the sign for
"squared" in a report must not end a training there, so signs that the encoding lacks are replaced.
"""

from __future__ import annotations

import codecs
import io
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


class _Replacing:
    """A text stream whose `write` never meets a sign that the stream's encoding lacks."""

    def __init__(self, stream: IO[str]):
        self._stream = stream

    def write(self, text: str) -> int:
        """Writes the text as far as the encoding has its signs."""
        encoding = getattr(self._stream, "encoding", None) or "utf-8"
        return self._stream.write(text.encode(encoding, _REPLACE).decode(encoding))

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)


def accept_every_sign() -> None:
    """Lets plain `print` to this process's standard output and error replace signs, too."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors=_REPLACE)
