"""What every command does with its flags, with a mistake of the user and with Ctrl-C."""

from __future__ import annotations

import gc
import logging as python_logging
import os
import sys
from collections.abc import Callable, Sequence

from absl import app, flags, logging

from edet.config.loading import settings_called
from edet.errors import Interrupted, Stopped, UserError
from edet.files import bucket_errors
from edet.image.decode import WHITE_LEVEL
from edet.signals import raise_stopped
from edet.terminal import Console, accept_every_sign, flush_output

DefineFlags = Callable[[flags.FlagValues], None]
Tool = Callable[[flags.FlagValues], None]
ToolOfInputs = Callable[[flags.FlagValues, list[str]], None]  # takes what stands after the flags


def run(define_flags: DefineFlags, tool: Tool) -> None:
    """Runs a tool from the command line and ends the process with its exit code."""
    spare_imported()
    define_flags(flags.FLAGS)
    start(lambda argv: call(tool, flags.FLAGS, argv[1:]))


def run_with_inputs(define_flags: DefineFlags, tool: ToolOfInputs) -> None:
    """As `run`, of a tool that takes arguments which are no flags."""
    spare_imported()
    define_flags(flags.FLAGS)
    start(lambda argv: call(lambda options: tool(options, argv[1:]), flags.FLAGS, []))


def start(main: Callable[[list[str]], int]) -> None:
    """Runs what takes the arguments that are no flags, and exits with its code.

    A mistake in a flag is one of the user's, with the code of these: absl's own is that of a crash,
    which launchers answer by starting again. --help, which has it too, is no mistake.
    """

    def parse(argv: list[str]) -> list[str]:
        """Returns what is no flag; exits with 2 at a mistake, as said above."""
        try:
            check_text(argv)
            return flags.FLAGS(argv)
        except UserError as error:
            print(error, file=sys.stderr)
            raise SystemExit(2) from error
        except flags.Error as error:
            meant, sentence = meant_setting(error), str(error)
            if meant:  # absl's own guess is of the flags' letters
                sentence = sentence.partition(". Did you mean")[0]
            print(f"{sentence.rstrip('.')}{meant}. See --help.", file=sys.stderr)
            raise SystemExit(2) from error
        except SystemExit as error:
            raise SystemExit(0) from error

    app.run(main, flags_parser=parse)


def check_text(arguments: Sequence[str]) -> None:
    """Refuses what is no text, such as a file's name of another encoding; nothing could open it.

    Raises:
      UserError: an argument is none.
    """
    for argument in arguments:
        try:
            argument.encode()
        except UnicodeEncodeError as error:
            raise UserError(
                f"{os.fsencode(argument)!r} is not {sys.getfilesystemencoding()}; rename the file, "
                "or set LC_ALL=C.UTF-8 where the locale has another encoding than the names."
            ) from error


_PICTURES = "the pictures after all flags"
# What google/automl and others call the flags of the modes.
_OTHER_FLAGS = {
    "model_dir": "--workdir", "runmode": "--mode", "hparams": "--config, or --set for each",
    "cfg": "--config", "config_file": "--config", "device": "--strategy",
    "use_tpu": "--strategy=tpu", "tpu_name": "--tpu", "output_dir": "--output",
    "output_image_dir": "--output", "ckpt_path": "--weights", "checkpoint": "--weights",
    "source": _PICTURES, "input_image": _PICTURES, "input_video": _PICTURES,
}  # fmt: skip


def meant_setting(error: flags.Error) -> str:
    """Says what is given instead of a flag that there is not: a setting, or a flag named so by
    others.
    """
    if not isinstance(error, flags.UnrecognizedFlagError) or "set" not in flags.FLAGS:
        return ""
    if other := _OTHER_FLAGS.get(error.flagname.replace("-", "_")):
        return f"; give {other}"
    meant = [f"--set {key}=VALUE" for key in settings_called(error.flagname)]
    return f"; settings are given as {' or '.join(meant)}" if meant else ""


def spare_imported() -> None:
    """Keeps the garbage collector from a million objects that live as long as the process.

    Going through all that importing TensorFlow has made takes a second at the process's end alone.
    What tracing a step makes lives as long, and was gone through hundreds of times: a twentieth of
    the time until the first step.
    """
    gc.freeze()
    gc.set_threshold(100_000, 10, 10)
    gc.enable()


def define_white_level(values: flags.FlagValues) -> None:
    """Defines the flag of tools that decode pictures of records as training does."""
    flags.DEFINE_integer(
        "white_level", WHITE_LEVEL, "As model.white_level: the 16-bit value that becomes 255.",
        255, 65535, flag_values=values,
    )  # fmt: skip


def call(tool: Tool, options: flags.FlagValues, rest: list[str]) -> int:
    """Runs a tool with its flags; returns as `exit_code_of`."""

    def work() -> None:
        """Checks what every tool's flags are checked for, and runs the tool."""
        if rest:
            raise UserError(f"{rest[0]!r} is not a flag; see --help.")
        for name, value in options.flag_values_dict().items():
            if isinstance(value, str) and value.startswith("~"):  # a shell leaves it behind a "="
                options[name].value = os.path.expanduser(value)
            if name == "output" and value == "" and options[name].default is None:
                raise UserError(f"--{name}= is empty; is the variable set that it is made of?")
        tool(options)

    return exit_code_of(work)


def check_prefix(output: str) -> None:
    """Refuses an --output of shards that would be hidden, or that a setting takes for a glob.

    Raises:
      UserError: it is one.
    """
    if not os.path.basename(output):
        raise UserError(
            f"--output={output} has no name after its folder; give a prefix, such as records/train."
        )
    if found := sorted(set("*?[]") & set(output)):
        raise UserError(
            f"--output={output} holds {' '.join(found)}, which mean something else in globs; give "
            "a prefix without, such as records/train."
        )


def exit_code_of(work: Callable[[], object], name: str = "") -> int:
    """Runs a command; returns 0, or the exit code of a mistake, of a full disk or of a signal.

    Then a sentence goes to stderr, behind the command's name: that of a UserError, an Interrupted
    or a Stopped with its notes.
    """
    accept_every_sign()
    logging.set_verbosity(logging.WARNING)
    logging.get_absl_handler().setFormatter(python_logging.Formatter("warning: %(message)s"))
    try:
        with raise_stopped(), bucket_errors():
            work()
    except (UserError, Interrupted, Stopped) as error:
        sentences = " ".join([str(error), *getattr(error, "__notes__", ())])
        Console(stderr=True, soft_wrap=True).print(
            name + sentences, markup=False, highlight=False, emoji=False
        )
        return error.exit_code
    finally:
        flush_output()
    return 0


def parsed(define_flags: DefineFlags, arguments: list[str]) -> flags.FlagValues:
    """Returns the flags of a tool for the given arguments, apart from the process's own flags."""
    options = flags.FlagValues()
    define_flags(options)
    options(["tool", *arguments])
    return options
