"""Real clinical files: read, scored, or refused with the right sentence."""

from __future__ import annotations

import re
from pathlib import Path

import mne
import numpy as np
import pytest

from hms_pipeline.data.clinical import ClinicalRecording, read_clinical
from hms_pipeline.schema import DOUBLE_BANANA, EEG_COLUMNS, VOTE_COLUMNS
from hms_pipeline.scoring.recording import score_recording, write_annotations
from hms_pipeline.scoring.sources import open_recording
from hms_pipeline.system.errors import InputError

from ..scorer import REAL, Scorer, scoring

EDF = REAL / "edf"
pytestmark = pytest.mark.skipif(not EDF.is_dir(), reason="../shared/real/edf is not there")

NEONATAL = EDF / "neonatal_19ch_ecg_256hz.edf"
CHB = EDF / "chbmit_bipolar_only_256hz.edf"
SIENA = EDF / "siena_512hz.edf"
TUH = EDF / "tuh_le_reference_250hz.edf"


def derivation(eeg: np.ndarray, a: str, b: str) -> np.ndarray:
    return eeg[EEG_COLUMNS.index(a)] - eeg[EEG_COLUMNS.index(b)]


def raw_uv(path: Path, label: str) -> np.ndarray:
    raw = mne.io.read_raw(path, verbose="error")
    return raw.get_data(picks=[label])[0] * 1e6


def resample(x: np.ndarray) -> np.ndarray:
    # MNE's FFT method shifts by a third of a millisecond here, which its polyphase one does not.
    return mne.filter.resample(x, 25, 32, method="polyphase", verbose="error")


def below_40_hz(x: np.ndarray) -> np.ndarray:
    return mne.filter.filter_data(x.astype(float), 200, None, 40, verbose="error")


@pytest.mark.parametrize("path", [NEONATAL, SIENA, TUH], ids=lambda path: path.stem)
def test_every_column_is_found(path: Path) -> None:
    recording = read_clinical(path)
    assert recording.available == EEG_COLUMNS
    assert recording.interpolated == ()
    assert not recording.bipolar_only
    assert np.isfinite(recording.eeg).all()


def test_neonatal_amplitudes_agree_with_mne() -> None:
    recording: ClinicalRecording = read_clinical(NEONATAL)
    assert recording.n_times == 54_016 * 25 // 32
    for name, label in (("Fp1", "EEG Fp1-Ref"), ("Cz", "EEG Cz-Ref"), ("EKG", "ECG EKG-Ref")):
        ours = recording.eeg[EEG_COLUMNS.index(name)]
        theirs = resample(raw_uv(NEONATAL, label))
        n = min(len(ours), len(theirs))
        # The views read up to 20 Hz; near 100 Hz the two filters differ.
        a, b = (below_40_hz(x[:n])[1000:-1000] for x in (ours, theirs))
        assert np.corrcoef(a, b)[0, 1] > 0.9999
        assert a.std() == pytest.approx(b.std(), rel=1e-3)


def test_bipolar_only_recordings_give_their_derivations() -> None:
    recording = read_clinical(CHB)
    assert recording.bipolar_only
    assert any("T4-T6" in text for text in recording.warnings)  # occurs twice
    names = {"T3": "T7", "T4": "T8", "T5": "P7", "T6": "P8"}
    labels = {c.upper(): c for c in recording.derivations}
    shared = []
    for a, b in DOUBLE_BANANA:
        label = f"{names.get(a, a)}-{names.get(b, b)}".upper()
        label = labels.get(label) or labels[f"{label}-0"]
        ours = derivation(recording.eeg, a, b)
        theirs = resample(raw_uv(CHB, label))
        shared.append(np.corrcoef(ours[50:-50], theirs[50:-50])[0, 1])
    # The signal is white noise, so loops disagree and least squares finds the middle; the
    # derivations outside loops come back whole.
    assert min(shared) > 0.6
    assert shared[-1] > 0.97
    assert shared[-2] > 0.97


@pytest.mark.parametrize("path", [SIENA, TUH, CHB], ids=lambda path: path.stem)
def test_two_seconds_are_too_short(path: Path) -> None:
    with pytest.raises(InputError, match=rf"needs 50 s of EEG.*{re.escape(path.name)} has 2 s"):
        open_recording(path, scoring())


def test_neonatal_recording_becomes_a_timeline(tmp_path: Path) -> None:
    scores = score_recording(Scorer(), NEONATAL, scoring())
    assert len(scores.timeline) == (211 - 50) // 10 + 1
    np.testing.assert_allclose(scores.timeline[list(VOTE_COLUMNS)].sum(axis=1), 1, atol=1e-6)
    assert set(scores.timeline["members_used"]) == {"eegnet"}  # 211 s hold no ten minutes
    path = write_annotations(scores, tmp_path / "marks.txt")
    raw = mne.io.read_raw(NEONATAL, verbose="error").set_annotations(mne.read_annotations(path))
    assert len(raw.annotations) >= 1
