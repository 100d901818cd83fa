"""Forty hospital files with annotations of three readers, from import to validation."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from hms_pipeline.config import Paths
from hms_pipeline.data.competition import read_train
from hms_pipeline.data.own.folder import Options, import_recordings
from hms_pipeline.data.own.labels import read_labels
from hms_pipeline.data.reading import Reader
from hms_pipeline.data.window import WindowReader
from hms_pipeline.schema import CLASSES, SFREQ, VOTE_COLUMNS
from hms_pipeline.validation import stage
from tests.own_recordings import STEP_UV, write_hospital, write_texts
from tests.recipes import recipe

pytest.importorskip("mne")
pytestmark = pytest.mark.slow


def test_forty_recordings(tmp_path: Path) -> None:
    made = write_hospital(tmp_path / "hospital", 40, 660, 60)
    labels = read_labels(write_texts(tmp_path / "texts.csv"))
    recordings = {one.path.name: one.path for one in made}
    options = Options(reader=Reader(), spectrogram_missing=0.1)
    imported = import_recordings(recordings, labels, tmp_path / "data", options)
    assert not imported.left_out
    for one in made:
        rows = [row for row in imported.rows if row["file"] == one.path.name]
        _same_votes(rows, one.marks)
        _same_samples(rows, one.eeg, WindowReader(tmp_path / "data"))
    _validated(tmp_path, len(imported.rows))


def _same_votes(rows: list[dict], marks: tuple[tuple[float, float, str], ...]) -> None:
    expected: dict[float, list[int]] = {}
    for onset, _, text in marks:
        votes = expected.setdefault(onset, [0] * len(CLASSES))
        votes[CLASSES.index(text.split(": ")[1])] += 1
    assert {row["start_s"]: [row[name] for name in VOTE_COLUMNS] for row in rows} == expected


def _same_samples(rows: list[dict], eeg: np.ndarray, reader: WindowReader) -> None:
    for row in rows:
        start = round((row["start_s"] - 20) * SFREQ)
        window = reader.read(row)
        away = np.abs(window.eeg - eeg[:, start : start + 10_000]).max()
        assert away <= STEP_UV / 2 + 1e-4
        assert np.isfinite(window.spectrogram).all(axis=(0, 1)).mean() >= 0.9


def _validated(folder: Path, n_windows: int) -> None:
    paths = Paths(folder / "data", folder / "artifacts", folder / "params.yaml")
    summary = stage.run(paths, recipe("tiny"), workers=1)
    assert summary["counts"]["window"] == {"all": n_windows, "kept": n_windows, "quarantined": 0}
    assert not summary["critical_failures"]
    kept = pd.read_parquet(paths.windows)
    assert kept["label_id"].tolist() == sorted(read_train(paths.data)["label_id"])
