"""The released weights on this machine: downloaded once, checked every time.

The cache is $EDET_CACHE, or ~/.cache/edet:

efficientdet-d0.tar.gz               as it was downloaded, or put there by hand
efficientdet-d0-4e1ff98b1a52/        unpacked; the number begins the archive's SHA-256
sha256.json                          {name: SHA-256} of the first archive seen under each name
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import sys
from collections.abc import Iterator

import pooch
import requests

from edet.errors import UserError
from edet.files import read_text, reason, write_json
from edet.terminal import Console
from edet.weights.archives import extract
from edet.weights.zoo import Release

try:
    import fcntl
except ImportError:
    fcntl = None  # Windows: two processes at once may spoil a download, which is then refused

TIMEOUTS = (15.0, 30.0)  # seconds until the server takes the call, and in which nothing comes
TRIES = 4


def fetch(release: Release) -> str:
    """Returns the folder with the files of a release, downloading and unpacking it if need be.

    The archive's SHA-256 must be `release.sha256`, or what it was when first seen.

    Raises:
      UserError: it cannot be downloaded (the message says where to put it by hand), is damaged or
        hostile, is another file than before, or the cache cannot be written.
    """
    cache = cache_folder()
    suffix = ".tgz" if release.url.endswith(".tgz") else ".tar.gz"
    archive = os.path.join(cache, release.name + suffix)
    try:
        if os.path.exists(archive):
            folder = _identify(release, archive, cache)[1]
            if os.path.isdir(folder) and release.name in _pins(cache):
                return folder  # without a lock: somebody else's cache need not be writable
        with _alone(cache):
            if not os.path.exists(archive):
                _download(release, archive, cache)
            return _accept(release, archive, cache)
    except OSError as error:
        raise UserError(
            f"cannot use the cache {cache}: {reason(error)}; set EDET_CACHE to a folder that you "
            "can write."
        ) from error


def cache_folder() -> str:
    """Returns $EDET_CACHE or ~/.cache/edet.

    Raises:
      UserError: it is in a bucket, where files cannot be locked or unpacked.
    """
    folder = os.environ.get("EDET_CACHE") or os.path.join("~", ".cache", "edet")
    if "://" in folder:
        raise UserError(f"EDET_CACHE is {folder}; it must be a folder of this machine.")
    return os.path.abspath(os.path.expanduser(folder))


def _download(release: Release, archive: str, cache: str) -> None:
    """Downloads the archive; it gets its name only when it is whole, expected and harmless."""
    part = f"{os.path.basename(archive)}.part"
    path = os.path.join(cache, part)
    web = pooch.create(
        cache, "", registry={part: None}, urls={part: release.url}, retry_if_failed=TRIES - 1
    )
    with contextlib.suppress(FileNotFoundError):
        os.remove(path)  # of a process that was killed
    try:
        progress = sys.stderr.isatty()
        # The archive's own bytes, not packed once more, so that its length is checked too.
        as_it_is = {"Accept-Encoding": "identity"}
        load = pooch.HTTPDownloader(progress, 2**18, timeout=TIMEOUTS, headers=as_it_is)
        web.fetch(part, downloader=load)
        _accept(release, path, cache)
        os.replace(path, archive)
    except requests.RequestException as error:
        raise UserError(
            f"cannot download {release.url}: {reason(error)}; if this machine has no network, put "
            f"the file at {archive} by hand and run again."
        ) from error
    finally:
        with contextlib.suppress(FileNotFoundError):
            os.remove(path)


def _accept(release: Release, archive: str, cache: str) -> str:
    """Checks and unpacks an archive, pins its sum if it is the first, returns its folder."""
    digest, folder = _identify(release, archive, cache)
    if not os.path.isdir(folder):
        extract(archive, folder)
    pins = _pins(cache)
    if release.name not in pins:  # only now: an archive that is cut short must not be pinned
        write_json(_pins_path(cache), pins | {release.name: digest})
    return folder


def _identify(release: Release, archive: str, cache: str) -> tuple[str, str]:
    """Returns an archive's SHA-256 and the folder that it belongs in.

    Raises:
      UserError: it is not the archive that was published, or that was seen first.
    """
    with open(archive, "rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    pinned = _pins(cache).get(release.name)
    if digest != (release.sha256 or pinned or digest):
        what = f"{archive} (from {release.url}) has the SHA-256 {digest}"
        if release.sha256:
            raise UserError(f"{what}, but {release.sha256} was published; delete it.")
        raise UserError(
            f"{what}, but it was {pinned} when first used; to accept the new file, delete the "
            f"entry {release.name!r} in {_pins_path(cache)}, otherwise delete the file, and run "
            "again."
        )
    return digest, os.path.join(cache, f"{release.name}-{digest[:12]}")


def _pins(cache: str) -> dict[str, str]:
    path = _pins_path(cache)
    if not os.path.exists(path):
        return {}
    try:
        pins = json.loads(read_text(path, "pinned checksums"))
    except json.JSONDecodeError as error:
        raise UserError(f"{path} is not JSON ({error}); fix or delete it.") from error
    if not isinstance(pins, dict):
        raise UserError(f"{path} must hold {{name: SHA-256}}; fix or delete it.")
    return pins


def _pins_path(cache: str) -> str:
    return os.path.join(cache, "sha256.json")


@contextlib.contextmanager
def _alone(cache: str) -> Iterator[None]:
    """Waits until no other process downloads or unpacks; a process that dies lets go."""
    os.makedirs(cache, exist_ok=True)
    with open(os.path.join(cache, ".lock"), "w") as lock:
        if fcntl:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                message = f"waiting for another process that fills {cache}"
                Console(stderr=True).print(message, markup=False)
                fcntl.flock(lock, fcntl.LOCK_EX)
        yield
