"""Nothing half-written is ever seen, and what is wrong with a path is said."""

import io
import os
import pathlib

import pytest
import tensorflow as tf

from edet.errors import StorageError, UserError
from edet.files import (
    append_text,
    bucket_errors,
    folder_aside,
    read_json,
    read_json_or,
    read_text,
    reason,
    write_bytes,
    write_json,
    write_text,
    written_aside,
)
from edet.globs import find_files
from edet.records.shards import count_records


def test_a_failed_write_keeps_the_old_file_and_leaves_no_scrap(tmp_path):
    path = tmp_path / "file"
    write_text(path, "old")
    with pytest.raises(StorageError, match="No space left"), written_aside(path) as aside:
        pathlib.Path(aside).write_text("half")
        raise OSError(28, "No space left on device")
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_a_disk_has_a_file_before_it_gets_its_name(tmp_path, monkeypatch):
    """A loss of power would leave an empty one of this name; of many drawings, some may be lost."""
    there = []
    monkeypatch.setattr(os, "fsync", lambda _: there.append((tmp_path / "file").exists()))
    write_bytes(tmp_path / "file", b"content", is_one_of_many=True)
    assert there == []
    (tmp_path / "file").unlink()
    write_bytes(tmp_path / "file", b"content")
    assert there == [False] and (tmp_path / "file").read_bytes() == b"content"


@pytest.mark.parametrize("name", ["x" * 255, "ä" * 127])
def test_a_name_of_the_file_systems_limit_is_written(name, tmp_path):
    """255 bytes: what lies beside it until it is complete has a shorter one."""
    write_text(tmp_path / name, "whole")
    with folder_aside(str(tmp_path / name[:-1])) as aside:
        os.makedirs(aside)
    assert sorted(os.listdir(tmp_path)) == [name[:-1], name]


def test_a_line_that_a_full_disk_tears_is_taken_back(tmp_path, monkeypatch):
    path = tmp_path / "lines"
    path.write_text("first\n")

    class FullDisk(io.FileIO):
        def write(self, text):
            super().write(text[:3].encode())
            raise OSError(28, "No space left on device")

    monkeypatch.setattr(tf.io.gfile, "GFile", FullDisk)
    with pytest.raises(StorageError, match="cannot write .*lines: No space left"):
        append_text(path, "second\n")
    assert path.read_text() == "first\n"


def test_a_folder_appears_when_it_is_complete(tmp_path):
    with pytest.raises(ZeroDivisionError), folder_aside(f"{tmp_path}/a") as aside:
        os.makedirs(f"{aside}/b")
        1 / 0  # noqa: B018
    assert os.listdir(tmp_path) == []


def test_a_mistake_of_the_program_is_not_dressed_up(tmp_path):
    with pytest.raises(ZeroDivisionError), written_aside(tmp_path / "file"):
        1 / 0  # noqa: B018
    assert list(tmp_path.iterdir()) == []


def test_folders_are_made_and_json_reads_back(tmp_path):
    write_json(tmp_path / "a" / "b.json", {"name": "größe"})
    assert "größe" in read_text(tmp_path / "a" / "b.json", "result")


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
def test_the_mark_of_an_encoding_is_no_text(tmp_path, encoding):
    """As editors and shells on Windows save: the first class would be called "\\ufeffgröße"."""
    (tmp_path / "a.json").write_bytes('["größe"]'.encode(encoding))
    assert read_text(tmp_path / "a.json", "classes") == '["größe"]'
    assert read_json(tmp_path / "a.json", "classes") == ["größe"]


def test_json_of_another_kind_is_a_sentence(tmp_path):
    """A result that a tool has replaced by a list; where there is none the other value counts."""
    path = tmp_path / "eval.json"
    assert read_json_or(path, "result", {}) == {}
    path.write_text("[1, 2]")
    assert read_json(path, "result") == read_json_or(path, "result", None) == [1, 2]
    for read in (lambda: read_json(path, "result", dict), lambda: read_json_or(path, "result", {})):
        with pytest.raises(UserError, match=r"result .*/eval\.json holds no object but '\[1, 2\]'"):
            read()


def test_text_that_has_no_bytes_is_a_sentence(tmp_path):
    """Half of an emoji, as a label has that was cut in UTF-16; JSON may hold it."""
    with pytest.raises(UserError, match=r"cannot write .*/a\.json: .*cat .ud83d.* is no sign"):
        write_json(tmp_path / "a.json", {1: "cat \ud83d"})
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_cannot_be_made_is_named(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match="cannot write .*file/x") as refused:
        write_text(tmp_path / "file" / "x", "")
    assert refused.value.exit_code == 2  # trying again does not help


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (tf.errors.UnavailableError(None, None, "Couldn't resolve host name"), 75),
        (tf.errors.AbortedError(None, None, "All 10 retry attempts failed"), 75),
        (OSError(5, "Input/output error"), 75),
        (tf.errors.NotFoundError(None, None, "No such object"), 2),
        (tf.errors.UnauthenticatedError(None, None, "no credentials"), 2),
    ],
)
def test_what_may_pass_by_itself_is_told_from_what_does_not(error, code, monkeypatch):
    def fail(*_):
        raise error

    monkeypatch.setattr(tf.io.gfile, "GFile", fail)
    for read in (
        lambda: read_text("gs://b/best.json", "result"),
        lambda: count_records(["gs://b/a"]),
    ):
        with pytest.raises(UserError, match=f"cannot read .*: {reason(error)}") as refused:
            read()
        assert refused.value.exit_code == code


def test_a_bucket_that_does_not_answer_is_a_sentence_wherever_it_is_met():
    words = "All 10 retry attempts failed.\n\t when reading metadata of gs://b/run"
    match = "does not answer .*failed. when .*gs://b/run"
    with pytest.raises(StorageError, match=match), bucket_errors():
        raise tf.errors.AbortedError(None, None, words)
    with pytest.raises(tf.errors.UnavailableError), bucket_errors():
        raise tf.errors.UnavailableError(None, None, "Socket closed")  # of another worker
    words = "Error executing an HTTP request: libcurl code 6"
    with pytest.raises(StorageError, match="does not answer"), bucket_errors():
        raise tf.errors.FailedPreconditionError(None, None, words)
    with pytest.raises(tf.errors.FailedPreconditionError), bucket_errors():
        raise tf.errors.FailedPreconditionError(None, None, "a variable has no value")
    with pytest.raises(tf.errors.UnimplementedError), bucket_errors():
        raise tf.errors.UnimplementedError(None, None, "an operation that is not there")


def test_a_missing_file_is_named():
    with pytest.raises(UserError, match="cannot read config nowhere.yaml"):
        read_text("nowhere.yaml", "config")


def test_a_pipe_is_named_and_not_waited_for(tmp_path):
    """Whoever opens one waits until somebody writes to it."""
    os.mkfifo(pipe := tmp_path / "street.jpg")
    for read in (lambda: read_text(pipe, "the list"), lambda: find_files(str(pipe), "--pictures")):
        with pytest.raises(UserError, match=r"street\.jpg: it is a pipe") as caught:
            read()
        assert caught.value.exit_code == 2


def test_names_of_tensorflow_nodes_are_not_told():
    error = tf.errors.UnknownError(
        None, None, "{{function_node __wrapped__SaveV2}} ckpt-3; File too large [Op:SaveV2]"
    )
    assert reason(error) == "ckpt-3; File too large"
