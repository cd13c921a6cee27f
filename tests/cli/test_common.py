"""Every command goes through one function: a sentence and an exit code, whatever ends it."""

import gc
import io
import logging as python_logging
import os
import signal
import subprocess
import sys

import pytest
import tensorflow as tf
from absl import flags, logging
from absl.testing import flagsaver

from edet.cli import main
from edet.cli.common import call, check_text, exit_code_of, parsed, spare_imported, start
from edet.errors import Interrupted, StorageError, UserError
from edet.files import written_aside


@pytest.mark.parametrize(
    ("why", "code"),
    [
        (UserError("x.yaml has no [b]."), 2),
        (StorageError("cannot write x."), 75),
        (Interrupted("stopped by SIGTERM after step 7."), 143),
        (Interrupted("stopped by SIGHUP after step 7.", 129), 129),
    ],
)
def test_an_error_is_its_sentence_and_its_code(why, code, capsys):
    def work():
        raise why

    assert exit_code_of(work, "edet: ") == code
    assert capsys.readouterr().err == f"edet: {why}\n"


@pytest.mark.parametrize(
    ("number", "code", "name"),
    [
        (signal.SIGINT, 130, "Ctrl-C"),
        (signal.SIGTERM, 143, "SIGTERM"),
        (signal.SIGHUP, 129, "SIGHUP"),
    ],
)
def test_a_signal_ends_any_tool_with_a_sentence_and_without_temporaries(
    number, code, name, tmp_path, capsys
):
    """What was kept is added by whoever keeps it."""

    def tool(_):
        with written_aside(tmp_path / "big.json") as aside, tf.io.gfile.GFile(aside, "w") as file:
            file.write("half")
            try:
                os.kill(os.getpid(), number)
            except KeyboardInterrupt as stop:
                stop.add_note("3 of 8 pictures are kept.")
                raise

    assert call(tool, flags.FlagValues(), []) == code
    assert capsys.readouterr().err == f"stopped by {name}. 3 of 8 pictures are kept.\n"
    assert list(tmp_path.iterdir()) == []


def test_an_output_that_nobody_reads_any_more_changes_no_exit_code(monkeypatch):
    """As when Ctrl-C ends the tee behind a pipe, too; both streams are the pipe's."""
    reader, writer = os.pipe()
    os.close(reader)
    with io.TextIOWrapper(os.fdopen(writer, "wb")) as stream:
        monkeypatch.setattr(sys, "stdout", stream)
        monkeypatch.setattr(sys, "stderr", stream)

        def work():
            print("step 5")
            os.kill(os.getpid(), signal.SIGINT)

        assert exit_code_of(work) == 130


def test_what_is_imported_is_spared_by_the_collector():
    """A door turns it off while it imports; whatever the command makes is collected again, but not
    after every 700 objects."""
    before = gc.get_threshold()
    gc.set_threshold(700, 10, 10)
    gc.disable()
    try:
        spare_imported()
        assert gc.isenabled()
        assert gc.get_freeze_count() > 100_000
        assert gc.get_threshold() == (100_000, 10, 10)
    finally:
        gc.set_threshold(*before)
        gc.enable()
        gc.unfreeze()


def test_an_empty_value_of_a_needed_flag_is_refused(capsys):
    """--output=$FOLDER of a variable that is not set wrote into the root of the disk."""

    def define(values):
        flags.DEFINE_string("output", None, "where", flag_values=values)
        flags.DEFINE_string("label", "", "may be empty", flag_values=values)

    ran = []
    assert call(ran.append, parsed(define, ["--output=", "--label="]), []) == 2
    assert "--output= is empty; is the variable set" in capsys.readouterr().err
    assert call(ran.append, parsed(define, ["--output=x", "--label="]), []) == 0 and len(ran) == 1


def test_an_argument_that_is_no_text_is_named():
    """Python hands over bytes that are no UTF-8 as halves of letters, which no file can have."""
    check_text(["edet", "--data=Kätzchen"])
    with pytest.raises(UserError, match=r"^b'--data=x.xff' is not utf-8; rename the file"):
        check_text(["edet", os.fsdecode(b"--data=x\xff")])


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (["create_tfrecord", "--output=x"], 2, "the nearest is create_tfrecords"),
        (["predict", "street.jpg"], 2, "predict is a mode: edet --mode=predict"),
        (["check", "FOLDER"], 2, "the nearest is --mode=check_data"),
        (["serve_web", "--port=99999"], 2, "99999 is not an integer in the range"),
        (["--help"], 0, "edet --mode=train"),
    ],
)
@pytest.mark.slow
def test_a_mistake_in_a_flag_has_the_code_of_mistakes(arguments, code, words):
    """Launchers go by it: what ends with another code is started again."""
    ran = subprocess.run([sys.executable, "-m", "edet", *arguments], capture_output=True, text=True)
    assert ran.returncode == code and words in ran.stdout + ran.stderr


@pytest.mark.parametrize(
    ("argument", "words"),
    [
        ("--mode=nonsense", "should be one of <train|eval"),
        ("--no_such_flag", "Unknown command line flag"),
    ],
)
def test_a_mistake_in_a_flag_of_the_modes_has_it_too(argument, words, monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["edet", argument])
    with flagsaver.flagsaver(), pytest.raises(SystemExit, match="^2$"):
        start(main.main)
    assert words in capsys.readouterr().err


def test_what_is_logged_has_no_prefix_of_absl(capsys):
    """A file and a thread's number before a note of records say nothing to whoever makes them."""
    before = logging.get_absl_handler().python_handler.formatter
    try:
        exit_code_of(lambda: None)
        record = python_logging.makeLogRecord({"msg": "a.txt is left out."})
        assert logging.get_absl_handler().format(record) == "warning: a.txt is left out."
    finally:
        logging.get_absl_handler().setFormatter(before)
