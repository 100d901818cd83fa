from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

from hms_pipeline.catalogue import discover
from hms_pipeline.cli import commands
from hms_pipeline.cli.app import run
from tests.own_recordings import noise, write_edf_plus, write_texts

pytest.importorskip("mne")
ROOT = Path(__file__).parents[3]


@pytest.fixture(autouse=True)
def all_commands(monkeypatch: pytest.MonkeyPatch) -> None:
    discover(commands.__name__, list(commands.__path__))
    monkeypatch.chdir(ROOT)


def test_a_recording_of_ten_minutes(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    marks = [(at, 10.0, f"ann: {name}") for at, name in ((20, "gpd"), (295, "lpd"), (300, "lpd"))]
    (tmp_path / "in").mkdir()
    write_edf_plus(tmp_path / "in" / "rec.edf", noise(0, 600), marks)
    texts, out = write_texts(tmp_path / "texts.csv"), tmp_path / "data"
    command = ["import", str(tmp_path / "in"), str(texts), "--out", str(out)]
    assert run(command) == 0
    said = " ".join(capsys.readouterr().out.split())
    assert "Imported 2 windows with 2 votes: 1 EEGs of 1 recordings and 1 patients" in said
    assert "Left out: 1; warnings: 0." in said
    assert "under ten minutes" in said
    assert "training.stages 'stage2' is left out: it takes windows with 10 or more votes" in said
    assert "The gate judges on all windows: gate.min_votes is 10" in said
    report = pd.read_csv(tmp_path / "data-import.csv")
    assert report["what"].tolist() == ["under ten minutes", "window", "window"]
    assert report["file"].eq("rec.edf").all()
    assert {path.name for path in out.iterdir()} == {
        "train.csv", "train_eegs", "train_spectrograms"
    }  # fmt: skip
    assert run(command) == 2
    assert "new or empty folder" in capsys.readouterr().err


def test_where_nothing_is_left_the_report_is_written(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = write_edf_plus(tmp_path / "rec.edf", noise(0, 60))
    labels = tmp_path / "labels.csv"
    labels.write_text("file,start_s,class\nrec.edf,20,lpd\n")
    assert run(["import", str(path), str(labels), "--out", str(tmp_path / "data")]) == 2
    said = capsys.readouterr().err
    assert "1 under ten minutes" in said
    assert str(tmp_path / "data-import.csv") in said
    assert (tmp_path / "data-import.csv").is_file()
    assert not (tmp_path / "data").exists()


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ("nowhere LABELS", "nowhere does not exist"),
        ("EMPTY LABELS", "has none"),
        ("RECORDING nowhere.csv", "nowhere.csv cannot be read"),
        ("RECORDING LABELS --timezone Mars/Base", "Europe/Berlin"),
        ("RECORDING LABELS --rename Fz", "LABEL=ELECTRODE"),
        ("RECORDING LABELS --secret nowhere", "nowhere"),
        ("RECORDING LABELS --out README.md", "README.md must be a new or empty folder"),
    ],
)
def test_bad_input_is_one_line(
    options: str, said: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    places = {name: tmp_path / name for name in ("EMPTY", "LABELS", "RECORDING")}
    places["EMPTY"].mkdir()
    places["RECORDING"] = write_edf_plus(tmp_path / "rec.edf", noise(0, 2))
    places["LABELS"].write_text("file,start_s,class\nrec.edf,20,lpd\n")
    words = [str(places.get(word, word)) for word in options.split()]
    if "--out" not in words:
        words += ["--out", str(tmp_path / "data")]
    assert run(["import", *words]) == 2
    shown = capsys.readouterr().err.strip()
    assert said in shown
    assert len(shown.splitlines()) == 1
