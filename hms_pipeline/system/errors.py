"""Errors that are said to a user in one line."""


class InputError(ValueError):
    """Bad input from a user: one sentence saying what is needed, what came and what to do.

    The command line prints it as one line and exits with 2; a server answers 400.
    """


class StaleError(RuntimeError):
    """What was planned no longer holds, because something moved meanwhile: say it, try again.

    The command line prints it as one line and exits with 1.
    """


class LostError(RuntimeError):
    """The process or the machine that ran something went away, however often it was tried."""
