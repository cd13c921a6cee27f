"""Archives as nobody should send them, each with a good first member."""

import gzip
import io
import tarfile

GOOD = "model/ckpt.index"


def packed(*members: tarfile.TarInfo | tuple[tarfile.TarInfo, bytes]) -> bytes:
    """Returns a .tar.gz of the members, after a good one of three bytes."""
    raw = io.BytesIO()
    with gzip.open(raw, "wb", compresslevel=1) as zipped, tarfile.open(
        fileobj=zipped, mode="w|"
    ) as tar:  # fmt: skip
        good = tarfile.TarInfo(GOOD)
        good.size = 3
        tar.addfile(good, io.BytesIO(b"abc"))
        for member in members:
            info, content = member if isinstance(member, tuple) else (member, b"")
            info.size = info.size or len(content)
            tar.addfile(info, io.BytesIO(content))
    return raw.getvalue()


def member(name: str, kind: bytes = tarfile.REGTYPE, link: str = "", mode: int = 0o644):
    """Returns the header of one member."""
    info = tarfile.TarInfo(name)
    info.type, info.linkname, info.mode = kind, link, mode
    return info


def bomb(size: int) -> bytes:
    """Returns an archive of a few bytes out of which `size` zeros come."""
    info = member("zeros")
    info.size = size
    raw = io.BytesIO()
    with gzip.open(raw, "wb", compresslevel=1) as zipped:
        zipped.write(info.tobuf())
        block = bytes(2**20)
        for _ in range(size // len(block)):
            zipped.write(block)
    return raw.getvalue()


# {why it must be refused: (what the message says, the archive)}
HOSTILE = {
    "leads upwards": ("'../outside' in it leads out", packed((member("../outside"), b"x"))),
    "leads upwards inside": (
        "'model/../../outside' in it leads out",
        packed((member("model/../../outside"), b"x")),
    ),
    "is absolute": ("'/tmp/outside' in it leads out", packed((member("/tmp/outside"), b"x"))),
    "is absolute on Windows": (
        "outside' in it leads out",
        packed((member("C:\\outside"), b"x")),
    ),
    "is a symbolic link": (
        "'model/link' in it is a link",
        packed(member("model/link", tarfile.SYMTYPE, "../../outside")),
    ),
    "is a link to a neighbour": (
        "'model/link' in it is a link",
        packed(member("model/link", tarfile.SYMTYPE, "ckpt.index")),
    ),
    "is a hard link": (
        "'model/link' in it is a link",
        packed(member("model/link", tarfile.LNKTYPE, "/etc/passwd")),
    ),
    "is a device": ("'null' in it is a link, a device", packed(member("null", tarfile.CHRTYPE))),
    "is a pipe": (
        "in it is a link, a device or a pipe",
        packed(member("pipe", tarfile.FIFOTYPE)),
    ),
    "is a bomb": ("more than the 67108864 bytes that may come out", bomb(80 * 2**20)),
}
