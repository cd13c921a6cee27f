"""The exceptions that end a command with a sentence instead of a traceback."""

import contextlib
import signal
from collections.abc import Iterator


class UserError(ValueError):
    """Its message is one sentence that names the file or value and what to do.

    The command line prints the message without a traceback and exits with `exit_code`.
    """

    exit_code = 2


class StorageError(UserError):
    """A file could not be written or read: a full disk, or a bucket that does not answer.

    Unlike other mistakes it may pass by itself, so launchers try again: the code is that of
    sysexits.h for a temporary failure.
    """

    exit_code = 75


@contextlib.contextmanager
def refuse_malformed(
    what: str, advice: str = "run what wrote it again, or delete it."
) -> Iterator[None]:
    """Says what holds something else than it should, where Python would only name a key.

    Args:
      what: a sentence's beginning, of what is read within.
      advice: its end.

    Raises:
      UserError: in place of what Python raises of a missing key or another kind of value.
    """
    try:
        yield
    except UserError:
        raise
    except (AttributeError, IndexError, KeyError, TypeError, ValueError) as error:
        raise UserError(f"{what} ({type(error).__name__}: {error}); {advice}") from error


class Interrupted(Exception):
    """A run was stopped from outside and goes on when the same command is given again.

    Its message is one sentence. `edet` exits with code 143, as a shell or a manager of containers
    sees it of any process that SIGTERM has ended (128 + 15), or with 129 after SIGHUP.
    """

    def __init__(self, message: str, exit_code: int = 143):
        super().__init__(message)
        self.exit_code = exit_code


class Stopped(KeyboardInterrupt):
    """A signal asks this process to end, usually Ctrl-C: what is open is closed, what is done kept.

    Whoever keeps something adds a sentence about it as a note (`add_note`), which the command line
    prints behind the message.

    Attributes:
      number: of the signal.
      exit_code: 128 + number, as a shell gives it: 130 for Ctrl-C.
    """

    def __init__(self, number: int, message: str = ""):
        super().__init__(message or f"stopped by {signal_name(number)}.")
        self.number = signal.Signals(number)
        self.exit_code = 128 + number


def signal_name(number: int) -> str:
    """Returns what people call a signal: "Ctrl-C", "SIGTERM"."""
    return "Ctrl-C" if number == signal.SIGINT else signal.Signals(number).name
