"""What there is, and what is wrong."""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated, Any

import typer

from ...system.errors import InputError
from ..app import Context, app, recipes_names
from ..tables import Json, print_facts, print_json, print_table

MIB = 2**20


@app.command()
def views(
    ctx: typer.Context,
    name: Annotated[
        str | None,
        typer.Argument(help="One view in full.", autocompletion=lambda: recipes_names("views")),
    ] = None,
    as_json: Json = False,
) -> None:
    """List the feature views: shape, size on disk, the members that read them."""
    from ...features.describe import describe_views

    context: Context = ctx.obj
    rows = {row["view"]: row for row in describe_views(context.paths, context.params)}
    if name is not None and name not in rows:
        raise InputError(f"Unknown view {name!r}. Choose one of {list(rows)}.")
    if as_json:
        print_json(list(rows.values()) if name is None else rows[name])
    elif name is None:
        print_table("Views", [_view_line(row) for row in rows.values()])
    else:
        print_facts(rows[name])


def _view_line(row: dict[str, Any]) -> dict[str, Any]:
    return {
        "view": row["view"],
        "shape": _shape(row["shape"]),
        "inputs": row["inputs"],
        "read by": row["read_by"],
        "store": f"{row['bytes'] / MIB:.1f} MiB" if row["bytes"] else row["state"],
    }


def _shape(shape: list[int]) -> str:
    return "×".join(map(str, shape))


@app.command()
def members(ctx: typer.Context, as_json: Json = False) -> None:
    """List the ensemble's members: architecture, inputs, number of weights, folds trained."""
    from ...training.describe import describe_members

    context: Context = ctx.obj
    rows = describe_members(context.paths, context.params)
    if as_json:
        print_json(rows)
    else:
        print_table("Members", [_member_line(row) for row in rows])


def _member_line(row: dict[str, Any]) -> dict[str, Any]:
    inputs = zip(row["views"], row["shapes"], strict=True)
    return {
        "member": row["member"],
        "architecture": row["architecture"],
        "input": [f"{view} {_shape(shape)}" for view, shape in inputs],
        "weights": row["weights"],
        "folds trained": f"{len(row['folds_trained'])} of {row['folds']}",
    }


@app.command()
def doctor(ctx: typer.Context, as_json: Json = False) -> None:
    """Say what is installed, which device, which stores, and what is wrong."""
    from ...registry.doctor import WRONG, examine

    context: Context = ctx.obj
    findings = examine(context.paths, context.params)
    wrong = [finding for finding in findings if finding.state == WRONG]
    if as_json:
        print_json([asdict(finding) for finding in findings])
    else:
        print_table("Doctor", [{"state": f.state, "what": f.what, "is": f.value} for f in findings])
        print_facts({f"{finding.what} ({finding.value})": finding.advice for finding in wrong})
    if wrong:
        raise typer.Exit(2)
