"""The registry: versions, promotion by hand, rollback, cleaning up, serving."""

from __future__ import annotations

import sys
from contextlib import ExitStack, suppress
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated

import typer

from ...config import Paths
from ...system.errors import InputError
from ..app import ANSWERING, app, note, out
from ..tables import Json, print_facts, print_json, print_table

Model = Annotated[
    str, typer.Option(help="ensemble or student.", autocompletion=lambda: ["ensemble", "student"])
]
Reason = Annotated[str, typer.Option("--reason", help="Why, for the ledger; required.")]


def _versions(ctx: typer.Context) -> list[tuple[str, str]]:
    """Registered versions and their verdicts, for a shell to complete; none where that fails."""
    from ...registry import api

    with suppress(Exception):
        paths = Paths().student if ctx.params.get("model") == "student" else Paths()
        return [(str(row["version"]), row["verdict"]) for row in api.list_versions(paths)]
    return []


@app.command()
def models(
    ctx: typer.Context,
    version: Annotated[
        int | None, typer.Argument(help="Show one version in full.", autocompletion=_versions)
    ] = None,
    patient: Annotated[
        int | None, typer.Option(help="Only versions trained on this patient_id.")
    ] = None,
    model: Model = "ensemble",
    as_json: Json = False,
) -> None:
    """Show the registered versions, their aliases, key metrics and verdicts."""
    from ...registry import api

    paths = _paths(ctx, model)
    if version is not None:
        facts = api.describe(paths, version)
        print_json(facts) if as_json else print_facts(facts)
        return
    if patient is not None:
        rows = api.trained_on(paths, patient)
        none = f"No version was trained on patient {patient}."
    else:
        rows = api.list_versions(paths)
        none = "No version is registered yet. Run: dvc repro"
    if as_json:
        print_json(rows)
    else:
        rows = [{k: v for k, v in row.items() if k != "reasons"} for row in rows]
        print_table(paths.model, rows, none)


@app.command()
def promote(
    ctx: typer.Context,
    version: Annotated[int, typer.Argument(autocompletion=_versions)],
    reason: Reason = "",
    model: Model = "ensemble",
) -> None:
    """Make a verified version the champion by hand."""
    from ...registry import api

    _need_reason("promote", reason)
    paths = _paths(ctx, model)
    api.promote(paths, version, reason)
    out.print(f"{paths.model}@champion is version {version}. A running server needs a restart.")


@app.command()
def rollback(ctx: typer.Context, reason: Reason = "", model: Model = "ensemble") -> None:
    """Move the champion back to its predecessor."""
    from ...registry import api

    _need_reason("rollback", reason)
    paths = _paths(ctx, model)
    version = api.rollback(paths, reason)
    out.print(f"{paths.model}@champion is version {version}. A running server needs a restart.")


def _paths(ctx: typer.Context, model: str) -> Paths:
    """Paths of the registered model that ``--model`` names."""
    known = {"ensemble": ctx.obj.paths, "student": ctx.obj.paths.student}
    if model not in known:
        raise InputError(f"Unknown model {model!r}. Choose one of {list(known)}.")
    return known[model]


def _need_reason(command: str, reason: str) -> None:
    if not reason.strip():
        raise InputError(f"hms {command} needs --reason: why; it goes into the ledger.")


@app.command()
def gc(
    ctx: typer.Context,
    keep: Annotated[int, typer.Option(min=1, help="Newest versions to keep.")] = 5,
    model: Model = "ensemble",
) -> None:
    """Remove old versions, their files and stale checkpoints; champion and predecessor stay."""
    from ...registry import api

    removed = api.gc(_paths(ctx, model), keep=keep)
    out.print(f"Removed versions: {removed or 'none'}.")


@app.command()
def serve(
    ctx: typer.Context,
    port: Annotated[int, typer.Option(min=1, max=65535)] = 8080,
    host: Annotated[
        str, typer.Option(help="Address to listen on; the server asks for no password.")
    ] = "127.0.0.1",
    model: Annotated[
        str | None,
        typer.Option(
            help="champion, student, student@N, starter, a version's number or a URI.",
            autocompletion=lambda: ANSWERING,
        ),
    ] = None,
    workers: Annotated[int, typer.Option(min=1, help="Processes, 2 GiB each.")] = 1,
    max_body_mb: Annotated[int, typer.Option(min=1, max=256, help="Largest request, MB.")] = 80,
) -> None:
    """Verify a model and serve it by MLflow's protocol, within limits (docs/how-to/serving.md)."""
    from ...config.members import STARTER
    from ...inference.bundle import check_bundle, with_code
    from ...registry import api
    from ...registry.choice import choose
    from ...registry.package import save_model
    from ...tracking.servers import is_loopback

    chosen = choose(ctx.obj.paths, model)
    with ExitStack() as undone:  # the server replaces this process, and removes the folder then
        if chosen.name == STARTER:
            check_bundle(chosen.folder)
            scratch = Path(undone.enter_context(TemporaryDirectory()))
            version, folder = 0, scratch / "model"
            save_model(with_code(chosen.folder, scratch / "bundle"), folder)
            out.print(chosen.note)
        elif chosen.folder is not None:
            raise InputError("hms serve needs a registered version or the starter, got a folder.")
        else:
            version, folder = api.model_of(chosen.paths, chosen.version)
        named = f"version {version} " if version else ""
        out.print(f"{chosen.name} {named}verified; the server starts.")
        if not is_loopback(host):
            note(
                f"whoever reaches {host} can have EEG scored, without a password. Serve on"
                " 127.0.0.1 behind a proxy that asks for one."
            )
        sys.stdout.flush()
        from ...registry.serving.server import serve as run

        run(
            folder, version, host=host, port=port, workers=workers, body_mb=max_body_mb,
            temporary=chosen.name == STARTER,
        )  # fmt: skip
