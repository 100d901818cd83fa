"""FIF: parts that name each other, skips, joints, channels marked bad."""

from __future__ import annotations

import gzip
from pathlib import Path

import mne
import numpy as np
import pytest

from hms_pipeline.data.clinical import read_clinical
from hms_pipeline.data.content import content_hash, files_of, list_recordings
from hms_pipeline.data.formats import fif
from hms_pipeline.schema import EEG_COLUMNS
from hms_pipeline.system.errors import InputError

from ....recordings import noise, raw_array


def save(path: Path, eeg: np.ndarray, **options: object) -> Path:
    path.parent.mkdir(exist_ok=True)
    raw_array(eeg).save(path, verbose="error", buffer_size_sec=1, **options)
    return path


@pytest.mark.parametrize("naming", ["neuromag", "bids"])
def test_parts_are_one_recording(tmp_path: Path, naming: str) -> None:
    eeg = noise(seconds=300)
    save(tmp_path / "rec_raw.fif", eeg, split_size="2MB", split_naming=naming)
    files = sorted(tmp_path.iterdir())
    assert len(files) > 2
    (path,) = list_recordings(files)
    assert sorted(files_of(path)) == files
    recording = read_clinical(path)
    assert recording.n_times == 60_000
    np.testing.assert_allclose(recording.eeg, eeg, atol=1e-3)


def test_parts_that_differ_late_are_two_recordings(tmp_path: Path) -> None:
    eeg, other = noise(seconds=300), noise(seconds=300)
    other[:, 50_000:] += 1
    paths = [
        save(tmp_path / folder / "rec_raw.fif", x, split_size="2MB")
        for folder, x in (("a", eeg), ("b", other))
    ]
    assert content_hash(paths[0]) != content_hash(paths[1])


def test_a_lost_part_is_refused(tmp_path: Path) -> None:
    path = save(tmp_path / "rec_raw.fif", noise(seconds=300), split_size="2MB")
    files_of(path)[-1].unlink()
    with pytest.raises(InputError, match=r"rec_raw\.fif could not be read"):
        read_clinical(path)


def test_a_compressed_recording(tmp_path: Path) -> None:
    eeg = noise(seconds=10)
    path = save(tmp_path / "rec_raw.fif.gz", eeg)
    np.testing.assert_allclose(read_clinical(path).eeg, eeg, atol=1e-3)


def test_a_compressed_recording_that_unpacks_to_too_much(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fif, "_MOST_EXPANDED", 10**6)
    with gzip.open(tmp_path / "rec_raw.fif.gz", "wb") as stream:
        stream.write(bytes(2 * 10**6))
    with pytest.raises(InputError, match=r"may unpack to at most 1,000,000 bytes"):
        read_clinical(tmp_path / "rec_raw.fif.gz")


@pytest.mark.parametrize("first", [0, 350])
@pytest.mark.parametrize("date", [None, 1_500_000_000])
def test_what_was_skipped_is_missing(tmp_path: Path, first: int, date: int | None) -> None:
    eeg = noise(seconds=60)
    raw = raw_array(eeg)
    raw = mne.io.RawArray(raw.get_data(), raw.info, first_samp=first, verbose="error")
    raw.set_meas_date(date)
    at = 10 + (first / 200 if date else 0)
    raw.set_annotations(mne.Annotations([at], [5], ["BAD_ACQ_SKIP"], raw.info["meas_date"]))
    raw.save(tmp_path / "rec_raw.fif", verbose="error", buffer_size_sec=1)
    recording = read_clinical(tmp_path / "rec_raw.fif")
    assert recording.pauses == ((2000, 3000),)
    assert np.isnan(recording.read(2000, 3000)).all()
    np.testing.assert_allclose(recording.read(3000, 12_000), eeg[:, 3000:], atol=1e-3)
    np.testing.assert_allclose(recording.read(0, 2000), eeg[:, :2000], atol=1e-3)


def test_a_joint_is_a_pause_of_unknown_length(tmp_path: Path) -> None:
    raw = mne.concatenate_raws([raw_array(noise(seconds=s)) for s in (20, 40)], verbose="error")
    raw.save(tmp_path / "rec_raw.fif", verbose="error")
    recording = read_clinical(tmp_path / "rec_raw.fif")
    assert (recording.n_times, recording.pauses) == (12_000, ((4000, 4000),))
    assert any("unknown length at 20 s" in text for text in recording.warnings)


def test_a_channel_marked_bad_is_interpolated_and_named(tmp_path: Path) -> None:
    raw = raw_array(noise(seconds=10))
    raw.info["bads"] = ["T3"]
    raw.save(tmp_path / "rec_raw.fif", verbose="error")
    recording = read_clinical(tmp_path / "rec_raw.fif")
    assert recording.interpolated == ("T3",)
    assert "Left out ['T3'] (marked bad in the file)." in recording.warnings


@pytest.mark.parametrize("n_bytes", [0, 10, 100, 5000])
def test_what_is_no_fif_is_refused_and_names_no_part(tmp_path: Path, n_bytes: int) -> None:
    path = tmp_path / "rec_raw.fif"
    path.write_bytes(np.random.default_rng(n_bytes).bytes(n_bytes))
    assert files_of(path) == [path]
    with pytest.raises(InputError, match=r"rec_raw\.fif could not be read"):
        read_clinical(path)


def test_a_part_that_names_itself_ends_the_search(tmp_path: Path) -> None:
    path = save(tmp_path / "rec_raw.fif", noise(seconds=300), split_size="2MB")
    parts = files_of(path)
    content = parts[-2].read_bytes()
    parts[-2].write_bytes(
        content.replace(
            parts[-1].name.encode(), parts[0].name.encode().ljust(len(parts[-1].name), b"\0")
        )
    )
    assert files_of(path) == parts[:-1]


def test_the_columns_are_found_whatever_stands_beside(tmp_path: Path) -> None:
    eeg = noise(22, seconds=10)
    names = ["STI 001", *EEG_COLUMNS, "MEG?"]
    kinds = ["stim", *["eeg"] * 19, "ecg", "misc"]
    info = mne.create_info(names, 200, kinds)
    mne.io.RawArray(eeg * 1e-6, info, verbose="error").save(tmp_path / "a_raw.fif", verbose="error")
    np.testing.assert_allclose(read_clinical(tmp_path / "a_raw.fif").eeg, eeg[1:21], atol=1e-3)
