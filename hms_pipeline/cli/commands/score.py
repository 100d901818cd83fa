"""Scoring: folders, EEG parquets and clinical files, by the registered champion."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from functools import partial
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ...system.errors import InputError
from ..app import ANSWERING, Context, app, note, out
from ..progress import progress_bar
from ..tables import Json, print_json
from .stages import Device

if TYPE_CHECKING:
    from ...config.scoring import ScoringParams
    from ...inference.predictor import Predictor
    from ...scoring.archive import Job
    from ...scoring.batch import BatchSummary

MOST_SAID = 5  # kinds of warnings that a submission prints

Rename = Annotated[
    list[str] | None, typer.Option(help="Map a label to an electrode: LABEL=Fz; repeatable.")
]
Model = Annotated[
    str | None,
    typer.Option(
        help="champion, student, student@N, starter, a version, URI or bundle's folder.",
        autocompletion=lambda: ANSWERING,
    ),
]


@app.command()
def score(
    ctx: typer.Context,
    inputs: Annotated[list[Path], typer.Argument(help="Folders, EEG parquets, clinical files.")],
    out_file: Annotated[Path, typer.Option("--out", help=".csv or .parquet.")] = Path("scores.csv"),
    report: Annotated[Path | None, typer.Option(help="Folder for HTML reports.")] = None,
    annotations: Annotated[
        Path | None, typer.Option(help="Folder for annotation files that MNE reads.")
    ] = None,
    model: Model = None,
    explain: Annotated[
        bool, typer.Option("--explain", help="Report what masking each region and 5 s changes.")
    ] = False,
    rename: Rename = None,
    keep_names: Annotated[
        bool, typer.Option("--keep-names", help="Name clinical recordings by their files.")
    ] = False,
    engine: Annotated[
        str, typer.Option(help="local, or ray for an existing cluster; --out is then a folder.")
    ] = "local",
    device: Device = "auto",
    as_json: Json = False,
) -> None:
    """Score recordings; a killed run continues where it stopped."""
    from ...registry.scoring import open_bundle
    from ...scoring.archive import Job
    from ...scoring.batch import TABLES, check_out, score_inputs
    from ...scoring.explain import explain as explain_window
    from ...scoring.inputs import need_inputs

    context: Context = ctx.obj
    if explain and report is None:
        raise InputError("--explain needs --report DIR, a folder for the pages that show it.")
    renames = label_names(rename or [])
    if engine != "local":
        refuse_for_archive(engine, out_file, report or annotations)
    else:
        check_out(out_file, TABLES)
        need_inputs(inputs)  # what is not there is refused before the model is looked for
    predictor, facts = open_predictor(context, model, device)
    scoring = settings(context, predictor)
    if engine != "local":
        job = Job(
            partial(open_bundle, predictor.bundle.folder.resolve(), device=device),
            *(predictor.content_hash, out_file, scoring, renames, keep_names),
        )
        summary = score_on_cluster(context, job, inputs, wants_gpu=device != "cpu")
        say(summary, facts, as_json=as_json)
        return
    why = partial(explain_window, predictor) if explain else None
    writer = None
    if report or annotations:
        from ..pages import PageWriter  # with matplotlib, and all that draws

        writer = PageWriter(report, annotations, facts, why)
    with progress_bar("score") as progress:
        summary = score_inputs(
            predictor,
            inputs,
            out_file,
            scoring,
            rename=renames,
            keep_names=keep_names,
            on_recording=writer,
            is_reported=writer.is_done if writer else None,
            processes=True,
            progress=progress,
        )
    if writer:
        writer.write_folder(summary, predictor, inputs, scoring.notable)
    say(summary, facts, report, as_json=as_json)


def say(
    summary: BatchSummary, facts: dict[str, Any], report: Path | None = None, *, as_json: bool
) -> None:
    """Tell what was scored, and where it is."""
    out.print(f"Scored windows: {summary.n_scored} (resumed: {summary.n_resumed})")
    for name, reason in summary.failed:
        out.print(f"Set aside: {name}: {reason}", style="yellow")
    if summary.errors:
        out.print(f"Set aside, with reasons: {summary.errors}")
    out.print(f"Scores: {summary.out}")
    if as_json:
        print_json({**asdict(summary), "report": report, "model": facts})


def refuse_for_archive(engine: str, folder: Path, pages: Path | None) -> None:
    """Raise InputError for what a cluster cannot do."""
    if engine != "ray":
        raise InputError(f"Unknown --engine {engine!r}. Choose one of ['local', 'ray'].")
    if pages is not None:
        raise InputError(
            "--engine ray writes scores alone. Leave --report and --annotations out, or score the"
            " recordings of interest without --engine."
        )
    if folder.suffix or folder.is_file():
        raise InputError(
            f"--engine ray needs a folder for its data set, but --out is {folder}. Give another."
        )


def score_on_cluster(
    context: Context, job: Job, inputs: Sequence[Path], *, wants_gpu: bool
) -> BatchSummary:
    """Score an archive on the Ray cluster that section `retrain` names."""
    from ...scoring.archive import score_archive
    from ...system.cluster import connect, own_code, spread
    from ...system.worker import ROOT

    settings = context.params.retrain.ray
    ray = connect(settings.address, env=own_code(ROOT))
    gpus = int(wants_gpu and ray.cluster_resources().get("GPU", 0) > 0)
    try:
        with progress_bar("score") as progress:
            run = spread(ray, gpus=gpus, retries=settings.retries)
            return score_archive(job, inputs, run, progress)
    finally:
        ray.shutdown()


@app.command()
def submission(
    ctx: typer.Context,
    data: Annotated[Path, typer.Argument(help="A competition folder with test.csv.")],
    out_file: Annotated[Path, typer.Option("--out")] = Path("submission.csv"),
    model: Model = None,
    device: Device = "auto",
) -> None:
    """Write Kaggle's submission.csv, checked as Kaggle checks it."""
    from ...data.competition import read_test
    from ...scoring.batch import check_out, write_submission

    check_out(out_file)
    read_test(data)
    predictor, _ = open_predictor(ctx.obj, model, device)
    with progress_bar("submission") as progress:
        params = settings(ctx.obj, predictor)
        written = write_submission(
            predictor, data, out_file, params, processes=True, progress=progress
        )
    for said, n in islice(written.warnings.items(), MOST_SAID):
        note(f"{n} of {written.n_scored} windows: {said}")
    if len(written.warnings) > MOST_SAID:
        note(f"and {len(written.warnings) - MOST_SAID} other warnings")
    out.print(f"Submission: {written.out}")


@app.command()
def export(
    ctx: typer.Context,
    out_file: Annotated[Path, typer.Argument(metavar="OUT.zip", help="To write or replace.")],
    model: Model = None,
) -> None:
    """Pack a model and its code for offline notebooks with torch (docs/how-to/kaggle.md)."""
    from ...inference.export import write_zip

    predictor, facts = open_predictor(ctx.obj, model, "cpu")
    written = write_zip(predictor.bundle.folder, out_file)
    named = f"version {facts['version']}" if facts["version"] else model or "the starter"
    out.print(f"Export: {written}, {written.stat().st_size / 1e6:.1f} MB, {named}")


def settings(context: Context, predictor: Predictor) -> ScoringParams:
    """Settings to score with; tells the user which of the recipe's do not count."""
    from ...config.members import STARTER_FOLDER
    from ...registry.scoring import scoring_settings

    found, ignored = scoring_settings(context.paths, predictor.bundle.params.scoring)
    if ignored and predictor.bundle.folder != STARTER_FOLDER:
        note(
            f"scoring.{', scoring.'.join(ignored)}: the version's own values are used, not those of"
            " the recipe, which differ. To use the recipe's, run hms register and then hms promote."
        )
    return found


def open_predictor(context: Context, model: str | None, device: str) -> tuple[Any, dict[str, Any]]:
    """The predictor that ``--model`` names, and what a report says of it."""
    from ...registry import api, scoring
    from ...registry.choice import choose

    chosen = choose(context.paths, model)
    if chosen.folder is not None:
        version, predictor = None, scoring.open_bundle(chosen.folder, device=device)
    else:
        version, predictor = scoring.open_predictor(chosen.paths, chosen.version, device=device)
    facts = {
        "model": chosen.name,
        "version": version,
        "recipe": predictor.bundle.params.recipe,
        "content_hash": predictor.content_hash,
    }
    if version is not None:
        facts |= api.origin_of(chosen.paths, version)
    if chosen.note is not None:
        facts["note"] = chosen.note
        note(chosen.note)
    return predictor, facts


def label_names(pairs: Sequence[str]) -> dict[str, str]:
    """``LABEL=ELECTRODE`` as a mapping; raises InputError for anything else."""
    for pair in pairs:
        if "=" not in pair:
            raise InputError(f"--rename needs LABEL=ELECTRODE, got {pair!r}. Example: FPZ=Fz.")
    return dict(pair.split("=", 1) for pair in pairs)
