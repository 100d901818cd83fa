"""Formats of single makers: their parts, their pauses, and what is none of them."""

from __future__ import annotations

import sys
from pathlib import Path

import mne
import numpy as np
import pytest

from hms_pipeline.data.clinical import read_clinical
from hms_pipeline.data.content import files_of
from hms_pipeline.data.formats import FORMATS, format_of
from hms_pipeline.data.formats.format import UnavailableError
from hms_pipeline.schema import EEG_COLUMNS
from hms_pipeline.system.errors import InputError

from ....recordings import noise, raw_array


def write_persyst(folder: Path, eeg: np.ndarray, times: str = "0=3600") -> Path:
    """A header and 32-bit samples of 0.001 µV."""
    rows = "\n".join(f"{name}-Ref={k + 1}" for k, name in enumerate(EEG_COLUMNS))
    (folder / "rec.lay").write_text(
        "[FileInfo]\nFile=rec.dat\nFileType=Interleaved\nSamplingRate=200\nHeaderLength=0\n"
        f"Calibration=0.001\nWaveformCount=20\nDataType=7\n[ChannelMap]\n{rows}\n"
        f"[SampleTimes]\n{times}\n[Patient]\nFirst=A\nLast=B\nBirthDate=01/02/99\nSex=\nHand=\n"
        "TestDate=01/02/2020\nTestTime=01:00:00\n[Comments]\n"
    )
    (folder / "rec.dat").write_bytes((eeg.T * 1e3).round().astype("<i4").tobytes())
    return folder / "rec.lay"


def test_persyst(tmp_path: Path) -> None:
    eeg = noise(seconds=10)
    path = write_persyst(tmp_path, eeg)
    recording = read_clinical(path)
    assert recording.warnings == ()
    np.testing.assert_allclose(recording.eeg, eeg, atol=1e-3)
    assert [file.name for file in files_of(path)] == ["rec.lay", "rec.dat"]


def test_persysts_sample_times_tell_of_pauses(tmp_path: Path) -> None:
    """Midnight lies in the second pause."""
    eeg = noise(seconds=60)
    times = "0=86000\n4000=86050\n8000=10"
    recording = read_clinical(write_persyst(tmp_path, eeg, times))
    assert recording.pauses == ((4000, 10_000), (14_000, 82_000))
    np.testing.assert_allclose(recording.read(82_000, 86_000), eeg[:, 8000:], atol=1e-3)


@pytest.mark.parametrize(
    ("name", "content", "package"),
    [
        ("rec.cnt", b"RIFF" + bytes(100), "antio"),
        ("rec.set", b"MATLAB 7.3 MAT-file".ljust(124) + b"\x00\x02IM" + bytes(600), "pymatreader"),
    ],
)
def test_a_package_that_is_missing_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, content: bytes, package: str
) -> None:
    monkeypatch.setitem(sys.modules, package, None)
    (tmp_path / name).write_bytes(content)
    with pytest.raises(UnavailableError, match=rf"needs the package {package}.*pip install"):
        read_clinical(tmp_path / name)


def test_every_format_says_what_it_opens() -> None:
    endings = [ending for found in FORMATS.values() for ending in found.endings]
    assert len(endings) == len(set(endings)), "Two formats claim one ending."
    for name, found in FORMATS.items():
        assert found.open.__doc__, f"Document how {name} is opened."
        for ending in found.endings:
            assert ending == ending.lower()
            assert format_of(Path(f"rec{ending.upper()}")) is found


@pytest.mark.parametrize("name", list(FORMATS))
@pytest.mark.parametrize("content", [b"", b"0", b"\xff" * 5000, bytes(70_000)], ids=range(4))
def test_whatever_a_file_holds_it_is_refused_in_a_sentence(
    tmp_path: Path, name: str, content: bytes
) -> None:
    path = tmp_path / f"rec{FORMATS[name].endings[0]}"
    path.write_bytes(content)
    with pytest.raises(InputError, match=rf"rec\{FORMATS[name].endings[0]}"):
        read_clinical(path)


@pytest.mark.parametrize(
    ("old", "new"),
    [("HeaderLength=0", "HeaderLength=80"), ("Fp1-Ref=1\nF3-Ref=2", "Fp1-Ref=2\nF3-Ref=1")],
)
def test_persysts_samples_that_lie_otherwise_are_refused(
    tmp_path: Path, old: str, new: str
) -> None:
    path = write_persyst(tmp_path, noise(seconds=10))
    assert old in path.read_text()
    path.write_text(path.read_text().replace(old, new))
    with pytest.raises(InputError, match=r"HeaderLength 0 and channels numbered from 1 in order"):
        read_clinical(path)


@pytest.mark.parametrize(
    "doubt",
    [
        "All EEG channels are not referenced to the same electrode.",
        "sample count from header doesn't match actual data! file corrupted? will use data shape",
        "Sample distance (1µs)\nand sample frequency (2Hz) in header file do not match!",
    ],
)
def test_what_mne_doubts_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, doubt: str
) -> None:
    def read_raw(*_: object, verbose: str, **__: object) -> mne.io.RawArray:
        with mne.use_log_level(verbose):
            mne.utils.warn(doubt)
        return raw_array(noise())

    path = tmp_path / "rec.cdt"
    path.write_bytes(bytes(10))
    monkeypatch.setattr(mne.io, "read_raw", read_raw)
    with pytest.raises(InputError, match=r"rec\.cdt could not be read \(RuntimeWarning\)"):
        read_clinical(path)
