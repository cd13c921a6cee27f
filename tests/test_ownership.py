"""One writer at a time: others are told who it is, and one that has ended is in nobody's way."""

import json
import os
import threading
import time

import pytest
import tensorflow as tf

from edet import ownership
from edet.errors import StorageError, UserError
from edet.ownership import lock_beside, owned


def hold(path):
    return owned(str(path), "runs/a", "a training", "use another --workdir")


def write_lock(path, **changes):
    """Writes the lock of this very process, with changes."""
    with hold(path):
        owner = json.loads(path.read_text())
    path.write_text(json.dumps(owner | changes))
    return owner


@pytest.fixture(autouse=True)
def _quick(monkeypatch):
    for name, seconds in (("_SETTLE", 0.01), ("_LOOK", 0.01), ("_BEAT", 0.02), ("_PATIENCE", 0.2)):
        monkeypatch.setattr(ownership, name, seconds)


def test_the_second_is_told_who_the_first_is(tmp_path):
    lock = tmp_path / "run" / "training.lock"
    with hold(lock):
        owner = json.loads(lock.read_text())
        with pytest.raises(UserError, match=r"runs/a is being written by a training already"):
            hold(lock).__enter__()
        lock.write_text(json.dumps(owner | {"process": 1, "started": ownership._start_of(1)}))
        with pytest.raises(UserError) as refused:
            hold(lock).__enter__()
        since = owner["since"]
        assert f": process 1 on {owner['host']}, since {since}; wait" in str(refused.value)
        assert "use another --workdir" in str(refused.value)
        lock.write_text(json.dumps(owner))
    assert not lock.exists()
    with hold(lock):
        pass


def test_the_longest_names_have_locks_of_their_own(tmp_path):
    """A file system takes names of 255 bytes; the lock's ending would be too much."""
    assert lock_beside("gs://b/model/") == "gs://b/model.lock"
    names = ["m" * 255, "m" * 254 + "n", "ä" * 127]
    locks = {lock_beside(str(tmp_path / name)) for name in names}
    assert len(locks) == 3
    for lock in locks:
        with hold(lock):
            assert os.path.exists(lock)


def test_an_error_and_ctrl_c_open_the_lock(tmp_path):
    with pytest.raises(KeyboardInterrupt), hold(tmp_path / "a.lock"):
        raise KeyboardInterrupt
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "changes",
    [{"process": 2**22 + 1}, {"started": "1"}],
    ids=["no such process", "another process has its number"],
)
def test_the_lock_of_a_process_that_was_killed_is_taken_over_at_once(
    changes, tmp_path, monkeypatch, capsys
):
    """Process numbers of Linux end at 4,194,304; this process has not begun in the first tick."""
    monkeypatch.setattr(ownership, "_PATIENCE", 600)
    lock = tmp_path / "training.lock"
    write_lock(lock, **changes)
    with hold(lock):
        assert json.loads(lock.read_text())["process"] == os.getpid()
    assert capsys.readouterr().err == ""


def test_a_zombie_has_ended(tmp_path, monkeypatch):
    fields = " ".join(map(str, range(4, 53)))
    for state, expected in (("S", "22"), ("Z", "")):
        stat = tmp_path / "stat"
        stat.write_text(f"1 (a) b) {state} {fields}")
        monkeypatch.setattr("builtins.open", lambda *_, stat=stat, **__: stat.open())
        assert ownership._start_of(1) == expected
        monkeypatch.undo()


def test_the_lock_of_another_machine_is_taken_over_when_its_heart_stands_still(tmp_path, capsys):
    lock = tmp_path / "training.lock"
    write_lock(lock, machine=["elsewhere"], host="elsewhere", process=7)
    with hold(lock):
        assert json.loads(lock.read_text())["host"] != "elsewhere"
    assert "locked by process 7 on elsewhere" in " ".join(capsys.readouterr().err.split())


def test_another_machine_whose_heart_beats_is_the_owner(tmp_path):
    lock = tmp_path / "training.lock"
    write_lock(lock, machine=["elsewhere"], host="elsewhere", process=7)
    owner = json.loads(lock.read_text())

    def beat():
        time.sleep(0.05)
        ownership.write_json(lock, owner | {"heartbeat": 1})

    heart = threading.Thread(target=beat)
    heart.start()
    with pytest.raises(UserError, match="process 7 on elsewhere"):
        hold(lock).__enter__()
    heart.join()
    assert json.loads(lock.read_text())["host"] == "elsewhere"


def test_an_owner_shows_that_it_lives(tmp_path):
    with hold(tmp_path / "a.lock"):
        end = time.monotonic() + 5
        while (
            time.monotonic() < end
            and not ownership.json.loads((tmp_path / "a.lock").read_text())["heartbeat"]
        ):
            time.sleep(0.01)
        assert json.loads((tmp_path / "a.lock").read_text())["heartbeat"] > 0


def test_an_owner_that_has_lost_its_lock_leaves_it_to_the_other(tmp_path):
    """It slept, and another machine took it for gone."""
    lock = tmp_path / "a.lock"
    with hold(lock):
        lock.write_text(json.dumps({"token": "other"}))
        time.sleep(0.1)  # several heartbeats
    assert json.loads(lock.read_text()) == {"token": "other"}


@pytest.mark.parametrize("text", ["", "{", "[]"])
def test_half_a_lock_is_watched_as_that_of_another_machine(text, tmp_path):
    """Its writer was killed within the write, or a disk was full."""
    lock = tmp_path / "a.lock"
    lock.write_text(text)
    with hold(lock):
        assert json.loads(lock.read_text())["process"] == os.getpid()


def test_in_a_bucket_the_later_of_two_writes_wins(monkeypatch):
    """TensorFlow's file system in memory stands for a bucket: it makes no file atomically."""
    lock, write = "ram://bucket/run/training.lock", ownership.write_json

    def write_and_be_late(path, owner):
        write(path, owner)
        monkeypatch.setattr(ownership, "write_json", write)
        write(path, owner | {"token": "other", "process": 7})

    monkeypatch.setattr(ownership, "write_json", write_and_be_late)
    with pytest.raises(UserError, match="by a training already: process 7 on"):
        hold(lock).__enter__()
    tf.io.gfile.remove(lock)
    with hold(lock), pytest.raises(UserError, match="this process, since"):
        hold(lock).__enter__()
    assert not tf.io.gfile.exists(lock)


def test_a_disk_that_is_full_is_a_sentence(tmp_path, monkeypatch):
    def full(*_, **__):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(ownership.json, "dump", full)
    with pytest.raises(StorageError, match=r"cannot write .*a.lock: No space left"):
        hold(tmp_path / "a.lock").__enter__()
    assert list(tmp_path.iterdir()) == []
