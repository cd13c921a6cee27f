"""Unpacking a .tar.gz from elsewhere: nothing outside the folder, no link, no device, no bomb."""

from __future__ import annotations

import gzip
import os
import shutil
import tarfile
import uuid
import zlib
from dataclasses import dataclass
from typing import BinaryIO

from edet.errors import UserError
from edet.files import reason


@dataclass(frozen=True)
class Limits:
    """How large an archive may become. Weights hardly shrink, so what grows a lot is no weights."""

    members: int = 10_000
    ratio: int = 20  # unpacked bytes for each packed byte ...
    always: int = 64 * 2**20  # ... but this many bytes may come out of the smallest archive
    most: int = 4 * 2**30  # bytes; the largest released checkpoint has less than one GiB

    def of(self, packed: int) -> int:
        """Bytes that may come out of an archive of `packed` bytes."""
        return min(self.most, max(self.always, self.ratio * packed))


_DEFAULT_LIMITS = Limits()


def extract(archive: str, folder: str, limits: Limits = _DEFAULT_LIMITS) -> None:
    """Unpacks a .tar.gz or .tgz into a new folder, which appears only when it is complete.

    Args:
      archive: a local file; its contents decide, not its name.
      folder: a local path where nothing is yet; its parents are made.
      limits: what counts as a bomb.

    Raises:
      UserError: a member lies outside the folder, or is a link or a device; more comes out than
        the limits allow; the archive is damaged or no .tar.gz; the folder cannot be written.
    """
    parent, name = os.path.split(os.path.abspath(folder))
    aside = os.path.join(parent, f".{name}.{uuid.uuid4().hex[:8]}.part")
    try:
        os.makedirs(aside)
        _unpack(archive, aside, limits)
        os.rename(aside, folder)
    except UserError:  # it is a ValueError too, and already says what is wrong
        raise
    except (gzip.BadGzipFile, EOFError, zlib.error, tarfile.TarError, ValueError, OverflowError,
            RecursionError) as error:  # fmt: skip
        # tarfile lets the last three through where a header makes no sense.
        raise UserError(
            f"{archive} is damaged or no .tar.gz ({reason(error)}); get it again."
        ) from error
    except OSError as error:
        raise UserError(f"cannot unpack {archive} into {folder}: {reason(error)}.") from error
    finally:
        shutil.rmtree(aside, ignore_errors=True)


def _unpack(archive: str, folder: str, limits: Limits) -> None:
    most = limits.of(os.path.getsize(archive))
    unpacked = 0
    with gzip.open(archive) as file:
        stream = _Limited(file, most, archive)
        # "r|" reads once from front to back: a member is judged before its bytes are unpacked.
        with tarfile.open(fileobj=stream, mode="r|") as tar:
            for count, member in enumerate(tar, start=1):
                unpacked += member.size
                objection = _objection(member)
                if count > limits.members:
                    objection = f"is one too many: {limits.members} are allowed"
                elif unpacked > most:  # a sparse member is larger than its bytes in the stream
                    objection = f"is too large: {most} bytes may come out of this archive"
                if objection:
                    raise UserError(
                        f"{archive} is refused: {member.name[:200]!r} in it {objection}."
                    )
                tar.extract(member, folder, filter="data")
        while stream.read(2**20):  # gzip compares its checksum at the end of the file
            pass


def _objection(member: tarfile.TarInfo) -> str:
    """Returns why a member must not be unpacked, or nothing."""
    name = member.name.replace("\\", "/")
    if name.startswith("/") or name[1:2] == ":":
        return "has an absolute path"
    if ".." in name.split("/"):
        return "leads out of the folder"
    if member.issym() or member.islnk():
        return f"is a link to {member.linkname[:200]!r}"
    if not (member.isreg() or member.isdir()):
        return "is a device or a pipe"
    if member.size < 0:
        return "has a negative size"
    return ""


class _Limited:
    """A stream that ends with an error, whatever the tar's headers promise.

    tarfile keeps a header's contents in memory, and skips as many bytes as a header says even when
    the file has long ended; both are bounded here.
    """

    def __init__(self, file: BinaryIO, most: int, archive: str):
        self._file, self._most, self._archive = file, most, archive
        self._left = most + most // 8 + 2**20  # headers and padding come on top of the members
        self._empty_reads = 0

    def read(self, size: int) -> bytes:
        """Returns up to `size` bytes, unpacked."""
        block = self._file.read(size)
        self._left -= len(block)
        self._empty_reads += not block
        if self._empty_reads > 9:
            raise EOFError("a member is longer than the file")
        if self._left < 0:
            raise UserError(
                f"{self._archive} is refused: far more than the {self._most} bytes that may come "
                "out of it do."
            )
        return block
