"""The registry: versions, promotion by hand, rollback, cleaning up, serving."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from ...config.registry import CHAMPION_URI, MODEL
from ...system.errors import InputError
from ..app import Context, app, note, out
from ..tables import Json, print_facts, print_json, print_table

Reason = Annotated[str, typer.Option("--reason", help="Why; needed, it goes into the ledger.")]


@app.command()
def models(
    ctx: typer.Context,
    version: Annotated[int | None, typer.Argument(help="One version in full.")] = None,
    patient: Annotated[
        int | None, typer.Option(help="Only versions trained on this patient_id.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Show the registered versions, their aliases, key metrics and verdicts."""
    from ...registry import api

    context: Context = ctx.obj
    if version is not None:
        facts = api.describe(context.paths, version)
        print_json(facts) if as_json else print_facts(facts)
        return
    if patient is not None:
        rows = api.trained_on(context.paths, patient)
        none = f"No version was trained on patient {patient}."
    else:
        rows = api.list_versions(context.paths)
        none = "No version is registered yet. Run: dvc repro"
    if as_json:
        print_json(rows)
    else:
        rows = [{k: v for k, v in row.items() if k != "reasons"} for row in rows]
        print_table("hms-ensemble", rows, none)


@app.command()
def promote(ctx: typer.Context, version: int, reason: Reason = "") -> None:
    """Make a verified version the champion by hand."""
    from ...registry import api

    _need_reason("promote", reason)
    api.promote(ctx.obj.paths, version, reason)
    out.print(f"{MODEL}@champion is version {version}. A running server needs a restart.")


@app.command()
def rollback(ctx: typer.Context, reason: Reason = "") -> None:
    """Move the champion back to its predecessor."""
    from ...registry import api

    _need_reason("rollback", reason)
    version = api.rollback(ctx.obj.paths, reason)
    out.print(f"{MODEL}@champion is version {version}. A running server needs a restart.")


def _need_reason(command: str, reason: str) -> None:
    if not reason.strip():
        raise InputError(f"hms {command} needs --reason: why; it goes into the ledger.")


@app.command()
def gc(
    ctx: typer.Context,
    keep: Annotated[int, typer.Option(min=1, help="Newest versions to keep.")] = 5,
) -> None:
    """Remove old versions, their files and stale checkpoints; champion and predecessor stay."""
    from ...registry import api

    removed = api.gc(ctx.obj.paths, keep=keep)
    out.print(f"Removed versions: {removed or 'none'}.")


@app.command()
def serve(
    ctx: typer.Context,
    port: Annotated[int, typer.Option(min=1, max=65535)] = 8080,
    host: Annotated[
        str, typer.Option(help="Address; the server asks nobody for a password.")
    ] = "127.0.0.1",
    model: Annotated[str, typer.Option(help="A version's number or a model URI.")] = CHAMPION_URI,
    workers: Annotated[int, typer.Option(min=1, help="Processes, 2 GiB each.")] = 1,
    max_body_mb: Annotated[int, typer.Option(min=1, max=256, help="Largest request.")] = 80,
) -> None:
    """Verify a model and serve it by MLflow's protocol, within limits (docs/how-to/serving.md)."""
    from ...registry import api
    from ...tracking.servers import is_loopback

    version, folder = api.model_of(ctx.obj.paths, model)
    out.print(f"Version {version} verified; serving on http://{host}:{port}/invocations")
    if not is_loopback(host):
        note(
            f"whoever reaches {host} can have EEG scored, without a password. Serve on 127.0.0.1"
            " behind a proxy that asks for one."
        )
    sys.stdout.flush()
    from ...registry.serving.server import serve as run

    run(folder, version, host=host, port=port, workers=workers, body_mb=max_body_mb)
