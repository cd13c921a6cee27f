"""The signals that end a process: Ctrl-C (SIGINT), SIGTERM, and SIGHUP of a closed terminal.

A command of ours ends with a sentence and the exit code that a shell gives a process which the
signal has killed, 128 + its number. A signal that is ignored when the process starts, as `nohup`
and background jobs of scripts have it, stays ignored. Nothing here imports TensorFlow.
"""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from multiprocessing.process import BaseProcess
from typing import Any

from edet.errors import Stopped

_NAMES = ("SIGINT", "SIGTERM", "SIGHUP")  # Windows has no SIGHUP
_SIGNALS = tuple(getattr(signal, name) for name in _NAMES if hasattr(signal, name))
_SAME_PRESS = 0.1  # seconds; launchers pass on what the terminal has sent to all of a group
_NOTICE = 1.0  # seconds after which somebody who waits for the end is told about the second Ctrl-C


@contextlib.contextmanager
def handled_by(handle: Callable[[int], None]) -> Iterator[None]:
    """Calls a function with the number of each signal that comes while the context is open.

    Python does so in the main thread between two of its own steps, not inside TensorFlow. In
    another thread than the main one the context does nothing.
    """
    before = {}
    if threading.current_thread() is threading.main_thread():
        before = _install(handle)
    try:
        yield
    finally:
        for number, old in before.items():
            signal.signal(number, old)


def _install(handle: Callable[[int], None]) -> dict[int, Any]:
    """Puts a function in the place of the handlers of the signals that count; returns these."""
    before = {number: signal.getsignal(number) for number in _SIGNALS}
    before = {number: old for number, old in before.items() if old not in (signal.SIG_IGN, None)}
    for number in before:
        signal.signal(number, lambda number, _: handle(number))
    return before


class Presses:
    """Tells a second Ctrl-C from the same one that comes twice."""

    def __init__(self):
        self._first: float | None = None

    def is_second(self, number: int) -> bool:
        """Takes a signal; returns whether it is Ctrl-C once more."""
        if number != signal.SIGINT:
            return False
        now = time.monotonic()
        self._first = self._first or now
        return now - self._first > _SAME_PRESS


def end_with_a_sentence() -> None:
    """From now on a signal ends the process at once: while modules are imported, say."""
    _install(lambda number: _end(Stopped(number)))


def _end(why: Stopped) -> None:
    """Ends the process without any of its `finally`."""
    _tell(str(why))
    os._exit(why.exit_code)


def _tell(text: str) -> None:
    """Writes to standard error from a handler or thread, past buffers that may be in use."""
    with contextlib.suppress(OSError):  # the terminal may be gone
        os.write(2, f"edet: {text}\n".encode())


@contextlib.contextmanager
def raise_stopped() -> Iterator[None]:
    """The first signal raises Stopped in the main thread, so that whatever is open is closed.

    Later ones no longer disturb that, but for a second Ctrl-C: it ends the process at once, even
    where TensorFlow computes and Python cannot raise anything.
    """
    has_come = []

    def handle(number: int) -> None:
        if not has_come:
            has_come.append(number)
            raise Stopped(number)

    with _second_press_ends(), handled_by(handle):
        yield


@contextlib.contextmanager
def _second_press_ends() -> Iterator[None]:
    """Watches the numbers of signals, which Python's C handler writes as soon as they come."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    reader, writer = socket.socketpair()
    writer.setblocking(False)
    before = signal.set_wakeup_fd(writer.fileno(), warn_on_full_buffer=False)
    watcher = threading.Thread(target=_watch, args=(reader,), daemon=True)
    watcher.start()
    try:
        yield
    finally:
        signal.set_wakeup_fd(before)
        writer.close()
        watcher.join()
        reader.close()


def _watch(numbers: socket.socket) -> None:
    presses = Presses()
    while True:
        try:
            number = numbers.recv(1)
        except TimeoutError:
            _tell("stopping; Ctrl-C again ends it at once.")
            numbers.settimeout(None)
            continue
        if not number:
            return
        if presses.is_second(number[0]):
            _end(Stopped(signal.SIGINT, "ended at once by a second Ctrl-C."))
        if number[0] == signal.SIGINT:
            numbers.settimeout(_NOTICE)


@contextlib.contextmanager
def running(process: BaseProcess) -> Iterator[None]:
    """Starts a process that does not get the terminal's signals; an error in the block kills it."""
    try:
        # What is blocked when it starts is blocked there for ever; another thread may get it here.
        with _raised_at_the_end(), _signals_blocked():
            process.start()
        yield
    except BaseException:
        if process.ident:  # it has begun
            process.kill()
        raise
    finally:
        if process.ident:
            process.join()


@contextlib.contextmanager
def _raised_at_the_end() -> Iterator[None]:
    """Raises Stopped of the first signal that comes, but not before the block has ended."""
    early: list[int] = []
    with handled_by(early.append):
        yield
    if early:
        raise Stopped(early[0])


@contextlib.contextmanager
def _signals_blocked() -> Iterator[None]:
    """Keeps Ctrl-C and SIGHUP waiting for its end, and from processes that begin in it."""
    if not hasattr(signal, "pthread_sigmask"):  # Windows has none
        yield
        return
    seen = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT, signal.SIGHUP})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, seen)


def run_process(command: Sequence[str], **options: Any) -> subprocess.CompletedProcess:
    """As `subprocess.run`; a signal is passed on, once, and the process's own end awaited.

    Raises:
      Stopped: a signal has come, and the process has ended.
    """
    process = None
    try:
        with _raised_at_the_end():  # before, there is no process to pass it on to
            # In a session of its own it does not get the terminal's Ctrl-C a second time.
            process = subprocess.Popen(command, start_new_session=True, **options)
        output, _ = process.communicate()
    except Stopped as stop:
        if process is not None:
            process.send_signal(stop.number)
            process.communicate()
        raise
    return subprocess.CompletedProcess(command, process.returncode, output)
