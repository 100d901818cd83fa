"""What there is, and what is wrong."""

from __future__ import annotations

from typing import Annotated

import typer

from ...system.errors import InputError
from ..app import Context, app, out
from ..tables import print_table

_BRIEF = ("view", "shape", "inputs", "read by", "store")


@app.command()
def views(
    ctx: typer.Context, name: Annotated[str | None, typer.Argument(help="One view in full.")] = None
) -> None:
    """List the feature views: shape, size on disk, the members that read them."""
    from ...features.describe import describe_views

    context: Context = ctx.obj
    rows = describe_views(context.paths, context.params)
    if name is None:
        print_table("Views", [{k: row[k] for k in _BRIEF} for row in rows])
        return
    row = next((row for row in rows if row["view"] == name), None)
    if row is None:
        raise InputError(f"Unknown view {name!r}. Choose one of {[r['view'] for r in rows]}.")
    for key, value in row.items():
        out.print(f"{key}: {value}", highlight=False, soft_wrap=True)


@app.command()
def members(ctx: typer.Context) -> None:
    """List the ensemble's members: architecture, inputs, number of weights, folds trained."""
    from ...training.describe import describe_members

    context: Context = ctx.obj
    print_table("Members", describe_members(context.paths, context.params))


@app.command()
def doctor(ctx: typer.Context) -> None:
    """Say what is installed, which device, which stores, and what is wrong."""
    from ...registry.doctor import examine

    context: Context = ctx.obj
    findings = examine(context.paths, context.params)
    print_table("Doctor", [{"what": f.what, "is": f.value, "state": f.state} for f in findings])
    wrong = [finding for finding in findings if finding.state == "wrong"]
    for finding in wrong:
        out.print(f"{finding.what}: {finding.advice}", style="red", highlight=False)
    if wrong:
        raise typer.Exit(2)
