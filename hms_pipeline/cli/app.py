"""The application object, its global options, and one line for what went wrong."""

from __future__ import annotations

import logging
import os
import sys
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from ..catalogue import discover
from ..config import Params, Paths, load_params
from ..schema import InputError

QUIET = {  # nothing calls home
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
    "GX_ANALYTICS_ENABLED": "false",
    "DO_NOT_TRACK": "1",
}

app = typer.Typer(
    help="Retrain, register and serve an ensemble that reads ICU EEG as experts do.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
out = Console()
err = Console(stderr=True)


class Context:
    """What the global options say; the recipe is read when a command first asks for it."""

    def __init__(self, paths: Paths) -> None:
        self.paths = paths
        self._params: Params | None = None

    @property
    def params(self) -> Params:
        if self._params is None:
            self._params = load_params(self.paths.params)
        return self._params


@app.callback()
def options(
    ctx: typer.Context,
    data: Annotated[Path, typer.Option(help="Raw data, competition layout.")] = Path("data"),
    artifacts: Annotated[Path, typer.Option(help="Everything derived.")] = Path("artifacts"),
    params: Annotated[Path, typer.Option(help="The recipe.")] = Path("params.yaml"),
    verbose: Annotated[bool, typer.Option("--verbose", "-v", help="Log more.")] = False,
) -> None:
    """Global options; the defaults are the checkout's own folders."""
    level = logging.INFO if verbose else logging.WARNING
    logging.basicConfig(level=level, format="%(levelname)s %(name)s: %(message)s")
    ctx.obj = Context(Paths(data=data, artifacts=artifacts, params=params))


def main() -> None:
    """Run the command line; expected errors become one line and exit code 2."""
    for name, value in QUIET.items():
        os.environ.setdefault(name, value)
    from . import commands

    discover(commands.__name__, list(commands.__path__))
    try:
        app()
    except InputError as error:
        err.print(f"hms: {error}", style="red", markup=False, highlight=False, soft_wrap=True)
        sys.exit(2)
    except BrokenPipeError:
        sys.stderr.close()
        sys.exit(141)
