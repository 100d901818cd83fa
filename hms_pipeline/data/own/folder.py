"""Recordings and labels → a folder in the competition's layout, and a report beside it.

The folder holds numbers only. The report names the files as the user does, so it stays with them.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import tzinfo
from pathlib import Path
from typing import Any

import pandas as pd

from ...schema import SFREQ, TRAIN_COLUMNS, WINDOW_S, WINDOW_SAMPLES
from ...system.errors import InputError
from ...system.files import atomic, write_csv
from ...system.progress import Progress, silent
from ..reading import Reader
from .cut import Cut, cut_recording, make_id
from .header import Header, mark_texts, read_header
from .labels import ONE_READER, Label, Labels, LeftOut
from .names import Names, patient_number
from .report import Imported, NothingImportedError
from .votes import Timed, count_votes

MOST_TEXTS = 5  # texts of annotations that are no labels, quoted for each file


@dataclass(frozen=True)
class Options:
    """How recordings are read.

    Parameters
    ----------
    reader : Reader
        Opens recordings and names them by their content.
    spectrogram_missing : float
        Largest share of a window's ten minutes that may not have been recorded.
    rename : mapping of str to str
        Label in the files → electrode.
    zone : tzinfo or None
        Of the recorders' clocks, and of labels that state none.
    secret : bytes
        Enters the numbers of patients that are named.
    """

    reader: Reader
    spectrogram_missing: float
    rename: Mapping[str, str] = field(default_factory=dict)
    zone: tzinfo | None = None
    secret: bytes = b""


def import_recordings(
    recordings: Mapping[str, Path],
    labels: Labels,
    out: Path,
    options: Options,
    progress: Progress = silent,
) -> Imported:
    """Write the competition's folder; a recording that cannot be used is left out and listed.

    Parameters
    ----------
    recordings : mapping of str to Path
        Name relative to the folder of recordings, with ``/`` → file.
    labels : Labels
    out : Path
        New or empty folder.
    options : Options
    progress : callable, optional
        Called with recordings done and in all.

    Returns
    -------
    Imported

    Raises
    ------
    NothingImportedError
    InputError
        Two numbers made of different content are equal; chance gives that once in millions of
        imports.
    """
    imported = Imported(left_out=list(labels.left_out))
    names = Names(recordings)
    found = _of_recordings(labels, recordings, names, imported)
    patients = _patients(labels, found, names, imported)
    run = _Import(labels, options, imported, patients)
    with atomic(Path(out)) as folder:
        for kind in ("eegs", "spectrograms"):
            (folder / f"train_{kind}").mkdir(parents=True)
        for done, (name, given) in enumerate(found.items(), 1):
            try:
                run.add(folder, name, recordings[name], given)
            except InputError as err:
                reason = f"{err} Its labels: {len(given)}." if given else str(err)
                imported.left_out.append(LeftOut(name, None, None, "recording", reason))
            progress(done, len(found))
        if not imported.rows:
            raise NothingImportedError(imported)
        _write_train(folder / "train.csv", imported.rows)
    return imported


def _of_recordings(
    labels: Labels, recordings: Mapping[str, Path], names: Names, imported: Imported
) -> dict[str, list[Label]]:
    """Recording → its labels; where annotations are the labels, every recording and none yet."""
    if labels.texts:
        return {name: [] for name in recordings}
    found: dict[str, list[Label]] = defaultdict(list)
    for file, given in labels.by_file.items():
        try:
            found[names.find(file)] += given
        except InputError as err:
            imported.left_out += [
                LeftOut(file, label.row, None, "file not found", str(err)) for label in given
            ]
    silent = len(recordings) - len(found)
    if silent:
        imported.remarks.append(f"{silent} of {len(recordings)} recordings have no labels.")
    readers = {label.reader for given in found.values() for label in given}
    if readers == {ONE_READER}:
        imported.remarks.append("No reader is named: all labels count as one reader's.")
    return dict(sorted(found.items()))


def _patients(
    labels: Labels, found: Mapping[str, list[Label]], names: Names, imported: Imported
) -> dict[str, set[str]]:
    patients: dict[str, set[str]] = defaultdict(set)
    for file, named in labels.patients.items():
        try:
            patients[names.find(file)] |= named
        except InputError as err:
            if file not in labels.by_file:  # otherwise the labels' own message names it
                imported.left_out.append(LeftOut(file, None, None, "file not found", str(err)))
    alone = len(found.keys() - patients.keys())
    if alone:
        imported.remarks.append(
            f"{alone} of {len(found)} recordings name no patient: each counts as a patient of its"
            " own. Several recordings of one patient then fall into different folds."
        )
    return patients


class _Import:
    """Adds recordings one by one, and keeps what must not occur twice."""

    def __init__(
        self, labels: Labels, options: Options, imported: Imported, patients: Mapping[str, set[str]]
    ) -> None:
        self._labels, self._options, self._imported = labels, options, imported
        self._patients = patients
        self._contents: dict[str, str] = {}  # hash → name
        self._numbers: dict[int, str] = {}  # patient's number → patient

    def add(self, folder: Path, name: str, path: Path, given: Sequence[Label]) -> None:
        """Write one recording's files and note its rows.

        Raises
        ------
        InputError
            It cannot be used; nothing of it stays.
        """
        content = self._content(name, path)
        patient_id = self._patient_id(name, content)
        recording = self._options.reader.open(path, self._options.rename, {})
        if recording.n_times < WINDOW_SAMPLES:
            raise InputError(
                f"A window needs {WINDOW_S:g} s of EEG, but {path.name} has"
                f" {recording.n_times / SFREQ:g} s. Give a longer recording."
            )
        self._imported.warnings += [(name, text) for text in recording.warnings]
        votes, left_out = count_votes(self._timed(name, path, recording.n_times / SFREQ, given))
        cut = Cut(left_out=left_out)
        try:
            cut_recording(recording, votes, content, folder, self._options.spectrogram_missing, cut)
        except InputError:
            for written in cut.paths:
                written.unlink(missing_ok=True)
            raise
        self._imported.rows += [row | {"file": name, "patient_id": patient_id} for row in cut.rows]
        self._imported.left_out += [left._replace(file=name) for left in cut.left_out]

    def _content(self, name: str, path: Path) -> str:
        content = self._options.reader.identify(path)
        other = self._contents.setdefault(content, name)
        if other != name:
            raise InputError(
                f"A recording needs content of its own, but {name} has that of {other}."
                " Label one of them."
            )
        return content

    def _patient_id(self, name: str, content: str) -> int:
        named = sorted(self._patients.get(name, ()))
        if len(named) > 1:
            raise InputError(
                f"A recording is of one patient, but {name} names {named}. Correct it."
            )
        number = patient_number(named[0], self._options.secret) if named else None
        number = make_id("patient", content) if number is None else number
        meaning = named[0] if named else content
        if self._numbers.setdefault(number, meaning) != meaning:
            raise InputError(f"The patient of {name} has another one's number. Rename the patient.")
        return number

    def _timed(
        self, name: str, path: Path, duration_s: float, given: Sequence[Label]
    ) -> list[Timed]:
        if all(isinstance(label.when, float) for label in given) and given:
            return [Timed(label, float(label.when)) for label in given]
        header = read_header(path, duration_s, self._options.zone)
        if self._labels.texts:
            return self._marked(name, header)
        timed = []
        for label in given:
            try:
                timed.append(Timed(label, header.clock.seconds(str(label.when))))
            except InputError as err:
                self._imported.left_out.append(LeftOut(name, label.row, None, "time", str(err)))
        return timed

    def _marked(self, name: str, header: Header) -> list[Timed]:
        timed: list[Timed] = []
        others: Counter[str] = Counter()
        for onset_s, duration_s, text in header.marks:
            known = [t for t in mark_texts(text) if t in self._labels.texts]
            if not known:
                others[text] += 1
                continue
            reader, votes = self._labels.texts[known[0]]
            timed.append(Timed(Label(None, onset_s, duration_s, votes, reader), onset_s))
        if others:
            texts = [text for text, _ in others.most_common(MOST_TEXTS)]
            self._imported.warnings.append(
                (name, f"{others.total()} annotations have other texts, no labels: {texts}.")
            )
        if not timed:
            reason = "No annotation has a text that the table of texts names."
            self._imported.left_out.append(LeftOut(name, None, None, "no labels", reason))
        return timed


def _write_train(path: Path, rows: Sequence[Mapping[str, Any]]) -> None:
    table = pd.DataFrame(rows, columns=list(TRAIN_COLUMNS))
    if table["label_id"].duplicated().any():
        raise InputError(
            "Two windows have one number by chance. Shift one label by a second, or leave it out."
        )
    table = table.sort_values(["eeg_id", "eeg_sub_id"])
    write_csv(path, table)
