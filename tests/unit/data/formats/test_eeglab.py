"""EEGLAB: samples inside or beside the file, and what was cut out of them."""

from __future__ import annotations

from pathlib import Path

import eeglabio
import numpy as np
import pytest
import scipy.io

from hms_pipeline.data.clinical import read_clinical
from hms_pipeline.data.content import content_hash, files_of
from hms_pipeline.schema import EEG_COLUMNS
from hms_pipeline.system.errors import InputError

from ....recordings import noise


def export(path: Path, eeg: np.ndarray, marks: list = (), sfreq: float = 200) -> Path:
    """One file; marks are (text, onset, duration) in seconds."""
    columns = [np.array([mark[k] for mark in marks]) for k in range(3)]
    eeglabio.raw.export_set(
        str(path), eeg * 1e-6, sfreq, list(EEG_COLUMNS), precision="double",
        annotations=columns if marks else None,
    )  # fmt: skip
    return path


def export_in_two(folder: Path, eeg: np.ndarray, samples: str = "rec.fdt") -> Path:
    """The header of one file, with its samples in another one."""
    folder.mkdir(exist_ok=True)
    content = scipy.io.loadmat(export(folder / "rec.set", eeg))
    fields = {k: v for k, v in content.items() if not k.startswith("__")}
    fields["data"] = samples
    scipy.io.savemat(folder / "rec.set", fields)
    (folder / samples).write_bytes(eeg.T.astype("<f4").tobytes())
    return folder / "rec.set"


def test_one_file(tmp_path: Path) -> None:
    eeg = noise(seconds=10)
    recording = read_clinical(export(tmp_path / "rec.set", eeg))
    np.testing.assert_allclose(recording.eeg, eeg, atol=1e-3)


def test_two_files_are_one_recording(tmp_path: Path) -> None:
    paths = [export_in_two(tmp_path / f"p{seed}", noise(seconds=10, seed=seed)) for seed in (1, 2)]
    np.testing.assert_allclose(read_clinical(paths[0]).eeg, noise(seconds=10, seed=1), atol=1e-3)
    assert len(files_of(paths[0])) == 2
    assert content_hash(paths[0]) != content_hash(paths[1])


def test_samples_of_another_stem_are_refused(tmp_path: Path) -> None:
    path = export_in_two(tmp_path, noise(seconds=10), samples="other.fdt")
    with pytest.raises(InputError, match="needs its samples in a file of its own stem"):
        read_clinical(path)


@pytest.mark.parametrize(("cut_s", "pauses"), [(30, ((1000, 7000),)), (0, ((1000, 1000),))])
def test_what_was_cut_out_is_time(tmp_path: Path, cut_s: int, pauses: tuple) -> None:
    eeg = noise(seconds=20)
    path = export(tmp_path / "rec.set", eeg, [("boundary", 5.0, float(cut_s)), ("eyes", 7.0, 1.0)])
    recording = read_clinical(path)
    assert recording.pauses == pauses
    assert recording.n_times == 4000 + 200 * cut_s
    np.testing.assert_allclose(
        recording.read(pauses[0][1], recording.n_times), eeg[:, 1000:], atol=1e-3
    )
