"""A terminal that lacks signs gets others; no report ends in UnicodeEncodeError."""

import errno
import io
import os
import subprocess
import sys

import pytest
import rich.progress
from rich.table import Table

from edet.terminal import Console, accept_every_sign, warn


def terminal(encoding):
    return io.TextIOWrapper(io.BytesIO(), encoding)


def written(stream):
    stream.flush()
    return stream.buffer.getvalue().decode(stream.encoding)


def test_signs_that_ascii_lacks_are_replaced():
    stream = terminal("ascii")
    Console(file=stream).print(
        "area 32\u00b2 to 96\u00b2 \u2013 \u2022 3 \u00d7 4 \u2192 \u732b", highlight=False
    )
    assert written(stream) == "area 32^2 to 96^2 - * 3 x 4 -> ?\n"


def test_a_terminal_that_has_the_signs_gets_them():
    stream = terminal("utf-8")
    Console(file=stream).print("32\u00b2 \u2013 \u732b", highlight=False)
    assert written(stream) == "32\u00b2 \u2013 \u732b\n"
    stream = terminal("latin-1")
    Console(file=stream).print("32\u00b2 \u2013", highlight=False)
    assert written(stream) == "32\u00b2 -\n"


def test_a_warning_says_that_it_is_one_and_keeps_brackets(capsys):
    warn("skipped a[1].jpg: no picture")
    assert capsys.readouterr().out == "warning: skipped a[1].jpg: no picture\n"


def test_tables_and_bars_are_drawn_in_ascii():
    stream = terminal("ascii")
    console = Console(file=stream, width=40)
    table = Table("metric", title="caf\u00e9")
    table.add_row("\u2013")
    console.print(table)
    for _ in rich.progress.track(range(3), "Lesen \u2026", console=console):
        pass
    assert "caf?" in written(stream) and "-" in written(stream)
    assert "Lesen ..." in written(stream)


def test_print_replaces_signs_too(monkeypatch):
    stream = terminal("ascii")
    monkeypatch.setattr(sys, "stdout", stream)
    accept_every_sign()
    print("\u732b \u2192 out")
    assert written(stream) == "? -> out\n"


def test_text_without_an_encoding_and_half_signs_are_taken():
    stream = io.StringIO()
    Console(file=stream).print("\u732b")
    assert stream.getvalue() == "\u732b\n"
    stream = terminal("utf-8")
    Console(file=stream).print("\ud83d", highlight=False)
    assert written(stream) == "?\n"


def test_a_report_to_a_closed_terminal_is_no_error():
    """A pipe that nobody reads any more stands for it; both errors of the system are dropped."""
    reader, writer = os.pipe()
    os.close(reader)
    with io.TextIOWrapper(os.fdopen(writer, "wb")) as stream:
        console = Console(file=stream)
        for number in range(3):
            console.print(f"step {number}")


def test_a_report_to_a_full_disk_is_an_error():
    class Full(io.StringIO):
        def write(self, text):
            raise OSError(errno.ENOSPC, "No space left on device")

    with pytest.raises(OSError, match="No space left"):
        Console(file=Full()).print("step 0")


@pytest.mark.slow
def test_a_process_whose_output_is_ascii(tmp_path):
    arguments = ["--mode=inspect", "--model=efficientdet-lite0", "--set=model.image_size=64"]
    (tmp_path / "labels.yaml").write_text("1: \u732b\n2: \u72ac\n")
    done = subprocess.run(
        [sys.executable, "-m", "edet", *arguments, f"--set=model.labels={tmp_path}/labels.yaml"],
        env={**os.environ, "PYTHONIOENCODING": "ascii"},
        capture_output=True, timeout=300, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr.decode(errors="replace")[-500:]
    assert b"multiply-adds" in done.stdout
