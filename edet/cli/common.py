"""What every tool does with its flags and with a mistake of the user."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable

from absl import app, flags, logging

from edet.errors import UserError
from edet.files import bucket_errors
from edet.terminal import accept_every_sign

DefineFlags = Callable[[flags.FlagValues], None]
Tool = Callable[[flags.FlagValues], None]


def run(define_flags: DefineFlags, tool: Tool) -> None:
    """Runs a tool from the command line and ends the process with its exit code."""
    define_flags(flags.FLAGS)
    app.run(lambda argv: call(tool, flags.FLAGS, argv[1:]))


def call(tool: Tool, options: flags.FlagValues, rest: list[str]) -> int:
    """Returns 0, or after a UserError its exit code; its message goes to stderr."""
    accept_every_sign()
    logging.set_verbosity(logging.WARNING)
    try:
        if rest:
            raise UserError(f"{rest[0]!r} is not a flag; see --help.")
        for name, value in options.flag_values_dict().items():
            if isinstance(value, str) and value.startswith("~"):  # a shell leaves it behind a "="
                options[name].value = os.path.expanduser(value)
        with bucket_errors():
            tool(options)
    except UserError as error:
        print(error, file=sys.stderr)
        return error.exit_code
    return 0


def parsed(define_flags: DefineFlags, arguments: list[str]) -> flags.FlagValues:
    """Returns the flags of a tool for the given arguments, apart from the process's own flags."""
    options = flags.FlagValues()
    define_flags(options)
    options(["tool", *arguments])
    return options
