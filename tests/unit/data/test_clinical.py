"""Clinical files: whatever the labels, units, rates and references, the same 20 columns."""

from __future__ import annotations

import logging
import sys
from pathlib import Path

import mne
import numpy as np
import pytest

from hms_pipeline.data.clinical import open_clinical, read_clinical
from hms_pipeline.data.formats.format import UnavailableError, is_transient
from hms_pipeline.data.reading import open_recording
from hms_pipeline.schema import DOUBLE_BANANA, EEG_COLUMNS, ELECTRODES
from hms_pipeline.system.errors import InputError

from ...recordings import difference, noise, raw_array, write_edf


def test_edf_gives_the_samples_back(tmp_path: Path) -> None:
    eeg = noise()
    bound = write_edf(tmp_path / "rec.edf", eeg)
    recording = read_clinical(tmp_path / "rec.edf")
    assert recording.available == EEG_COLUMNS
    assert recording.warnings == ()
    assert np.abs(recording.eeg - eeg).max() <= bound * 1.01 + 1e-4


def test_fif_gives_the_samples_back(tmp_path: Path) -> None:
    eeg = noise()
    raw_array(eeg).save(tmp_path / "rec_raw.fif", verbose="error")
    np.testing.assert_allclose(read_clinical(tmp_path / "rec_raw.fif").eeg, eeg, atol=1e-3)


def test_other_rates_and_names(tmp_path: Path) -> None:
    labels = [f"EEG {name.upper()}-REF" for name in EEG_COLUMNS]
    write_edf(tmp_path / "rec.edf", noise(sfreq=256), labels=labels, sfreq=256)
    at_200 = noise(sfreq=200)
    recording = read_clinical(tmp_path / "rec.edf")
    assert recording.n_times == 800
    assert recording.sfreq == 256
    assert recording.eeg.std() == pytest.approx(at_200.std(), rel=0.05)


def test_a_read_outside_is_missing(tmp_path: Path) -> None:
    write_edf(tmp_path / "rec.edf", noise())
    recording = read_clinical(tmp_path / "rec.edf")
    piece = recording.read(-10, 810)
    assert np.isnan(piece[:, :10]).all()
    assert np.isnan(piece[:, 810:]).all()
    np.testing.assert_array_equal(piece[:, 10:810], recording.eeg)
    blocks = [recording.read(0, 300), recording.read(300, 600), recording.read(600, 800)]
    np.testing.assert_array_equal(np.hstack(blocks), recording.eeg)


def test_wrong_units_are_refused(tmp_path: Path) -> None:
    write_edf(tmp_path / "rec.edf", noise() * 1e3)
    with pytest.raises(InputError, match=r"microvolts.*rec\.edf"):
        open_clinical(tmp_path / "rec.edf")


@pytest.mark.parametrize("factor", [1e3, 1e-3])
def test_wrong_units_are_refused_after_a_flat_start(tmp_path: Path, factor: float) -> None:
    eeg = noise(seconds=400) * factor
    eeg[:, : 350 * 200] = 0
    raw_array(eeg).save(tmp_path / "rec_raw.fif", verbose="error")
    with pytest.raises(InputError, match=r"typically .*Correct the units"):
        open_clinical(tmp_path / "rec_raw.fif")


@pytest.mark.parametrize("offset", [0, 3000])
@pytest.mark.parametrize("sfreq", [200, 256])
def test_minutes_before_hook_up_do_not_speak_for_the_units(
    tmp_path: Path, offset: float, sfreq: int
) -> None:
    eeg = noise(seconds=400, sfreq=sfreq)
    eeg[:, : 350 * sfreq] = offset * np.linspace(-1, 1, 20)[:, None]
    bound = write_edf(tmp_path / "rec.edf", eeg, sfreq=sfreq)
    recording = read_clinical(tmp_path / "rec.edf")
    assert recording.warnings == ()
    assert recording.read(70_200, 80_000).std() == pytest.approx(30, abs=1 + bound)


def test_dead_channels_do_not_speak_for_the_units(tmp_path: Path) -> None:
    eeg = noise()
    eeg[:12] = 0
    write_edf(tmp_path / "rec.edf", eeg)
    recording = open_clinical(tmp_path / "rec.edf", max_interpolated=12)
    assert len(recording.interpolated) == 12
    with pytest.raises(InputError, match=r"left out \['Fp1', .*\] \(flat\)"):
        open_clinical(tmp_path / "rec.edf")


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        (lambda x: 0 * x + 5, "(flat)"),
        (lambda x: x * 1000, "µV where the others have"),
        (lambda x: x / 1000, "µV where the others have"),
    ],
)
def test_a_dead_or_implausible_channel_is_interpolated_and_named(
    tmp_path: Path, wrong, said: str
) -> None:
    eeg = noise(seconds=60)
    row = EEG_COLUMNS.index("T3")
    sound = eeg[row].copy()
    eeg[row] = wrong(eeg[row])
    write_edf(tmp_path / "rec.edf", eeg)
    recording = read_clinical(tmp_path / "rec.edf")
    assert recording.interpolated == ("T3",)
    assert "T3" not in recording.available
    assert any(text.startswith("Left out ['T3']") and said in text for text in recording.warnings)
    assert 1 < np.std(recording.eeg[row]) < 100
    assert np.abs(recording.eeg[row] - sound).max() > 1


def test_a_channel_near_its_reference_is_small_and_kept(tmp_path: Path) -> None:
    eeg = noise(seconds=60)
    eeg[EEG_COLUMNS.index("Cz")] /= 15
    write_edf(tmp_path / "rec.edf", eeg)
    assert read_clinical(tmp_path / "rec.edf").warnings == ()


def test_a_channel_that_dies_for_half_the_time_is_kept(tmp_path: Path) -> None:
    eeg = noise(seconds=60)
    eeg[3, 6000:] = 0
    write_edf(tmp_path / "rec.edf", eeg)
    assert read_clinical(tmp_path / "rec.edf").interpolated == ()


def test_too_many_bad_channels_refuse_the_file(tmp_path: Path) -> None:
    raw = raw_array(noise())
    raw.info["bads"] = list(ELECTRODES[:4])
    raw.save(tmp_path / "rec_raw.fif", verbose="error")
    with pytest.raises(InputError, match=r"left out \['Fp1', 'F3', 'C3', 'P3'\] \(marked bad"):
        read_clinical(tmp_path / "rec_raw.fif")


def test_a_dead_derivation_comes_back_around_its_loop_or_refuses(tmp_path: Path) -> None:
    eeg = noise(seconds=20)
    bipolar = np.stack([difference(eeg, pair) for pair in DOUBLE_BANANA])
    labels = ["-".join(pair) for pair in DOUBLE_BANANA]
    bipolar[1] = 0  # F7-T3, which the other derivations of the left side give
    bound = write_edf(tmp_path / "rec.edf", bipolar, labels=labels)
    recording = read_clinical(tmp_path / "rec.edf")
    assert "Left out ['F7-T3'] (flat)." in recording.warnings
    back, sound = (difference(x, ("F7", "T3")) for x in (recording.eeg, eeg))
    np.testing.assert_allclose(back, sound, atol=8 * bound)
    bipolar[2] = 0
    write_edf(tmp_path / "rec.edf", bipolar, labels=labels)
    with pytest.raises(InputError, match=r"left out \['F7-T3', 'T3-T5'\] \(flat\)"):
        read_clinical(tmp_path / "rec.edf")


def test_a_bad_ekg_costs_the_ekg_only(tmp_path: Path) -> None:
    raw = raw_array(noise())
    raw.info["bads"] = ["EKG"]
    raw.save(tmp_path / "rec_raw.fif", verbose="error")
    recording = read_clinical(tmp_path / "rec_raw.fif")
    assert np.isnan(recording.eeg[-1]).all()
    assert np.isfinite(recording.eeg[:-1]).all()
    assert any("EKG" in text for text in recording.warnings)


def test_missing_samples_of_one_channel_are_its_own(tmp_path: Path) -> None:
    eeg = noise(seconds=20)
    eeg[4, 500:600] = np.nan
    raw_array(eeg).save(tmp_path / "rec_raw.fif", verbose="error")
    np.testing.assert_array_equal(
        np.isnan(read_clinical(tmp_path / "rec_raw.fif").eeg), np.isnan(eeg)
    )


def test_missing_and_infinite_samples_do_not_speak_for_the_units(tmp_path: Path) -> None:
    eeg = noise(seconds=20)
    eeg[:, :1000], eeg[:, 1000:2000], eeg[:, 2500] = np.nan, np.inf, -np.inf
    raw_array(eeg).save(tmp_path / "rec_raw.fif", verbose="error")
    assert read_clinical(tmp_path / "rec_raw.fif").warnings == ()


@pytest.mark.parametrize("seconds", [1, 400])
def test_a_flat_recording_is_refused(tmp_path: Path, seconds: int) -> None:
    write_edf(tmp_path / "rec.edf", np.full((20, seconds * 200), 7.0))
    with pytest.raises(InputError, match=r"must vary over time, but rec\.edf is flat"):
        open_clinical(tmp_path / "rec.edf")


def test_a_loop_that_disagrees_late_is_told(tmp_path: Path) -> None:
    eeg = noise(seconds=400)
    bipolar = np.stack([difference(eeg, pair) for pair in DOUBLE_BANANA])
    bipolar[0, 350 * 200 :] *= -3
    labels = ["-".join(pair) for pair in DOUBLE_BANANA]
    bipolar[:, : 350 * 200] = 0
    write_edf(tmp_path / "rec.edf", bipolar, labels=labels)
    assert any("disagree" in text for text in read_clinical(tmp_path / "rec.edf").warnings)


def test_absent_and_unknown_files(tmp_path: Path) -> None:
    with pytest.raises(UnavailableError, match="does not exist"):
        open_clinical(tmp_path / "none.edf")
    (tmp_path / "rec.txt").write_text("")
    with pytest.raises(InputError, match=r"ending of a known format, but rec\.txt has none"):
        open_clinical(tmp_path / "rec.txt")


def test_labels_that_name_no_electrode_are_shown(tmp_path: Path) -> None:
    write_edf(tmp_path / "rec.edf", noise(2), labels=["E11", "E12"])
    with pytest.raises(InputError, match=r"other labels are \['E11', 'E12'\]"):
        open_clinical(tmp_path / "rec.edf")


def test_a_file_cut_short_is_unreadable_when_its_end_is_read(tmp_path: Path) -> None:
    path = tmp_path / "rec_raw.fif"
    raw_array(noise(seconds=400)).save(path, verbose="error")
    path.write_bytes(path.read_bytes()[: path.stat().st_size * 9 // 10])
    recording = read_clinical(path)
    recording.read(0, 1000)
    with pytest.raises(InputError, match=r"rec_raw\.fif could not be read \(ValueError\)"):
        recording.read(recording.n_times - 1000, recording.n_times)


@pytest.mark.parametrize("err", [OSError("a disk"), ImportError("a package")])
def test_what_lies_outside_the_file_may_pass(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, err: Exception
) -> None:
    raw_array(noise()).save(tmp_path / "rec_raw.fif", verbose="error")
    monkeypatch.setattr(mne.io, "read_raw", fails_with(err))
    with pytest.raises(UnavailableError, match="could not be read"):
        read_clinical(tmp_path / "rec_raw.fif")


def test_spoiled_gzip_is_the_files_own_fault(tmp_path: Path) -> None:
    path = tmp_path / "rec_raw.fif.gz"
    raw_array(noise()).save(path, verbose="error")
    path.write_bytes(b"x" + path.read_bytes()[1:])
    with pytest.raises(InputError, match="could not be read") as caught:
        open_recording(path, {}, {})
    assert not is_transient(caught.value)


@pytest.mark.parametrize("err", [Exception("odd"), AssertionError(), KeyError(3)])
def test_a_reader_may_raise_what_it_likes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture, err: Exception
) -> None:
    raw_array(noise()).save(tmp_path / "rec_raw.fif", verbose="error")
    monkeypatch.setattr(mne.io, "read_raw", fails_with(err))
    with pytest.raises(InputError, match=rf"could not be read \({type(err).__name__}\)") as caught:
        read_clinical(tmp_path / "rec_raw.fif")
    assert not isinstance(caught.value, UnavailableError)
    assert capsys.readouterr().out == ""


def fails_with(err: Exception):
    def fails(*_: object, **__: object) -> None:
        sys.stdout.write("what a reader prints")
        raise err

    return fails


def test_a_package_that_a_reader_lacks_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(*_: object, **__: object) -> None:
        mne.utils._soft_import("no_such_package", "reading")

    raw_array(noise()).save(tmp_path / "rec_raw.fif", verbose="error")
    monkeypatch.setattr(mne.io, "read_raw", fails)
    with pytest.raises(UnavailableError, match="needs the package no_such_package, which"):
        read_clinical(tmp_path / "rec_raw.fif")


def test_without_mne_its_extra_is_named_and_edf_is_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    raw_array(noise()).save(tmp_path / "rec_raw.fif", verbose="error")
    write_edf(tmp_path / "rec.edf", noise())
    monkeypatch.setitem(sys.modules, "mne", None)
    with pytest.raises(UnavailableError, match=r"pip install 'hms-pipeline\[clinical\]'"):
        read_clinical(tmp_path / "rec_raw.fif")
    assert read_clinical(tmp_path / "rec.edf").n_times == 800


def test_the_patient_stays_in_the_header(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    raw = raw_array(noise())
    raw.info["subject_info"] = {"last_name": "Wintergreen", "his_id": "4711-XYZ"}
    raw.save(tmp_path / "rec_raw.fif", verbose="error")
    caplog.set_level(logging.DEBUG)
    recording = read_clinical(tmp_path / "rec_raw.fif")
    recording.read(0, 100)
    said = caplog.text + repr(recording)
    assert "Wintergreen" not in said
    assert "4711" not in said
