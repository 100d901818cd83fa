"""Run the flow `retrain` here and now: ``python -m flows.retrain [--until train] ...``.

Uses the Prefect server that PREFECT_API_URL names, or a temporary one. The scheduled way is
``prefect deployment run retrain/nightly``.
"""

from __future__ import annotations

import argparse
import logging
import os
import sys
from collections.abc import Sequence
from importlib import import_module
from pathlib import Path

from .environment import prepare, uncollected

log = logging.getLogger(__name__)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the flow.

    Returns
    -------
    int
        0 done, 1 a stage failed or the Prefect server does not answer, 2 bad input or another
        retrain runs.
    """
    args = parser().parse_args(arguments)
    load(Path(args.root))
    import httpx

    from .pipeline import REFUSED, retrain

    try:
        state = retrain(
            only=args.only,
            until=args.until,
            force=True if args.force_all else args.force,
            engine=args.engine,
            return_state=True,
        )
    except (httpx.HTTPError, RuntimeError) as err:  # what fails in the flow is in its state
        if isinstance(err, RuntimeError) and "Failed to reach API" not in str(err):
            raise
        log.debug("The Prefect server", exc_info=True)
        print(_no_answer(err), file=sys.stderr)  # noqa: T201
        return 1
    if state.is_completed():
        return 0
    print(state.message, file=sys.stderr)  # noqa: T201
    return 2 if state.name == REFUSED else 1


def load(root: Path) -> None:
    """Set the environment for a folder and load Prefect, which takes seconds."""
    os.environ["HMS_ROOT"] = str(root.absolute())
    prepare(root)
    # Before Prefect is imported: its temporary server is a child that must not outlive a kill.
    from .processes import mark

    os.environ.update(mark(root))
    with uncollected():
        import_module("flows.pipeline")


def _no_answer(err: Exception) -> str:
    why = (str(err) or type(err).__name__).splitlines()[0]
    if "PREFECT_API_URL" not in os.environ:
        return f"A retrain needs an answer of its temporary Prefect server, but: {why}. Try again."
    return (
        f"A retrain needs an answer of the Prefect server that PREFECT_API_URL names, but: {why}."
        " See whether it runs and PREFECT_API_AUTH_STRING is right, or unset PREFECT_API_URL for a"
        " temporary server."
    )


def parser() -> argparse.ArgumentParser:
    """Arguments of the command."""
    result = argparse.ArgumentParser(prog="python -m flows.retrain", description=__doc__)
    stages = "names, groups such as 'train', or patterns such as 'train@*-0'"
    result.add_argument("--only", nargs="+", metavar="STAGE", help=f"these alone: {stages}")
    result.add_argument("--until", nargs="+", metavar="STAGE", help="these and all before them")
    result.add_argument("--force", nargs="+", metavar="STAGE", help="even if up to date")
    result.add_argument("--force-all", action="store_true", help="all, even if up to date")
    result.add_argument("--engine", choices=("local", "ray"), default="local")
    result.add_argument("--root", default=".", help="the DVC repository (default: here)")
    return result


if __name__ == "__main__":
    sys.exit(main())
