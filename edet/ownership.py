"""Who writes to a place: a lock, which is a small JSON file there while somebody does.

What is guaranteed:
- On a disk the file is made atomically, so of two that start at once one is refused. In a bucket
  both write and then read back, and the later write wins; of two that begin within the second that
  an answer takes, both could win.
- The lock of a process that has ended on this machine is taken over at once, even if another
  process has its number by now.
- Of a process on another machine nothing is known but its heartbeat, a number in the file that it
  raises. Its lock is taken over when that has stood still for two minutes of watching: no clocks
  are compared. Whoever slept longer than that, as a laptop does, has lost it. So a lock spares
  people a mistake; a run's checkpoints are also safe without it (`CheckpointFolder.take_stock`).
"""

from __future__ import annotations

import contextlib
import datetime
import json
import os
import socket
import sys
import threading
import time
import uuid
import zlib
from collections.abc import Iterator
from typing import Any

import tensorflow as tf

from edet.errors import UserError
from edet.files import content_of, failure, write_json
from edet.terminal import Console

_BEAT = 20.0  # seconds between two heartbeats
_PATIENCE = 120.0  # seconds without one, then the owner has ended
_LOOK = 1.0  # seconds between two looks at the heartbeat of another machine's process
_LONGEST_NAME = 130  # bytes; file systems take 255, some 143
_SETTLE = 1.0  # seconds in which the later of two writes has arrived


@contextlib.contextmanager
def owned(lock: str, place: str, what: str, instead: str) -> Iterator[None]:
    """Holds a lock while the context is open.

    Args:
      lock: its path; gs:// works.
      place: what is written, in the error that others get.
      what: who writes there: "a training".
      instead: what the others can do but wait: "use another --workdir".

    Raises:
      UserError: somebody else writes there; it names the place, the host, the process and since
        when. StorageError: the lock cannot be written now.
    """
    own = _Lock(lock, place, what, instead)
    try:
        own.take()
        threading.Thread(target=own.beat, daemon=True).start()
        yield
    finally:
        own.released.set()
        own.remove()


def lock_beside(path: str) -> str:
    """Returns the lock of a file or folder: beside it, with its name, or short if that is long."""
    folder, name = os.path.split(path.rstrip("/"))
    if len(name.encode(errors="surrogateescape")) > _LONGEST_NAME:
        name = f"{zlib.crc32(name.encode(errors='surrogateescape')):08x}"
    return os.path.join(folder, f"{name}.lock")


class _Lock:
    def __init__(self, path: str, place: str, what: str, instead: str):
        self._path, self._place, self._instead = path, place, instead
        process = os.getpid()
        self._own = {
            "what": what,
            "host": socket.gethostname(),
            "process": process,
            "since": datetime.datetime.now().astimezone().isoformat(" ", "seconds"),
            "command": sys.argv,
            "machine": _machine(),
            "started": _start_of(process),
            "token": uuid.uuid4().hex,
            "heartbeat": 0,
        }
        self.released, self._mutex = threading.Event(), threading.Lock()

    def take(self) -> None:
        """Becomes the owner, or raises UserError."""
        if folder := os.path.dirname(self._path):
            try:
                tf.io.gfile.makedirs(folder)
            except (OSError, tf.errors.OpError) as error:
                raise failure(f"cannot write {self._path}", error) from error
        if "://" not in self._path and self._create():
            return
        self._wait_until_free()
        write_json(self._path, self._own)
        time.sleep(_SETTLE)
        if not self._is_own(found := self._read()):
            raise self._refusal(found or {})

    def _create(self) -> bool:
        """Makes the file on a disk; False if it is there."""
        try:
            with open(self._path, "x", encoding="utf-8") as file:
                json.dump(self._own, file)
        except FileExistsError:
            return False
        except OSError as error:
            with contextlib.suppress(OSError):
                os.remove(self._path)  # half of it, on a full disk
            raise failure(f"cannot write {self._path}", error) from error
        return True

    def _wait_until_free(self) -> None:
        """Returns when there is no owner, or none that lives; raises UserError if it does."""
        first = self._read()
        lives = first is not None and _lives(first)
        if lives is False:
            return
        if lives:
            raise self._refusal(first)
        Console(stderr=True, soft_wrap=True).print(
            f"{self._place} is locked by {_who(first)}; looking for {_PATIENCE / 60:g} minutes "
            "whether it still runs.", markup=False,
        )  # fmt: skip
        for _ in range(int(_PATIENCE / _LOOK)):
            time.sleep(_LOOK)
            now = self._read()
            if now is None:
                return
            if now != first:
                raise self._refusal(now)

    def _refusal(self, owner: dict[str, Any]) -> UserError:
        what = owner.get("what", "another run")
        return UserError(
            f"{self._place} is being written by {what} already: {_who(owner)}; wait for its end, "
            f"stop it, or {self._instead}."
        )

    def _is_own(self, owner: dict[str, Any] | None) -> bool:
        return owner is not None and owner.get("token") == self._own["token"]

    def _read(self) -> dict[str, Any] | None:
        """Returns what the file says; None if it is not there."""
        try:
            text = content_of(self._path).decode(errors="replace")
        except tf.errors.NotFoundError:
            return None
        except (OSError, tf.errors.OpError) as error:
            raise failure(f"cannot read {self._path}", error) from error
        try:
            owner = json.loads(text)
        except ValueError:
            owner = None
        # Half of one is being written, or was when its writer ended: it is watched as others are.
        return owner if isinstance(owner, dict) else {"text": text}

    def beat(self) -> None:
        """Raises the number in the file until the lock is released or lost."""
        while not self.released.wait(_BEAT):
            # A disk or bucket that does not answer now: there are better places to tell of it.
            with self._mutex, contextlib.suppress(UserError):
                if self.released.is_set() or not self._is_own(self._read()):
                    return
                self._own["heartbeat"] += 1
                write_json(self._path, self._own)

    def remove(self) -> None:
        """Lets others in. Where the file cannot be removed its heartbeat has stopped."""
        with self._mutex, contextlib.suppress(UserError, OSError, tf.errors.OpError):
            if self._is_own(self._read()):
                tf.io.gfile.remove(self._path)


def _who(owner: dict[str, Any]) -> str:
    if owner.get("process") == os.getpid() and owner.get("machine") == _machine():
        return f"this process, since {owner.get('since')}"
    return (
        f"process {owner.get('process', 'unknown')} on {owner.get('host', 'an unknown host')}, "
        f"since {owner.get('since', 'an unknown time')}"
    )


def _lives(owner: dict[str, Any]) -> bool | None:
    """Whether the process of a lock still runs; None if that cannot be seen from here."""
    if owner.get("machine") != _machine():
        return None
    started = _start_of(owner.get("process"))
    return None if started is None else started == owner.get("started")


def _machine() -> list[str]:
    """Returns what this machine, since it was started, and this container have alone."""
    names = [socket.gethostname()]
    with contextlib.suppress(OSError):  # only Linux has them
        with open("/proc/sys/kernel/random/boot_id") as file:
            names.append(file.read().strip())
        names.append(os.readlink("/proc/self/ns/pid"))  # in which processes have their numbers
    return names


def _start_of(process: Any) -> str | None:
    """Returns when a process was started, in ticks of the kernel; "" if there is none.

    None where the system does not tell it so simply: elsewhere than on Linux.
    """
    try:
        with open(f"/proc/{process}/stat") as file:
            state, *fields = file.read().rpartition(")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return "" if os.path.exists("/proc/self/stat") else None
    return "" if state in "ZX" else fields[18]  # a zombie has ended; nobody has asked how
