"""What comes out of an archive is whole, lies in its folder, and is not larger than it may be."""

import gzip
import io
import pathlib
import stat
import tarfile

import pytest

from edet.errors import UserError
from edet.weights.archives import Limits, extract
from tests.weights.hostile import GOOD, HOSTILE, member, packed


@pytest.fixture
def box(tmp_path):
    """Writes bytes as an archive in a folder of its own, and unpacks it beside that."""

    def unpack(content: bytes, limits: Limits | None = None) -> pathlib.Path:
        archive, folder = tmp_path / "in" / "a.tar.gz", tmp_path / "out" / "folder"
        archive.parent.mkdir(exist_ok=True)
        archive.write_bytes(content)
        extract(str(archive), str(folder), *([limits] if limits else []))
        return folder

    return unpack


def test_files_and_folders_come_out(box):
    content = packed(member("model/empty", tarfile.DIRTYPE), (member("model/data"), b"12345"))
    folder = box(content)
    assert (folder / GOOD).read_bytes() == b"abc"
    assert (folder / "model/data").read_bytes() == b"12345"
    assert (folder / "model/empty").is_dir()
    assert [path.name for path in folder.parent.iterdir()] == ["folder"]


def test_the_contents_decide_not_the_name(tmp_path):
    (tmp_path / "weights").write_bytes(packed())
    extract(str(tmp_path / "weights"), str(tmp_path / "folder"))
    assert (tmp_path / "folder" / GOOD).exists()


def test_nothing_that_comes_out_can_be_run_as_its_owner(box):
    folder = box(packed((member("tool", mode=0o6777), b"#!")))
    assert not (folder / "tool").stat().st_mode & (stat.S_ISUID | stat.S_ISGID | stat.S_IWOTH)


@pytest.mark.parametrize("why", HOSTILE)
def test_a_hostile_member_is_named_and_nothing_stays(box, tmp_path, why):
    message, content = HOSTILE[why]
    with pytest.raises(UserError, match="is refused: ") as refusal:
        box(content)
    assert message in str(refusal.value)
    assert "a.tar.gz" in str(refusal.value)
    assert {str(p.relative_to(tmp_path)) for p in tmp_path.rglob("*")} == {
        "in",
        "in/a.tar.gz",
        "out",
    }


def test_a_bomb_is_refused_before_it_goes_off(box):
    """Its header promises 8 GiB; of the two MiB that follow none is written."""
    info = member("zeros")
    info.size = 8 * 2**30
    content = gzip.compress(info.tobuf() + bytes(2 * 2**20), 1)
    with pytest.raises(UserError, match="'zeros' in it is one too many, or too large"):
        box(content)


def test_a_bomb_in_many_parts_is_refused(box):
    halves = [(member(f"half{i}"), bytes(600)) for i in range(2)]
    with pytest.raises(UserError, match="'half1' in it is one too many, or too large"):
        box(packed(*halves), Limits(always=1000, ratio=1))


def test_a_large_archive_may_unpack_to_more_than_a_small_one(box):
    noise = bytes((i * i * 7919 >> 5) % 256 for i in range(5000))
    content = packed((member("weights"), noise))
    limits = Limits(always=100, ratio=20)
    assert len(content) * 20 > 5003 > 100
    assert (box(content, limits) / "weights").read_bytes() == noise


def test_however_large_an_archive_there_is_an_end(box):
    assert Limits().of(10**15) == 4 * 2**30
    with pytest.raises(UserError, match="'weights' in it is one too many, or too large"):
        box(packed((member("weights"), bytes(2000))), Limits(always=10**9, most=1000))


def test_a_file_of_holes_counts_with_its_holes(box):
    """512 bytes stand for 10 GiB."""
    info = member("holes", tarfile.GNUTYPE_SPARSE)
    head = bytearray(info.tobuf(tarfile.GNU_FORMAT))
    head[124:136] = b"%011o\0" % 512  # in the stream
    head[386:398], head[398:410] = b"%011o\0" % 0, b"%011o\0" % 512  # one stretch of data
    head[483:495] = b"%011o\0" % (7 * 2**30)  # on disk
    head[148:156] = b" " * 8
    head[148:156] = b"%06o\0 " % sum(head)
    content = gzip.compress(bytes(head) + bytes(512) + bytes(1024))
    with pytest.raises(UserError, match="'holes' in it is one too many, or too large"):
        box(content)


def test_a_name_without_end_is_refused(box):
    """A header may announce a name of any length, and tarfile would keep all of it in memory."""
    info = member("././@LongLink", tarfile.GNUTYPE_LONGNAME)
    info.size = 10 * 2**20
    content = gzip.compress(info.tobuf() + bytes(10 * 2**20), 1)
    with pytest.raises(UserError, match="is refused: far more than the 1000 bytes that may"):
        box(content, Limits(most=1000))


def test_zeros_after_the_end_are_refused(box):
    content = gzip.compress(gzip.decompress(packed()) + bytes(10 * 2**20), 1)
    with pytest.raises(UserError, match="is refused: far more than the 1000 bytes that may"):
        box(content, Limits(most=1000))


def test_a_skip_past_the_end_does_not_last_for_ever(box):
    """Two headers of one member: by the inner one the next lies 10^30 bytes on, by the outer 0."""
    raw = b""
    for key, value in (("GNU.sparse.size", "0"), ("size", "9" * 30)):
        text = f" {key}={value}\n".encode()
        header = member("extra", tarfile.XHDTYPE)
        header.size = len(text) + 2
        raw += header.tobuf() + (b"%d" % header.size + text).ljust(512, b"\0")
    content = gzip.compress(raw + member("file").tobuf() + bytes(1024))
    with pytest.raises(UserError, match="is damaged or no .tar.gz"):
        box(content)


def test_too_many_members_are_refused(box):
    content = packed(*[member(f"folder{i}", tarfile.DIRTYPE) for i in range(3)])
    assert (box(content, Limits(members=4)) / "folder2").is_dir()
    with pytest.raises(UserError, match="'folder2' in it is one too many"):
        box(content, Limits(members=3))


@pytest.mark.parametrize(
    "content",
    [b"", b"<html>404 Not Found</html>", gzip.compress(b"no tar" * 1000), packed()[:-30],
     packed()[:-8] + b"\0" * 8, packed()[:20]],
    ids=["empty", "page", "other gzip", "cut short", "wrong checksum", "hardly begun"],
)  # fmt: skip
def test_what_is_damaged_is_named_and_nothing_stays(box, tmp_path, content):
    with pytest.raises(UserError, match=r"a.tar.gz is damaged or no .tar.gz \(.+\); get it again"):
        box(content)
    assert list((tmp_path / "out").iterdir()) == []


@pytest.mark.parametrize(
    ("key", "value", "reason"),
    [
        ("path", "a\0b", "embedded null byte"),
        ("mtime", "9" * 40, "timestamp out of range"),
        ("GNU.sparse.map", "1,x", "invalid literal"),
    ],
)
def test_a_header_without_sense_is_damage(box, key, value, reason):
    raw = io.BytesIO()
    with tarfile.open(fileobj=raw, mode="w", format=tarfile.PAX_FORMAT) as tar:
        info = member("file")
        info.pax_headers = {key: value}
        tar.addfile(info)
    with pytest.raises(UserError, match=rf"a.tar.gz is damaged or no .tar.gz \({reason}"):
        box(gzip.compress(raw.getvalue()))


def test_a_folder_that_is_there_already_is_left_alone(box):
    mine = box(packed()) / GOOD
    mine.write_bytes(b"mine")
    with pytest.raises(UserError, match="cannot unpack .*a.tar.gz into .*folder: .*not empty"):
        box(packed())
    assert mine.read_bytes() == b"mine"


def test_a_missing_archive_is_named(tmp_path):
    with pytest.raises(UserError, match=r"nowhere.tgz into .*folder: No such file"):
        extract(str(tmp_path / "nowhere.tgz"), str(tmp_path / "folder"))
    assert list(tmp_path.iterdir()) == []
