from __future__ import annotations

import datetime as dt
import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from hms_pipeline.data.competition import eeg_path, read_train
from hms_pipeline.data.own.folder import Options, import_recordings
from hms_pipeline.data.own.labels import read_labels
from hms_pipeline.data.own.names import Names
from hms_pipeline.data.own.report import Imported, NothingImportedError
from hms_pipeline.data.reading import Reader
from hms_pipeline.data.window import WindowReader
from hms_pipeline.schema import SFREQ, TRAIN_COLUMNS, VOTE_COLUMNS
from hms_pipeline.system.errors import InputError
from tests.own_recordings import NAME, READERS, STEP_UV, noise, pause, write_edf_plus, write_texts

pytest.importorskip("mne")
START = dt.datetime(2026, 3, 1, 22, 15, 0)
SECONDS = 80


@pytest.fixture(scope="module")
def hospital(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Three recordings of 80 s; the first two hold labels of three readers."""
    root = tmp_path_factory.mktemp("hospital")
    (root / "ward").mkdir()
    marks = [
        (20.0, 10.0, "ann: lpd"), (20.0, 10.0, "bob: lpd"), (20.0, 10.0, "cyd: gpd"),
        (45.5, 10.0, "ann: seizure"), (3.0, None, NAME),
    ]  # fmt: skip
    names = {"doe_a.edf": marks, "ward/doe_b.edf": marks[:2], "ward/doe_c.edf": []}
    for number, (name, given) in enumerate(names.items()):
        write_edf_plus(root / name, noise(number, SECONDS), given, start=START)
    return {name: root / name for name in names}


def table(path: Path, *rows: str, header: str = "file,start_s,class,reader,patient") -> Path:
    path.write_text("\n".join([header, *rows]) + "\n")
    return path


def run(
    recordings: Mapping[str, Path], labels: Path, out: Path, patients: Path | None = None, **options
) -> Imported:
    given = Options(**{"reader": Reader(), "spectrogram_missing": 1.0} | options)
    return import_recordings(recordings, read_labels(labels, patients), out, given)


def all_bytes(folder: Path) -> dict[str, bytes]:
    files = (path for path in folder.rglob("*") if path.is_file())
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in files}


def test_annotations_of_three_readers_become_votes(
    hospital: dict[str, Path], tmp_path: Path
) -> None:
    imported = run(hospital, write_texts(tmp_path / "texts.csv"), tmp_path / "data")
    train = read_train(tmp_path / "data")
    assert list(pd.read_csv(tmp_path / "data" / "train.csv").columns) == list(TRAIN_COLUMNS)
    found = {
        (row["file"], row["start_s"]): tuple(row[name] for name in VOTE_COLUMNS)
        for row in imported.rows
    }
    assert found == {
        ("doe_a.edf", 20.0): (0, 2, 1, 0, 0, 0),
        ("doe_a.edf", 45.5): (1, 0, 0, 0, 0, 0),
        ("ward/doe_b.edf", 20.0): (0, 2, 0, 0, 0, 0),
    }
    assert sorted(train["expert_consensus"]) == ["LPD", "LPD", "Seizure"]
    assert [left.kind for left in imported.left_out] == ["no labels"]
    assert any(NAME in text for _, text in imported.warnings)
    assert "name no patient" in imported.remarks[0]
    assert train["patient_id"].nunique() == 2


def test_windows_hold_the_files_samples_to_the_formats_step(
    hospital: dict[str, Path], tmp_path: Path
) -> None:
    imported = run(hospital, write_texts(tmp_path / "texts.csv"), tmp_path / "data")
    reader = WindowReader(tmp_path / "data")
    for row in imported.rows:
        start = round((row["start_s"] - 20) * SFREQ)
        truth = noise(list(hospital).index(row["file"]), SECONDS)[:, start : start + 10_000]
        assert np.abs(reader.read(row).eeg - truth).max() <= STEP_UV / 2 + 1e-4


def test_seconds_and_the_clock_say_the_same(hospital: dict[str, Path], tmp_path: Path) -> None:
    seconds = table(tmp_path / "a.csv", "doe_a.edf,25.5,lpd,ann,P1", "doe_b.edf,40,gpd,ann,P2")
    clock = table(
        tmp_path / "b.csv",
        "doe_a.edf,2026-03-01T22:15:25.5,lpd,ann,P1",
        "doe_b.edf,22:15:40,gpd,ann,P2",
        header="file,onset,class,reader,patient",
    )
    run(hospital, seconds, tmp_path / "one")
    run(hospital, clock, tmp_path / "two")
    assert all_bytes(tmp_path / "one") == all_bytes(tmp_path / "two")


def test_an_onset_outside_costs_its_label(hospital: dict[str, Path], tmp_path: Path) -> None:
    labels = table(
        tmp_path / "labels.csv",
        "doe_a.edf,22:15:30,lpd", "doe_a.edf,2025-03-01T22:15:30,lpd", "doe_a.edf,noon,lpd",
        "doe_a.edf,2026-03-01T22:15:30Z,lpd",
        header="file,onset,class",
    )  # fmt: skip
    imported = run(hospital, labels, tmp_path / "data")
    assert len(imported.rows) == 1
    kinds = sorted(left.kind for left in imported.left_out)
    assert kinds == ["outside the recording", "time", "time"]
    assert "No reader is named" in " ".join(imported.remarks)


def test_one_bad_file_costs_one_file(hospital: dict[str, Path], tmp_path: Path) -> None:
    broken, short = tmp_path / "broken.edf", tmp_path / "short.edf"
    broken.write_bytes(hospital["doe_a.edf"].read_bytes()[:3_000])
    write_edf_plus(short, noise(9, 49))
    copy = tmp_path / "copy.edf"
    copy.write_bytes(hospital["doe_a.edf"].read_bytes())
    recordings = {"broken.edf": broken, **hospital, "short.edf": short, "z.edf": copy}
    rows = [f"{name},25,lpd,ann," for name in ("doe_a.edf", *recordings, "none.edf")]
    imported = run(recordings, table(tmp_path / "labels.csv", *rows), tmp_path / "data")
    assert {row["file"] for row in imported.rows} == set(hospital)
    said = {left.file: (left.kind, left.reason) for left in imported.left_out}
    assert said.keys() == {"broken.edf", "short.edf", "z.edf", "none.edf", "doe_a.edf"}
    assert said["short.edf"][0] == "recording"
    assert "has 49 s" in said["short.edf"][1]
    assert "that of doe_a.edf" in said["z.edf"][1]
    assert said["none.edf"][0] == "file not found"
    assert said["doe_a.edf"][0] == "repeat"


class HalfDamaged(Reader):
    """Long recordings, of which the first cannot be read to its end."""

    def open(self, path: Path, rename: Mapping[str, str], limits: Mapping[str, object]) -> Long:
        return Long(fails=path.name == "doe_a.edf")


@dataclass(frozen=True)
class Long:
    fails: bool
    name: str = "rec.edf"
    n_times: int = 800_000
    pauses: tuple[tuple[int, int], ...] = ()
    warnings: tuple[str, ...] = ()

    def read(self, start: int, stop: int) -> np.ndarray:
        if self.fails and stop > 600_000:
            raise InputError("The file is damaged.")
        shape = (20, stop - start)
        return np.random.default_rng(abs(start)).normal(size=shape).astype(np.float32)


def test_a_recording_that_fails_half_way_leaves_nothing(
    hospital: dict[str, Path], tmp_path: Path
) -> None:
    rows = [f"{name},{at},lpd,ann," for name in ("doe_a.edf", "doe_b.edf") for at in (400, 3400)]
    labels = table(tmp_path / "labels.csv", *rows)
    imported = run(hospital, labels, tmp_path / "data", reader=HalfDamaged())
    assert {row["file"] for row in imported.rows} == {"ward/doe_b.edf"}
    assert len(list((tmp_path / "data").rglob("*.parquet"))) == 4
    assert imported.left_out[0].reason == "The file is damaged. Its labels: 2."


def test_numbers_stay_when_files_are_added(hospital: dict[str, Path], tmp_path: Path) -> None:
    rows = [f"{name},{at},lpd,ann,{name[0]}" for name in hospital for at in (25, 40)]
    few = table(tmp_path / "few.csv", *rows[:2])
    many = table(tmp_path / "many.csv", *reversed(rows))
    run({"doe_a.edf": hospital["doe_a.edf"]}, few, tmp_path / "few")
    run(hospital, many, tmp_path / "many")
    run(dict(reversed(hospital.items())), many, tmp_path / "again")
    assert all_bytes(tmp_path / "many") == all_bytes(tmp_path / "again")
    before, after = read_train(tmp_path / "few"), read_train(tmp_path / "many")
    merged = before.merge(after, how="left", on="label_id", suffixes=("", "_after"))
    for name in TRAIN_COLUMNS:
        assert merged[name].equals(merged.get(f"{name}_after", merged[name]))
    files = all_bytes(tmp_path / "many")
    assert all(files[n] == b for n, b in all_bytes(tmp_path / "few").items() if n != "train.csv")


def test_nothing_of_a_header_or_name_is_written(hospital: dict[str, Path], tmp_path: Path) -> None:
    rows = [f"{name},25,lpd,{READERS[0]},{NAME}" for name in hospital]
    run(hospital, table(tmp_path / "labels.csv", *rows), tmp_path / "data")
    read_train(tmp_path / "data")  # numbers, and classes in one column
    for name, content in all_bytes(tmp_path / "data").items():
        assert Path(name).stem.isdigit() or name == "train.csv"
        for text in (NAME, NAME.replace(" ", "_"), "MRN12345", "doe_", "22.15.00", "01-MAR-2026"):
            assert text.encode() not in content


@pytest.mark.parametrize("named", ["P1", "P1 "])
def test_recordings_of_one_patient_have_one_number(
    hospital: dict[str, Path], tmp_path: Path, named: str
) -> None:
    labels = table(
        tmp_path / "labels.csv", "doe_a.edf,25,lpd,ann,P1", f"doe_b.edf,25,lpd,ann,{named}",
        "doe_c.edf,25,lpd,ann,",
    )  # fmt: skip
    imported = run(hospital, labels, tmp_path / "data")
    one, two, alone = (row["patient_id"] for row in imported.rows)
    assert one == two != alone
    assert "1 of 3 recordings name no patient" in imported.remarks[0]


def test_a_secret_changes_the_numbers_of_named_patients_only(
    hospital: dict[str, Path], tmp_path: Path
) -> None:
    labels = table(tmp_path / "labels.csv", "doe_a.edf,25,lpd,ann,P1", "doe_b.edf,25,lpd,ann,")
    plain = run(hospital, labels, tmp_path / "plain").rows
    secret = run(hospital, labels, tmp_path / "secret", secret=b"x").rows
    changed = [{k for k in a if a[k] != b[k]} for a, b in zip(plain, secret, strict=True)]
    assert changed == [{"patient_id"}, set()]


def test_a_recording_of_two_patients_is_left_out(hospital: dict[str, Path], tmp_path: Path) -> None:
    labels = table(
        tmp_path / "labels.csv", "doe_a.edf,25,lpd,ann,P1", "doe_a.edf,40,lpd,ann,P2",
        "doe_b.edf,25,lpd,ann,P2",
    )  # fmt: skip
    imported = run(hospital, labels, tmp_path / "data")
    assert [row["file"] for row in imported.rows] == ["ward/doe_b.edf"]
    assert "['P1', 'P2']" in imported.left_out[0].reason


def test_patients_of_annotated_files(hospital: dict[str, Path], tmp_path: Path) -> None:
    patients = table(
        tmp_path / "p.csv", "doe_a.edf,P1", "doe_b.edf,P1", "doe_d.edf,P1", header="file,patient"
    )
    texts = write_texts(tmp_path / "texts.csv")
    imported = run(hospital, texts, tmp_path / "data", patients)
    assert len({row["patient_id"] for row in imported.rows}) == 1
    assert ("doe_d.edf", "file not found") in [(x.file, x.kind) for x in imported.left_out]


def test_where_nothing_is_left_no_folder_is_made(hospital: dict[str, Path], tmp_path: Path) -> None:
    labels = table(tmp_path / "labels.csv", "doe_a.edf,75,lpd,ann,", "doe_a.edf,5,spike,ann,")
    with pytest.raises(NothingImportedError, match="1 class, 1 outside the recording") as caught:
        run(hospital, labels, tmp_path / "data")
    assert not (tmp_path / "data").exists()
    assert set(caught.value.imported.report["what"]) == {"class", "outside the recording"}


def test_labels_around_a_pause(tmp_path: Path) -> None:
    """Recorded from 0 to 75 s and from 105 to 180 s."""
    marks = [(at, 10.0, "ann: lpd") for at in (40.0, 50.0, 125.0, 130.0)]
    eeg = noise(5, 150)
    path = pause(write_edf_plus(tmp_path / "rec.edf", eeg, marks), 75, 30)
    texts = write_texts(tmp_path / "texts.csv")
    imported = run({"rec.edf": path}, texts, tmp_path / "data")
    assert [row["start_s"] for row in imported.rows] == [40.0, 125.0, 130.0]
    assert [(left.kind, left.start_s) for left in imported.left_out] == [("pause", 50.0)]
    reader = WindowReader(tmp_path / "data")
    for row, sample in zip(imported.rows, (4_000, 15_000, 16_000), strict=True):
        truth = eeg[:, sample : sample + 10_000]
        assert np.abs(reader.read(row).eeg - truth).max() <= STEP_UV / 2 + 1e-4


def test_six_votes(hospital: dict[str, Path], tmp_path: Path) -> None:
    header = f"file,start_s,{','.join(VOTE_COLUMNS)}"
    labels = table(tmp_path / "labels.csv", "doe_a.edf,25,0,3,0,0,0,4", header=header)
    (row,) = run(hospital, labels, tmp_path / "data").rows
    assert (row["lpd_vote"], row["other_vote"], row["expert_consensus"]) == (3, 4, "Other")
    assert eeg_path(tmp_path / "data", row["eeg_id"]).is_file()


@pytest.mark.parametrize(
    "written", ["ward/rec é.edf", "./ward/rec é.edf", "ward\\rec é.edf", "rec é.edf"]
)
@pytest.mark.parametrize("form", ["NFC", "NFD"])
def test_names_as_people_write_them(written: str, form: str) -> None:
    stored = unicodedata.normalize(form, "ward/rec é.edf")
    assert Names([stored, "a.edf", "b/a.edf", "c/d.edf", "e/d.edf"]).find(written) == stored


def test_names_that_are_not_one_recording() -> None:
    names = Names(["a.edf", "b/a.edf", "c/d.edf", "e/d.edf"])
    assert names.find("a.edf") == "a.edf"
    for written in ("d.edf", "a", "x/a.edf", "A.edf"):
        with pytest.raises(InputError):
            names.find(written)
