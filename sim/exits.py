"""How a command ends: its exit codes, and Ctrl-C."""

NONE, STOPPED, BAD, INTERRUPTED = 0, 1, 2, 130
"""Exit codes: all is well; an arm diverged; the input is wrong; Ctrl-C."""


class Ended(BaseException):
    """Ctrl-C where nothing needs to be kept."""
