"""What Ctrl-C, SIGTERM and SIGHUP do to a process; no signal here is sent to another one."""

import importlib
import os
import signal
import subprocess
import sys
import threading
import time

import pytest

import tools
from edet import signals
from edet.errors import Stopped


def send(number):
    os.kill(os.getpid(), number)


@pytest.mark.parametrize(
    ("number", "code", "said"),
    [
        (signal.SIGINT, 130, "stopped by Ctrl-C."),
        (signal.SIGTERM, 143, "stopped by SIGTERM."),
        (signal.SIGHUP, 129, "stopped by SIGHUP."),
    ],
)
def test_a_signal_is_an_interrupt_with_the_exit_code_of_shells(number, code, said):
    before = signal.getsignal(number)
    with pytest.raises(KeyboardInterrupt) as stopped, signals.raise_stopped():
        send(number)
    assert (stopped.value.exit_code, str(stopped.value)) == (code, said)
    assert signal.getsignal(number) is before


def test_what_is_cleared_away_after_a_signal_is_not_disturbed_by_the_next():
    cleared = False
    with pytest.raises(Stopped, match="SIGHUP"), signals.raise_stopped():
        try:
            send(signal.SIGHUP)
        finally:
            send(signal.SIGHUP)  # of the shell, after the terminal's
            send(signal.SIGTERM)
            cleared = True
    assert cleared


class Ends(list):
    """How the process would have ended, in place of its end."""

    def __init__(self):
        super().__init__()
        self.has_come = threading.Event()

    def __call__(self, why):
        self.append((str(why), why.exit_code))
        self.has_come.set()


@pytest.fixture
def ends(monkeypatch):
    ends = Ends()
    monkeypatch.setattr(signals, "_end", ends)
    return ends


def test_a_second_ctrl_c_ends_the_process_wherever_it_is(ends):
    """A thread sees to it: here the main thread clears away, or it computes in a library."""
    with pytest.raises(Stopped), signals.raise_stopped():
        try:
            send(signal.SIGINT)
        finally:
            time.sleep(2 * signals._SAME_PRESS)
            send(signal.SIGINT)
            assert ends.has_come.wait(5)
    assert ends == [("ended at once by a second Ctrl-C.", 130)]


def test_the_same_ctrl_c_that_comes_twice_is_one(ends):
    """As from a terminal to its group of processes, and again from a launcher in it."""
    with pytest.raises(Stopped), signals.raise_stopped():
        try:
            send(signal.SIGINT)
        finally:
            send(signal.SIGINT)
            time.sleep(0.02)
    assert ends == []


def test_whoever_waits_is_told_of_the_second_ctrl_c(capfd, monkeypatch):
    monkeypatch.setattr(signals, "_NOTICE", 0.01)
    with pytest.raises(Stopped), signals.raise_stopped():
        try:
            send(signal.SIGINT)
        finally:
            time.sleep(0.2)
    assert capfd.readouterr().err == "edet: stopping; Ctrl-C again ends it at once.\n"


def test_what_is_ignored_stays_ignored():
    """By nohup, for example, and in background jobs of scripts."""
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with signals.raise_stopped():
            send(signal.SIGHUP)
        assert signal.getsignal(signal.SIGHUP) is signal.SIG_IGN
    finally:
        signal.signal(signal.SIGHUP, before)


def test_while_modules_are_imported_a_sentence_ends_the_process(ends):
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    before[signal.SIGHUP] = signal.getsignal(signal.SIGHUP)
    try:
        signals.end_with_a_sentence()
        send(signal.SIGINT)
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
    assert ends == [("stopped by Ctrl-C.", 130)]


@pytest.mark.parametrize(("program", "installs"), [("-m", True), ("tools/fuzz.py", False)])
def test_tools_that_python_runs_as_modules_take_signals_while_they_import(
    monkeypatch, program, installs
):
    """Nothing that imports one otherwise, such as these tests, gets handlers by it."""
    calls = []
    monkeypatch.setattr(sys, "argv", [program])
    monkeypatch.setattr(signals, "end_with_a_sentence", lambda: calls.append("installed"))
    importlib.reload(tools)
    assert bool(calls) == installs


def test_outside_the_main_thread_nothing_changes():
    before, found = signal.getsignal(signal.SIGINT), []

    def work():
        with signals.raise_stopped():
            found.append(signal.getsignal(signal.SIGINT))

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert found == [before]


@pytest.mark.slow
def test_a_signal_is_passed_on_to_a_process_that_then_ends_by_itself(tmp_path):
    """A shell in place of a training, which saves before it ends."""
    saved = tmp_path / "saved"
    script = f"trap 'sleep 0.3; echo yes > {saved}; exit 130' INT; kill -INT $1; sleep 9 & wait"
    with pytest.raises(Stopped), signals.raise_stopped():
        signals.run_process(["sh", "-c", script, "sh", str(os.getpid())], stdout=subprocess.DEVNULL)
    assert saved.read_text() == "yes\n"


def test_a_signal_that_comes_while_a_process_begins_is_passed_on_to_it(monkeypatch):
    did = []

    class Process:
        def __init__(self, *_, **__):
            send(signal.SIGINT)
            did.append("start")

        send_signal = did.append

        def communicate(self):
            did.append("end")

    monkeypatch.setattr(subprocess, "Popen", Process)
    with pytest.raises(Stopped), signals.raise_stopped():
        signals.run_process(["train"])
    assert did == ["start", signal.SIGINT, "end"]


def test_a_worker_is_killed_where_a_signal_came_while_it_began():
    did = []

    class Worker:
        ident = None

        def start(self):
            self.ident = 1
            send(signal.SIGINT)
            time.sleep(0.1)  # another thread gets it, in its own time
            did.append("start")

        def kill(self):
            did.append("kill")

        def join(self):
            did.append("join")

    with pytest.raises(Stopped), signals.raise_stopped(), signals.running(Worker()):
        did.append("work")
    assert did == ["start", "kill", "join"]
