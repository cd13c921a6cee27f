"""The exceptions that end a command with a sentence instead of a traceback."""


class UserError(ValueError):
    """Its message is one sentence that names the file or value and what to do.

    The command line prints the message without a traceback and exit with `exit_code`.
    """

    exit_code = 2


class StorageError(UserError):
    """A file could not be written or read: a full disk, or a bucket that does not answer.

    Unlike other mistakes it may pass by itself, so launchers try again: the code is that of
    sysexits.h for a temporary failure.
    """

    exit_code = 75


class Interrupted(Exception):
    """A run was stopped from outside and goes on when the same command is given again.

    Its message is one sentence. `edet` exits with code 143, as a shell or a manager of containers
    sees it of any process that SIGTERM has ended (128 + 15).
    """

    exit_code = 143
