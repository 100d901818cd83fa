"""The application object, its global options, and one line for what went wrong."""

from __future__ import annotations

import atexit
import contextlib
import gc
import io
import logging
import os
import sys
import traceback
from collections.abc import Iterator, Sequence
from functools import cached_property, partial
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from .. import __version__
from ..catalogue import discover
from ..config import Params, Paths, load_params
from ..system.errors import InputError, StaleError, one_line
from ..system.quiet import PATIENT, QUIET

WRONG_PATHS = (
    FileNotFoundError,
    FileExistsError,
    IsADirectoryError,
    NotADirectoryError,
    PermissionError,
)
LOG_FORMAT = "%(levelname)s %(name)s: %(message)s"
ANSWERING = ["champion", "student", "starter"]  # what --model takes, for a shell to complete
# Packages whose errors mean that a store does not answer.
STORES = ("mlflow", "sqlalchemy", "sqlite3")

log = logging.getLogger(__name__)
app = typer.Typer(
    help="Retrain, register and serve an ensemble that reads ICU EEG as experts do.",
    pretty_exceptions_enable=False,
)
# Lines stay as they are: names of files hold brackets and colons, and a pipe has no width.
_console = partial(Console, markup=False, emoji=False, highlight=False)
out = _console(soft_wrap=True)  # results
notes = _console(stderr=True)  # progress, and what is good to know; silenced by --quiet
err = _console(soft_wrap=True, stderr=True)  # why a command fails


class Context:
    """What the global options say; the recipe is read when a command first asks for it."""

    def __init__(self, paths: Paths) -> None:
        self.paths = paths

    @cached_property
    def params(self) -> Params:
        """The recipe in force, read once."""
        return load_params(self.paths.params)


def recipes_names(section: str) -> list[str]:
    """Names in a section of ``params.yaml``, for a shell to complete; none without a recipe."""
    with contextlib.suppress(InputError):
        return list(getattr(load_params(Path("params.yaml")), section))
    return []


class _OneLine(logging.Formatter):
    """A warning is one line, whatever error it repeats; a traceback that is asked for follows."""

    def formatMessage(self, record: logging.LogRecord) -> str:
        return one_line(super().formatMessage(record))


def _print_version(wanted: bool) -> None:
    if wanted:
        out.print(f"hms_pipeline {__version__}")
        raise typer.Exit


@app.callback()
def options(
    ctx: typer.Context,
    data: Annotated[Path, typer.Option(help="Raw data, competition layout.")] = Path("data"),
    artifacts: Annotated[Path, typer.Option(help="What the stages write.")] = Path("artifacts"),
    params: Annotated[Path, typer.Option(help="The recipe.")] = Path("params.yaml"),
    verbose: Annotated[
        bool, typer.Option("--verbose", "-v", help="Log more, also where a refusal was raised.")
    ] = False,
    quiet: Annotated[
        bool, typer.Option("--quiet", "-q", help="Print only results and errors.")
    ] = False,
    _version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print it.")
    ] = False,
) -> None:
    """Retrain, register and serve an ensemble that reads ICU EEG as experts do."""
    level = logging.INFO if verbose else logging.ERROR if quiet else logging.WARNING
    handler = logging.StreamHandler()
    handler.setLevel(level)  # libraries that lower their own loggers' level stay silent, too
    handler.setFormatter(_OneLine(LOG_FORMAT))
    logging.basicConfig(level=level, handlers=[handler])
    notes.quiet = quiet
    paths = Paths(data=data, artifacts=artifacts, params=params)
    os.environ.setdefault("TORCHINDUCTOR_CACHE_DIR", str(paths.compiled.absolute()))
    ctx.obj = Context(paths)


def main() -> None:
    """Run the command line; expected errors become one line and exit code 2."""
    for name, value in (QUIET | PATIENT).items():
        os.environ.setdefault(name, value)
    for stream in (sys.stdout, sys.stderr):
        # A character that the terminal cannot show is no error.
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")
    # Python's last collection walks everything that was imported, for seconds.
    atexit.register(gc.freeze)
    from . import commands

    discover(commands.__name__, list(commands.__path__))
    sys.exit(run(sys.argv[1:]))


def run(arguments: Sequence[str]) -> int:
    """Run one command.

    Parameters
    ----------
    arguments : sequence of str
        Without the program's name.

    Returns
    -------
    int
        The exit code: 0, 2 for bad input, 1 for a disk or store that fails (another time it may
        not), 130 interrupted, 141 for a closed pipe.
    """
    out.quiet = notes.quiet = False
    try:
        return app(list(arguments) or ["--help"], standalone_mode=False, prog_name="hms") or 0
    except typer.TyperException as error:
        return refuse(f"{error.format_message()} See hms --help.")
    except (InputError, StaleError) as error:
        log.info("refused at %s", ", made from ".join(_places(error)))
        return refuse(str(error), 1 if isinstance(error, StaleError) else 2)
    except BrokenPipeError:
        sys.stderr.close()
        return 141
    except OSError as error:
        sentence = f"{error.filename or 'A file'} cannot be used: {error.strerror or error}."
        return refuse(sentence, 2 if isinstance(error, WRONG_PATHS) else 1)
    except (KeyboardInterrupt, typer.Abort):
        return 130
    except Exception as error:
        if type(error).__module__.partition(".")[0] not in STORES:
            raise
        return refuse(f"MLflow's store cannot be used: {error}. Check MLFLOW_TRACKING_URI.", 1)


def _places(error: BaseException | None) -> Iterator[str]:
    """File and line that raised an error, and those of the errors that it was made from."""
    while error is not None:
        for frame in traceback.extract_tb(error.__traceback__)[-1:]:
            yield f"{frame.filename}:{frame.lineno}"
        error = error.__context__


def note(sentence: str) -> None:
    """Print one line of information, unless ``--quiet`` was given."""
    notes.print(f"hms: {sentence}", style="yellow", soft_wrap=True)


def refuse(sentence: str, code: int = 2) -> int:
    """Print one line and give an exit code."""
    err.print(f"hms: {one_line(sentence)}", style="red")
    return code
