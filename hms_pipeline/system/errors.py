"""Errors that the user sees as one line."""

import re

LONGEST = 2000  # characters of a sentence


def brief(text: str, longest: int = 80) -> str:
    """A text, or its beginning and end where it is longer.

    Examples
    --------
    >>> brief("abc"), brief("0123456789", 7)
    ('abc', '01 … 89')
    """
    half = (longest - 3) // 2
    return text if len(text) <= longest else f"{text[:half]} … {text[-half:]}"


class InputError(ValueError):
    """Bad input from a user: one sentence saying what is needed, what came and what to do.

    The command line prints it as one line and exits with 2; a server answers 400. Whatever value
    it repeats, it is printed in at most ``LONGEST`` characters and without passwords.
    """

    def __str__(self) -> str:
        return brief(hide_passwords(super().__str__()), LONGEST)


class StaleError(RuntimeError):
    """What was planned cannot be done any more, because something changed meanwhile; try again.

    The command line prints it as one line and exits with 1.
    """


class LostError(RuntimeError):
    """The process or the machine that ran a call ended, at every attempt."""


def hide_passwords(text: str) -> str:
    """A text whose addresses name no password.

    Examples
    --------
    >>> hide_passwords("no answer of postgresql://hms:secret@db/mlflow")
    'no answer of postgresql://hms:***@db/mlflow'
    >>> hide_passwords("https://token@host/x: postgresql://db/x?user=a&password=b")
    'https://***@host/x: postgresql://db/x?user=a&password=***'
    """
    text = re.sub(r"(\w://[^/\s:@]*):(?!\d+/)[^\s'\"]*@", r"\1:***@", text)
    text = re.sub(r"(https?://)[^/\s:@'\"]+@", r"\1***@", text)
    return re.sub(r"(password=)[^&\s'\"]+", r"\1***", text)


DATABASE = re.compile(r"\s*\[SQL: .*?(\(Background on this error at: [^)]*\)|\Z)", re.DOTALL)


def one_line(text: str) -> str:
    """A text as a line of bounded length, without passwords.

    Databases add their whole statement to an error, which is left out.
    """
    return brief(hide_passwords(" ".join(DATABASE.sub("", text).split())), LONGEST)
