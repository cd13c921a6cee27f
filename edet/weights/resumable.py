"""One file over HTTP: resumed where it stopped, given up when it stalls, no longer than announced.

Beside an unfinished file lies "<file>.json" with what its server said of it, so that the next try,
or the next run, asks for the rest of the same file and notices when there is a newer one.
"""

from __future__ import annotations

import json
import os
import re
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import asdict, dataclass

import requests
import rich.progress
import urllib3
from rich.console import Console

from edet.errors import UserError
from edet.files import reason

_CHUNK = 2**18  # bytes that are read at once at most
_PASSING = (408, 425, 429, 500, 502, 503, 504)  # HTTP states that another try may not meet


@dataclass(frozen=True)
class Patience:
    """How long a download waits, and for what."""

    connect: float = 15.0  # seconds until the server takes the call
    stall: float = 30.0  # seconds in which at least `trickle` bytes must come
    trickle: int = 4096
    tries: int = 4  # in a row that bring nothing new
    pause: float = 1.0  # seconds before the second try; doubled before each later one
    most: int = 4 * 2**30  # bytes that a file may have


@dataclass(frozen=True)
class _Announced:
    """What the server said of a file."""

    url: str
    length: int | None  # bytes
    tag: str | None  # changes with the file: a strong ETag, otherwise the date of the last change


class _Interrupted(Exception):
    """This try failed; the next may not."""


def download(url: str, path: str, patience: Patience) -> None:
    """Downloads a file; what lies at `path` from an earlier try is its beginning.

    Raises:
      UserError: the server cannot be reached, stalls, refuses, or sends more than it announced.
        What has come stays at `path` if the next try can go on from it. The message has no full
        stop, so that the caller can say what to do.
      OSError: `path` cannot be written.
    """
    columns = (
        rich.progress.TextColumn("{task.description}"),
        rich.progress.BarColumn(),
        rich.progress.DownloadColumn(),
        rich.progress.TransferSpeedColumn(),
        rich.progress.TimeRemainingColumn(),
    )
    console = Console(stderr=True)
    with requests.Session() as web, rich.progress.Progress(*columns, console=console) as progress:
        bar = progress.add_task(os.path.basename(url), total=None)
        furthest, failures = _size(path), 0
        while True:
            try:
                for size, length in _receive(web, url, path, patience):
                    progress.update(bar, completed=size, total=length)
                return
            except (_Interrupted, requests.RequestException, urllib3.exceptions.HTTPError) as error:
                why = _in_words(error, patience)
            if _size(path) >= furthest + patience.trickle:  # it gets on, however often it breaks
                furthest, failures = _size(path), 0
            failures += 1
            if failures >= patience.tries:
                raise UserError(f"cannot download {url}: {why}")
            pause = patience.pause * 2 ** (failures - 1)
            progress.console.print(f"{why}; trying again in {pause:g} s", markup=False)
            time.sleep(pause)


def discard(path: str) -> None:
    """Removes an unfinished file and what is known of it."""
    for part in (path, _note(path)):
        with suppress(FileNotFoundError):
            os.remove(part)


def _receive(
    web: requests.Session, url: str, path: str, patience: Patience
) -> Iterator[tuple[int, int | None]]:
    """Makes one request and writes what comes; yields (bytes so far, bytes in all if known)."""
    known, start = _recall(url, path)
    if known and start == known.length:
        return
    headers = {"Accept-Encoding": "identity"}  # the file's own bytes, not packed once more
    if known:
        headers["Range"] = f"bytes={start}-"
        if known.tag:  # the whole file, should it have changed
            headers["If-Range"] = known.tag
    timeouts = (patience.connect, patience.stall)
    with web.get(url, headers=headers, stream=True, timeout=timeouts) as answer:
        announced, begin = _understand(answer, url)
        if begin and not (begin == start and known and _same(known, announced)):
            discard(path)
            raise _Interrupted("the file on the server has changed")
        if announced.length is not None and announced.length > patience.most:
            raise UserError(
                f"{url} is refused: {announced.length} bytes are more than weights have"
            )
        if not begin:
            discard(path)
            with open(_note(path), "w") as note:
                json.dump(asdict(announced), note)
        with open(path, "ab") as file:
            for block in _blocks(answer, patience):
                begin += len(block)
                if begin > (patience.most if announced.length is None else announced.length):
                    discard(path)
                    raise UserError(f"{url} is refused: it sends more bytes than it announced")
                file.write(block)
                yield begin, announced.length
    if announced.length is not None and begin < announced.length:
        raise _Interrupted(f"the connection broke after {begin} of {announced.length} bytes")


def _understand(answer: requests.Response, url: str) -> tuple[_Announced, int]:
    """Returns what an answer says of the file, and the byte that it begins with."""
    state = f"the server answers {answer.status_code} {answer.reason or ''}".strip()
    span = re.fullmatch(r"bytes (\d+)-\d+/(\d+)", answer.headers.get("Content-Range", ""))
    if answer.status_code == 200:
        length, begin = answer.headers.get("Content-Length", ""), 0
    elif answer.status_code == 206 and span:
        length, begin = span[2], int(span[1])
    elif answer.status_code == 416:  # fewer bytes than we have: another file
        return _Announced(url, None, None), -1
    elif answer.status_code in _PASSING:
        raise _Interrupted(state)
    else:
        raise UserError(f"cannot download {url}: {state}")
    tag = answer.headers.get("ETag", "")
    if not tag or tag.startswith("W/"):  # a weak one stands for equal meaning, not equal bytes
        tag = answer.headers.get("Last-Modified")
    return _Announced(url, int(length) if re.fullmatch(r"\d{1,18}", length) else None, tag), begin


def _same(known: _Announced, now: _Announced) -> bool:
    """Whether two answers can be of one file; the second need not repeat its tag."""
    return known.length in (None, now.length) and now.tag in (None, known.tag)


def _blocks(answer: requests.Response, patience: Patience) -> Iterator[bytes]:
    """Yields the body as it comes, unless it all but stops."""
    answer.raw.enforce_content_length = False  # how much came is compared by our caller
    came, since = 0, time.monotonic()
    while block := answer.raw.read1(_CHUNK, decode_content=False):
        yield block
        came += len(block)
        if came >= patience.trickle:
            came, since = 0, time.monotonic()
        elif time.monotonic() - since > patience.stall:
            raise _Interrupted(f"only {came} bytes came in {patience.stall:g} s")


def _recall(url: str, path: str) -> tuple[_Announced | None, int]:
    """Returns what is known of the unfinished file and its size; (None, 0) if it is no use."""
    try:
        with open(_note(path)) as note:
            known = _Announced(**json.load(note))
    except (OSError, ValueError, TypeError):  # a crash may leave anything
        return None, 0
    size = _size(path)
    return (known, size) if known.url == url and size else (None, 0)


def _in_words(error: Exception, patience: Patience) -> str:
    """The innermost reason of a failed request, on one line."""
    if isinstance(error, requests.ConnectTimeout):
        return f"no connection within {patience.connect:g} s"
    if isinstance(error, requests.Timeout | urllib3.exceptions.TimeoutError):
        return f"nothing came for {patience.stall:g} s"
    while error.args and isinstance(error.args[0], Exception):
        error = getattr(error.args[0], "reason", None) or error.args[0]
    return reason(error).rpartition("): ")[2]  # urllib3 begins with the connection's own repr


def _note(path: str) -> str:
    return f"{path}.json"


def _size(path: str) -> int:
    return os.path.getsize(path) if os.path.exists(path) else 0
