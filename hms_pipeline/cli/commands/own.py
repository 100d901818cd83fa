"""Own recordings and labels as a data set to train on."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import typer

from ...config.votes import unmet
from ...schema import VOTE_COLUMNS
from ...system.errors import InputError
from ...system.files import write_csv
from ..app import Context, app, out
from ..progress import progress_bar
from ..tables import print_table
from .score import Rename, label_names
from .stages import refuse_filled

if TYPE_CHECKING:
    from ...config import Params
    from ...data.own.folder import Imported


@app.command("import")
def import_(
    ctx: typer.Context,
    recordings: Annotated[Path, typer.Argument(help="A folder of clinical files, or one file.")],
    labels: Annotated[
        Path, typer.Argument(help="CSV: a table of labels, or of annotations' texts and classes.")
    ],
    out_folder: Annotated[Path, typer.Option("--out", help="New folder.")] = Path("data"),
    patients: Annotated[
        Path | None, typer.Option(help="CSV of file and patient, if LABELS names no patients.")
    ] = None,
    timezone: Annotated[
        str | None, typer.Option(help="Time zone of the recorder, such as Europe/Berlin.")
    ] = None,
    rename: Rename = None,
    secret: Annotated[
        Path | None, typer.Option(help="File whose content is used to compute patients' numbers.")
    ] = None,
    report: Annotated[
        Path | None,
        typer.Option(help="CSV of windows and what was left out; default: OUT-import.csv."),
    ] = None,
) -> None:
    """Turn your recordings and labels into a data set in the competition's layout."""
    from ...data.own.folder import NothingImportedError, Options, import_recordings
    from ...data.own.labels import read_labels
    from ...data.reading import ReadingProcess

    context: Context = ctx.obj
    refuse_filled(out_folder)
    missing = context.params.validation.missing_values
    found = dict(_recordings(recordings))
    said = read_labels(labels, patients)
    beside = report or out_folder.resolve().with_name(f"{out_folder.resolve().name}-import.csv")
    try:
        with ReadingProcess() as reader, progress_bar("import") as progress:
            options = Options(
                reader=reader,
                spectrogram_missing=missing.spectrogram_share if missing.interpolate else 0.0,
                rename=label_names(rename or []),
                zone=_zone(timezone),
                secret=secret.read_bytes() if secret else b"",
            )
            imported = import_recordings(found, said, out_folder, options, progress)
    except NothingImportedError as err:
        write_csv(beside, err.imported.report)
        raise InputError(f"{err} The report is {beside}.") from None
    write_csv(beside, imported.report)
    _show(imported, context.params)
    out.print(f"Data set in {out_folder}/ (train.csv and its recordings).")
    out.print(f"Report, with the files' names: {beside}")


def _recordings(given: Path) -> Iterator[tuple[str, Path]]:
    """Names below the folder and paths."""
    from ...data.content import is_clinical, list_recordings, paths_below

    if not given.exists():
        raise InputError(f"Recordings need a folder or file, but {given} does not exist.")
    if is_clinical(given):
        yield given.name, given
        return
    found = [path for path in list_recordings(paths_below(given)) if is_clinical(path)]
    if not found:
        raise InputError(f"Recordings need clinical files such as EDF, but {given} has none.")
    for path in found:
        yield path.relative_to(given).as_posix(), path


def _zone(name: str | None) -> ZoneInfo | None:
    try:
        return ZoneInfo(name) if name else None
    except (ZoneInfoNotFoundError, ValueError):
        raise InputError(f"--timezone needs a name such as Europe/Berlin, got {name!r}.") from None


def _show(imported: Imported, params: Params) -> None:
    rows, left = imported.rows, imported.left_out
    votes = [sum(row[name] for name in VOTE_COLUMNS) for row in rows]
    if left:
        counts = Counter(item.kind for item in left)
        first = {item.kind: item for item in reversed(left)}
        print_table(
            "Left out",
            [
                {"why": kind, "how many": n, "first": f"{first[kind].file}: {first[kind].reason}"}
                for kind, n in counts.most_common()
            ],
        )
    for remark in (*imported.remarks, *unmet(params, votes)):
        out.print(remark, style="yellow")
    n = {name: len({row[name] for row in rows}) for name in ("file", "eeg_id", "patient_id")}
    out.print(
        f"Imported {len(rows)} windows with {sum(votes)} votes: {n['eeg_id']} EEGs of {n['file']}"
        f" recordings and {n['patient_id']} patients. Left out: {len(left)}; warnings:"
        f" {len(imported.warnings)}."
    )
