"""The stages of the graph, one command each."""

from __future__ import annotations

from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Annotated

import typer

from ...config.keys import code_key
from ...config.options import checked
from ...config.recipes import recipe_names
from ...config.sample import SampleParams
from ...system.errors import InputError
from ...training.callback import TrainingCallback
from ..app import Context, app, out, recipes_names
from ..progress import EpochClock, progress_bar
from ..tables import (
    Json,
    cell,
    markdown_table,
    print_facts,
    print_json,
    print_table,
    rewrite_between_marks,
)

Device = Annotated[str, typer.Option(help="auto, cpu, cuda or cuda:N.")]
View = Annotated[str, typer.Argument(autocompletion=lambda: recipes_names("views"))]
_RULE = ("rule", "windows", "eegs", "spectrograms")
Workers = Annotated[
    int | None, typer.Option(min=1, help="Processes; default: as many as cores and work allow.")
]


def _works() -> list[str]:
    names = [f"views.{view}" for view in recipes_names("views")]
    names += [f"train.{member}" for member in recipes_names("members")]
    return ["validate", "split", *names, "ensemble", "student", "register"]


@app.command()
def sample(
    ctx: typer.Context,
    out_folder: Annotated[Path, typer.Option("--out", help="New folder.")] = Path("data"),
    patients: Annotated[int | None, typer.Option(min=3)] = None,
    test_windows: Annotated[int | None, typer.Option(min=1)] = None,
    seed: Annotated[int | None, typer.Option(min=0)] = None,
    proportions: Annotated[
        str | None, typer.Option(help="Proportions: even or competition.")
    ] = None,
    leave_out: Annotated[
        list[str] | None, typer.Option(help="Source of variation to leave out; repeatable.")
    ] = None,
    defects: Annotated[
        bool, typer.Option("--defects", help="Plant defects; write the truth beside the data.")
    ] = False,
    workers: Workers = None,
) -> None:
    """Write the embedded data set: simulated EEG of the six classes, competition layout."""
    from ...simulator.sample import write_sample

    refuse_filled(out_folder)
    given = {
        "patients": patients, "test_windows": test_windows, "seed": seed,
        "proportions": proportions, "leave_out": leave_out or None,
    }  # fmt: skip
    given = {name: value for name, value in given.items() if value is not None}
    sizes = checked(SampleParams, ctx.obj.params.sample.model_dump() | given, "sample")
    with progress_bar("sample") as progress:
        write_sample(out_folder, **dict(sizes), defects=defects, workers=workers, progress=progress)
    out.print(f"Data set in {out_folder}/ (train.csv, test.csv and their recordings).")


def refuse_filled(folder: Path) -> None:
    """Raise InputError where a folder to write holds something, or is a file."""
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise InputError(
            f"{folder} must be a new or empty folder, but there is something."
            " Remove it or give another --out."
        )


@app.command()
def keys(
    ctx: typer.Context,
    why: Annotated[
        str | None,
        typer.Option(help="Print what a key covers, such as train.eegnet.", autocompletion=_works),
    ] = None,
) -> None:
    """Write artifacts/keys.yaml: a hash of the code behind every stage, which DVC compares."""
    from ...config.keys import present_keys, write_keys

    context: Context = ctx.obj
    if why:
        from ...code_keys import explain

        for name in explain(context.params.model_dump(mode="json"), why):
            out.print(name)
        return
    write_keys(context.paths, present_keys(context.params))
    out.print(f"Keys: {context.paths.keys}")


@app.command()
def validate(
    ctx: typer.Context,
    report: Annotated[
        bool, typer.Option("--report", help="Print the table of the last validation.")
    ] = False,
    workers: Workers = None,
) -> None:
    """Judge every file and window: keep or quarantine, with the reason."""
    from ...validation import report as validation_report
    from ...validation import stage

    context: Context = ctx.obj
    if not report:
        code_key(context.paths, context.params, "validate")
        with progress_bar("validate") as progress:
            stage.run(context.paths, context.params, workers=workers, progress=progress)
    counts = validation_report.counts(context.paths)
    print_table("Kept and removed", [{"kind": kind} | n for kind, n in counts.items()])
    rows = [asdict(row) for row in validation_report.table(context.paths)]
    print_table(
        "Quarantine by rule",
        [{k: row[k] for k in _RULE} | {"such as": row["examples"][0]} for row in rows],
        "Quarantine: nothing was removed.",
    )
    out.print(f"Quarantine: {context.paths.quarantine}")
    out.print(f"Data Docs:  {context.paths.data_docs / 'index.html'}")


@app.command()
def split(ctx: typer.Context) -> None:
    """Assign patients to folds; known patients keep theirs."""
    from ...datasets import stage

    code_key(ctx.obj.paths, ctx.obj.params, "split")
    summary = stage.run(ctx.obj.paths, ctx.obj.params)
    print_facts(summary)
    out.print(f"Folds: {ctx.obj.paths.folds}")


@app.command()
def features(
    ctx: typer.Context,
    view: View,
    ahead: Annotated[
        bool, typer.Option("--ahead", help="Read each window once, for all views that lack it.")
    ] = False,
    device: Device = "auto",
    workers: Workers = None,
) -> None:
    """Compute one view of every kept window into its store."""
    from ...features import stage

    context: Context = ctx.obj
    with progress_bar(f"features {view}") as progress:
        stage.run(
            context.paths,
            context.params,
            view,
            ahead=ahead,
            device=device,
            workers=workers,
            progress=progress,
        )
    out.print(f"Features: {context.paths.view(view)}")


@app.command()
def train(
    ctx: typer.Context,
    member: Annotated[str, typer.Argument(autocompletion=lambda: recipes_names("members"))],
    folds: Annotated[
        list[int] | None, typer.Argument(metavar="[FOLD]...", help="Folds to train; default: all.")
    ] = None,
    device: Device = "auto",
    again: Annotated[bool, typer.Option("--again", help="Train finished folds again.")] = False,
    track: Annotated[bool, typer.Option(help="Log the runs to MLflow.")] = True,
) -> None:
    """Train a member on its folds; finished folds are reused, interrupted ones continue."""
    from ...training import stage

    context: Context = ctx.obj
    clocks: list[EpochClock] = []

    def callback() -> EpochClock:
        clocks.append(EpochClock(_fold_run(context, track)))
        return clocks[-1]

    with progress_bar(f"train {member}") as progress:
        manifests = stage.run(
            context.paths,
            context.params,
            member,
            folds,
            device=device,
            again=again,
            callback=callback,
            progress=lambda done, total: clocks[-1].step(progress, done, total),
        )
    for clock in clocks:
        if clock.sentence:
            out.print(clock.sentence)
    for fold, manifest in manifests.items():
        kl = ", ".join(f"{name} {cell(value)}" for name, value in manifest["metrics"].items())
        out.print(f"Fold {fold}, KL by votes: {kl}")
    rest = "" if len(clocks) == len(manifests) else "; the others were finished"
    out.print(f"Trained {len(clocks)} of {len(manifests)} folds{rest}.")
    out.print(f"Member: {context.paths.members / member}")


@app.command()
def ensemble(ctx: typer.Context) -> None:
    """Fit and judge the ensemble on the out-of-fold predictions; draw its plots."""
    from ...ensemble import stage
    from ...report.plots import write_ensemble_plots
    from ...training.finished import share_recorded

    context: Context = ctx.obj
    code_key(context.paths, context.params, "ensemble")
    share_recorded(context.paths)
    with progress_bar("ensemble") as progress:
        stage.run(context.paths, context.params, progress=progress)
    write_ensemble_plots(context.paths, context.params)
    print_table("KL divergence (nats) by votes", stage.results_table(context.paths))
    out.print(f"Ensemble: {context.paths.ensemble}")


@app.command()
def student(
    ctx: typer.Context,
    device: Device = "auto",
    track: Annotated[bool, typer.Option(help="Log the runs to MLflow.")] = True,
    starter: Annotated[
        Path | None, typer.Option(help="Also pack it into this folder, without code.")
    ] = None,
    results: Annotated[
        Path | None, typer.Option(help="Markdown that the starter's model card quotes.")
    ] = None,
) -> None:
    """Train one small network to answer as the ensemble does, and compare the two."""
    from ...student import stage
    from ...student.starter import write_starter

    context: Context = ctx.obj
    with progress_bar("student") as progress:
        found = stage.run(
            context.paths,
            context.params,
            device=device,
            callback=partial(_fold_run, context, track),
            progress=progress,
        )
    if not found:
        out.print("The recipe has no student.")
        return
    print_table("KL divergence (nats) by votes", stage.by_votes(found))
    out.print(f"Student: {context.paths.student.ensemble}")
    if starter is not None:
        quoted = results.read_text(encoding="utf-8") if results else ""
        out.print(f"Starter: {write_starter(context.paths, context.params, starter, quoted)}")


def _fold_run(context: Context, track: bool) -> TrainingCallback:
    if not track:
        return TrainingCallback()
    from ...tracking.runs import FoldRun

    return FoldRun(context.paths, context.params)


@app.command()
def results(
    ctx: typer.Context,
    readme: Annotated[
        Path | None, typer.Option(help="Also rewrite the table between this file's marks.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Print the table of results: KL of every member, the equal mean and the ensemble."""
    from ...ensemble import stage

    metrics = ctx.obj.paths.ensemble / stage.METRICS
    if not metrics.exists():
        raise InputError(
            f"Results need a trained ensemble, but {metrics} is missing. Run dvc repro, or without"
            " data of your own make demo."
        )
    rows = stage.results_table(ctx.obj.paths)
    if as_json:
        print_json(rows)
    else:
        print_table("KL divergence (nats) by votes", rows)
    if readme is not None:
        rewrite_between_marks(readme, markdown_table(rows))
        out.print(f"Table rewritten in {readme}.")


@app.command()
def register(ctx: typer.Context) -> None:
    """Register the ensemble and let the gate decide whether it becomes champion."""
    from ...registry import stage

    code_key(ctx.obj.paths, ctx.obj.params, "register")
    result = stage.run(ctx.obj.paths, ctx.obj.params)
    if result["already_registered"]:
        out.print("This content is already registered and judged; nothing was changed.")
        out.print(
            "A changed threshold of the gate judges a refused version anew, and the versions to"
            " come; a promoted one stays."
        )
    for part in filter(None, (result, result["student"])):
        named = f"version {part['version']}" if part["version"] else "no version"
        out.print(f"{part['model']} {named}: {part['verdict']}")
        for reason in part["reasons"]:
            out.print(f"  {reason}")
    out.print(f"Registration: {ctx.obj.paths.registration}")


@app.command()
def recipe(
    ctx: typer.Context,
    name: Annotated[str, typer.Argument(autocompletion=lambda: recipe_names(Path("recipes")))],
) -> None:
    """Write params.yaml from a recipe: recipes/base.yaml and what recipes/NAME.yaml changes."""
    from ...config.recipes import compose, write_recipe

    path = ctx.obj.paths.params
    write_recipe(path, compose(path.parent / "recipes", name))
    out.print(f"{path} is now the recipe {name!r}. Next: dvc repro.")
