"""Unpacking a .tar.gz from elsewhere: nothing outside the folder, no link, no device, no bomb."""

from __future__ import annotations

import gzip
import os
import tarfile
import zlib
from dataclasses import dataclass

import tensorflow as tf

from edet.errors import UserError
from edet.files import folder_aside, reason


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
    try:
        with folder_aside(os.path.abspath(folder)) as aside:
            os.makedirs(aside)
            most = limits.of(os.path.getsize(archive))
            objection = _too_large(archive, most) or _unpack(archive, aside, most, limits.members)
            if objection:
                raise UserError(f"{archive} is refused: {objection}.")
    except UserError:  # it is a ValueError too, and already says what is wrong
        raise
    except (gzip.BadGzipFile, EOFError, zlib.error, tarfile.TarError, ValueError, OverflowError,
            RecursionError) as error:  # fmt: skip
        # tarfile lets the last three through where a header makes no sense.
        raise UserError(
            f"{archive} is damaged or no .tar.gz ({reason(error)}); get it again."
        ) from error
    except (OSError, tf.errors.OpError) as error:
        raise UserError(f"cannot unpack {archive} into {folder}: {reason(error)}.") from error


def _too_large(archive: str, most: int) -> str:
    """Returns an objection to what gzip holds, or nothing; it compares its checksum at the end.

    Read before tarfile sees it, which believes headers: it would keep a name of any length.
    """
    left = most + most // 8 + 2**20  # headers and padding come on top of the members
    with gzip.open(archive) as stream:
        while block := stream.read(2**20):
            left -= len(block)
            if left < 0:
                return f"far more than the {most} bytes that may come out of it do"
    return ""


def _unpack(archive: str, folder: str, most: int, members: int) -> str:
    """Unpacks every member, or returns an objection to one."""
    with tarfile.open(archive, "r:gz") as tar:
        for count, member in enumerate(tar, start=1):
            most -= member.size  # a sparse member is larger than its bytes in the stream
            name = member.name.replace("\\", "/")
            if not (member.isreg() or member.isdir()):
                return f"{member.name[:200]!r} in it is a link, a device or a pipe"
            if name.startswith("/") or name[1:2] == ":" or ".." in name.split("/"):
                return f"{member.name[:200]!r} in it leads out of the folder"
            if most < 0 or count > members:
                return f"{member.name[:200]!r} in it is one too many, or too large"
            tar.extract(member, folder, filter="data")
    return ""
