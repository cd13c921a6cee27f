"""The one exception that means: the person at the keyboard can put this right."""


class UserError(ValueError):
    """Its message is one sentence that names the file or value and what to do.

    main.py and the tools print the message without a traceback and exit with code 2.
    """
