"""Clinical files: whatever the labels, units, rates and references, the same 20 columns."""

from __future__ import annotations

import logging
import re
import sys
from itertools import pairwise
from pathlib import Path

import mne
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.signal import resample_poly

from hms_pipeline.data.clinical import PassingError, open_clinical, read_clinical
from hms_pipeline.data.clinical_annotations import write_annotations
from hms_pipeline.data.clinical_edf import write_edf
from hms_pipeline.data.clinical_montage import PAIRS, position, reconstruct, spline_weights
from hms_pipeline.data.clinical_names import Channel, parse_label, parse_labels
from hms_pipeline.data.clinical_resample import Resampler
from hms_pipeline.schema import DOUBLE_BANANA, EEG_COLUMNS, ELECTRODES, REGION_PAIRS
from hms_pipeline.system.errors import InputError


def noise(n_channels: int = 20, seconds: float = 4, sfreq: float = 200, seed: int = 0):
    """Smooth 30 µV noise below 20 Hz."""
    rng = np.random.default_rng(seed)
    n = int(seconds * sfreq)
    freqs = np.fft.rfftfreq(n, 1 / sfreq)
    spectrum = np.fft.rfft(rng.normal(size=(n_channels, n)), axis=1) * (freqs < 20)
    waves = np.fft.irfft(spectrum, n, axis=1)
    return 30 * waves / waves.std()


def difference(eeg: np.ndarray, pair: tuple[str, str]) -> np.ndarray:
    a, b = (EEG_COLUMNS.index(site) for site in pair)
    return eeg[a] - eeg[b]


# ---------------------------------------------------------------- names
@pytest.mark.parametrize(
    ("label", "plus", "minus"),
    [
        ("EEG Fp1-Ref", "Fp1", "REF"),
        ("FP1-LE", "Fp1", "LE"),
        ("EEG FP1-LE", "Fp1", "LE"),
        ("fp2", "Fp2", "REF"),
        ("T7", "T3", "REF"),
        ("EEG T8-Ref", "T4", "REF"),
        ("P7-O1", "T5", "O1"),
        ("P7 - T7", "T5", "T3"),
        ("T8-P8-0", "T4", "T6"),
        ("Fp1-1", "Fp1", "REF"),
        ("EEG C3-A2", "C3", "A2"),
        ("POL Cz", "Cz", "REF"),
        ("C3..", "C3", "REF"),
        ("T7-FT9", "T3", "FT9"),
        ("ECG EKG-Ref", "EKG", "REF"),
        ("EEG EKG-LE", "EKG", "LE"),
        ("EKG EKG", "EKG", "REF"),
        ("ECGL", "EKG", "L"),
    ],
)
def test_labels(label: str, plus: str, minus: str) -> None:
    assert parse_label(label) == Channel(label, plus, minus)


@pytest.mark.parametrize(
    "label", ["SPO2", "HR", "1", "MK", "EEG 30-LE", "PHOTIC PH", "EEG A1-LE", "EEG Effort-Ref", ""]
)
def test_what_is_no_scalp_eeg(label: str) -> None:
    assert parse_label(label) is None


@given(st.text(max_size=20))
@settings(max_examples=100, deadline=None)
def test_any_label_is_read_or_left(label: str) -> None:
    channel = parse_label(label)
    assert channel is None or channel.plus


def test_rename_maps_once_and_refuses_unknown_names() -> None:
    (channel,) = parse_labels(["E11"], {"e11": "Fz"})
    assert channel == Channel("E11", "Fz", "REF")
    with pytest.raises(InputError, match="E12"):
        parse_labels(["E11"], {"E12": "Fz"})
    with pytest.raises(InputError, match="names of electrodes"):
        parse_labels(["E11"], {"E11": "nose"})


# ---------------------------------------------------------------- montage
def channels(*labels: str) -> list[Channel]:
    return [c for c in parse_labels(labels) if c]


def test_a_reference_is_kept_as_it_is() -> None:
    found = reconstruct(channels(*EEG_COLUMNS), "rec.edf")
    np.testing.assert_array_equal(found.matrix, np.eye(20))
    assert found.warnings == ()


@pytest.mark.parametrize("reverse", [False, True])
def test_derivations_come_back_from_bipolar_channels(reverse: bool) -> None:
    pairs = [pair[::-1] if reverse else pair for pair in DOUBLE_BANANA]
    found = reconstruct(channels(*("-".join(pair) for pair in pairs)), "rec.edf")
    eeg = noise()
    recorded = np.stack([difference(eeg, pair) for pair in pairs])
    back = found.matrix @ recorded
    assert found.bipolar_only
    for pair in PAIRS:
        np.testing.assert_allclose(difference(back, pair), difference(eeg, pair), atol=1e-9)
    assert np.abs(found.residual @ recorded).max() < 1e-9


def test_every_channel_against_one_electrode_is_bipolar_too() -> None:
    others = [site for site in ELECTRODES if site != "Cz"]
    found = reconstruct(channels(*(f"{site}-Cz" for site in others)), "rec.edf")
    eeg = noise()
    back = found.matrix @ np.stack([difference(eeg, (site, "Cz")) for site in others])
    for pair in PAIRS:
        np.testing.assert_allclose(difference(back, pair), difference(eeg, pair), atol=1e-9)


def test_ears_of_both_sides_are_two_references() -> None:
    left = [site for site in ELECTRODES if site[-1] in "13579z"]
    labels = [f"{site}-{'A1' if site in left else 'A2'}" for site in ELECTRODES]
    found = reconstruct(channels(*labels), "rec.edf")
    assert any("Several references" in text for text in found.warnings)


def test_a_repeated_derivation_is_averaged_and_told() -> None:
    labels = ["-".join(pair) for pair in DOUBLE_BANANA] + ["T4-T6"]
    found = reconstruct(channels(*labels), "rec.edf")
    assert any("T4-T6" in text for text in found.warnings)


def test_missing_electrodes_are_interpolated_or_refused() -> None:
    have = [site for site in EEG_COLUMNS if site not in ("Fz", "P3")]
    found = reconstruct(channels(*have), "rec.edf")
    assert found.interpolated == ("P3", "Fz")
    assert np.isfinite(found.matrix).all()
    sentence = (
        "Montage needs electrodes ['Fz'], but rec.edf has ['Fp1', 'F3', 'C3', 'P3', 'F7', 'T3',"
        " 'T5', 'O1', 'Cz', 'Pz', 'Fp2', 'F4', 'C4', 'P4', 'F8', 'T4', 'T6', 'O2']. Map them with"
        " --rename, or leave midline members out."
    )
    with pytest.raises(InputError, match=re.escape(sentence)):
        reconstruct(channels(*(s for s in ELECTRODES if s != "Fz")), "rec.edf", max_interpolated=0)


def test_chains_without_midline_are_used() -> None:
    labels = ["-".join(pair) for pairs in REGION_PAIRS.values() for pair in pairs]
    found = reconstruct(channels(*labels), "rec.edf")
    midline = [ELECTRODES.index(site) for site in ("Fz", "Cz", "Pz")]
    assert np.isnan(found.matrix[midline]).all()
    assert any("Fz" in text for text in found.warnings)


def test_a_broken_chain_is_refused() -> None:
    labels = ["-".join(pair) for pair in DOUBLE_BANANA if pair not in (("F7", "T3"), ("T3", "T5"))]
    with pytest.raises(InputError, match=r"F7-T3.*do not connect"):
        reconstruct(channels(*labels, "T3-A1"), "rec.edf")


def test_spline_weights_agree_with_mne() -> None:
    present = [site for site in ELECTRODES if site != "C3"]
    weights = spline_weights(["C3"], present)["C3"]
    assert weights.sum() == pytest.approx(1)
    sphere = {site: 0.095 * position(site) for site in ELECTRODES}
    montage = mne.channels.make_dig_montage(sphere, coord_frame="head")
    info = mne.create_info(list(ELECTRODES), 200, "eeg").set_montage(montage)
    raw = mne.io.RawArray(np.eye(19), info, verbose="error")
    raw.info["bads"] = ["C3"]
    raw.interpolate_bads(origin=(0, 0, 0), verbose="error")
    np.testing.assert_allclose(weights, raw.get_data(picks=["C3"])[0], atol=1e-3)


# ---------------------------------------------------------------- rate
@pytest.mark.parametrize("sfreq", [128, 250, 256, 500, 512, 1000, 199.8])
def test_blocks_equal_the_whole(sfreq: float) -> None:
    eeg = noise(2, seconds=9, sfreq=sfreq)
    resampler = Resampler(lambda a, b: eeg[:, a:b], eeg.shape[1], sfreq, "rec.edf")
    whole = resampler.read(0, resampler.n_times)
    edges = [0, 1, 333, 334, 1200, resampler.n_times]
    blocks = np.hstack([resampler.read(a, b) for a, b in pairwise(edges)])
    np.testing.assert_allclose(blocks, whole, atol=1e-9)


def test_resampling_agrees_with_scipy_and_stops_aliases() -> None:
    eeg = noise(1, seconds=10, sfreq=512)
    resampler = Resampler(lambda a, b: eeg[:, a:b], eeg.shape[1], 512, "rec.edf")
    theirs = resample_poly(eeg, 25, 64, axis=1)
    middle = slice(200, 1800)
    np.testing.assert_allclose(resampler.read(0, 2000)[:, middle], theirs[:, middle], atol=1e-9)
    tone = np.sin(2 * np.pi * 190 * np.arange(5120) / 512)[None]  # would fold to 10 Hz
    resampler = Resampler(lambda a, b: tone[:, a:b], 5120, 512, "rec.edf")
    assert np.abs(resampler.read(200, 1800)).max() < 2e-3


def test_slow_recordings_are_refused() -> None:
    with pytest.raises(InputError, match="at least 80 Hz"):
        Resampler(lambda a, b: np.zeros((1, b - a)), 100, 64, "rec.edf")


# ---------------------------------------------------------------- files
def raw_array(eeg_uv: np.ndarray, names=EEG_COLUMNS, sfreq: float = 200) -> mne.io.RawArray:
    kinds = ["ecg" if name == "EKG" else "eeg" for name in names]
    info = mne.create_info(list(names), sfreq, kinds)
    return mne.io.RawArray(eeg_uv * 1e-6, info, verbose="error")


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
    np.testing.assert_array_equal(np.hstack(list(recording.blocks(1.5))), recording.eeg)


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
    assert read_clinical(tmp_path / "rec.edf").n_times == 800


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


def as_bdf(edf: bytes) -> bytes:
    """The same recording with 24-bit samples."""
    head = 256 * 21
    samples = np.frombuffer(edf[head:], "<i2").astype("<i4")
    wide = samples.view(np.uint8).reshape(-1, 4)[:, :3]
    return b"\xffBIOSEMI" + edf[8:head] + wide.tobytes()


def write_in_unit(path: Path, eeg: np.ndarray, unit: str) -> None:
    """Numbers as they are, under another physical dimension."""
    write_edf(path.with_suffix(".edf"), eeg)
    whole = path.with_suffix(".edf").read_bytes()
    at = 256 + 20 * (16 + 80)
    whole = whole[:at] + unit.encode("latin-1").ljust(8) * 20 + whole[at + 160 :]
    path.write_bytes(as_bdf(whole) if path.suffix == ".bdf" else whole)


@pytest.mark.parametrize("name", ["rec.edf", "rec.bdf"])
@pytest.mark.parametrize(
    ("unit", "per_uv"),
    [("uV", 1), ("uv", 1), ("UV", 1), ("Uv", 1), ("µV", 1), ("mV", 1e-3), ("nV", 1e3)],
)
def test_spellings_of_units(tmp_path: Path, name: str, unit: str, per_uv: float) -> None:
    eeg = noise()
    write_in_unit(tmp_path / name, eeg * per_uv, unit)
    recording = read_clinical(tmp_path / name)
    assert recording.warnings == ()
    np.testing.assert_allclose(recording.eeg, eeg, atol=0.02)


def test_each_channel_has_its_own_unit(tmp_path: Path) -> None:
    eeg, per_uv = noise(), np.tile([[1.0], [1e3]], (10, 1))
    write_in_unit(tmp_path / "rec.edf", eeg * per_uv, "uv")
    whole, at = (tmp_path / "rec.edf").read_bytes(), 256 + 20 * 96
    units = (b"uv".ljust(8) + b"nV".ljust(8)) * 10
    (tmp_path / "rec.edf").write_bytes(whole[:at] + units + whole[at + 160 :])
    np.testing.assert_allclose(read_clinical(tmp_path / "rec.edf").eeg, eeg, atol=0.02)


@pytest.mark.parametrize("unit", ["mv", "MV", "", "uVolt"])
def test_what_is_no_unit_of_voltage_is_microvolts(tmp_path: Path, unit: str) -> None:
    eeg = noise()
    write_in_unit(tmp_path / "rec.edf", eeg, unit)
    recording = read_clinical(tmp_path / "rec.edf")
    assert any("no unit of voltage" in text for text in recording.warnings)
    np.testing.assert_allclose(recording.eeg, eeg, atol=0.01)


def test_damaged_and_absent_files(tmp_path: Path) -> None:
    (tmp_path / "bad.edf").write_bytes(b"0" * 100)
    with pytest.raises(InputError, match=r"bad\.edf could not be read"):
        open_clinical(tmp_path / "bad.edf")
    with pytest.raises(InputError, match="does not exist"):
        open_clinical(tmp_path / "none.edf")


def test_a_slow_file_is_refused_for_its_rate(tmp_path: Path) -> None:
    write_edf(tmp_path / "rec.edf", noise(sfreq=50), sfreq=50)
    with pytest.raises(InputError, match=r"at least 80 Hz, but rec\.edf has 50 Hz"):
        read_clinical(tmp_path / "rec.edf")


def test_a_file_cut_short_is_unreadable_when_its_end_is_read(tmp_path: Path) -> None:
    path = tmp_path / "rec_raw.fif"
    raw_array(noise(seconds=400)).save(path, verbose="error")
    path.write_bytes(path.read_bytes()[: path.stat().st_size * 9 // 10])
    recording = read_clinical(path)
    recording.read(0, 1000)
    with pytest.raises(InputError, match=r"rec_raw\.fif could not be read \(ValueError\)"):
        recording.read(recording.n_times - 1000, recording.n_times)


@pytest.mark.parametrize(
    "err", [OSError("a disk"), MemoryError(), ImportError("a package"), FileNotFoundError()]
)
def test_what_lies_outside_the_file_may_pass(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, err: Exception
) -> None:
    def fails(*_: object, **__: object) -> None:
        raise err

    write_edf(tmp_path / "rec.edf", noise())
    monkeypatch.setattr(mne.io, "read_raw", fails)
    with pytest.raises(PassingError, match="could not be read"):
        read_clinical(tmp_path / "rec.edf")


def test_a_package_that_a_reader_lacks_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(*_: object, **__: object) -> None:
        mne.utils._soft_import("no_such_package", "reading")

    write_edf(tmp_path / "rec.edf", noise())
    monkeypatch.setattr(mne.io, "read_raw", fails)
    with pytest.raises(PassingError, match="needs the package no_such_package, which"):
        read_clinical(tmp_path / "rec.edf")


def test_without_mne_its_extra_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "mne", None)
    with pytest.raises(PassingError, match=r"pip install 'hms-pipeline\[clinical\]'"):
        read_clinical(tmp_path / "rec.edf")


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


@pytest.mark.parametrize("name", ["marks.csv", "marks.txt", "rec-annot.fif"])
def test_annotations_read_back(tmp_path: Path, name: str) -> None:
    path = write_annotations(tmp_path / name, [20.0, 30.0], [10.0, 40.0], ["HMS/lpd", "HMS/other"])
    back = mne.read_annotations(path)
    np.testing.assert_allclose(back.onset[-2:], [20, 30], atol=1e-3)
    np.testing.assert_allclose(back.duration[-2:], [10, 40], atol=1e-3)
    assert list(back.description[-2:]) == ["HMS/lpd", "HMS/other"]
    raw = raw_array(noise(seconds=90)).set_meas_date(1_500_000_000).set_annotations(back)
    np.testing.assert_allclose(raw.annotations.onset[-2:], [20, 30], atol=1e-3)


def test_annotations_refuse_other_endings(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="ending"):
        write_annotations(tmp_path / "marks.doc", [], [], [])


def write_brainvision(folder: Path, eeg: np.ndarray) -> Path:
    """A recording of three files, in millivolts."""
    folder.mkdir(exist_ok=True)
    (folder / "rec.eeg").write_bytes((eeg.T / 1e3).astype("<f4").tobytes())
    (folder / "rec.vmrk").write_text(
        "Brain Vision Data Exchange Marker File, Version 1.0\n[Common Infos]\nCodepage=UTF-8\n"
        "DataFile=rec.eeg\n[Marker Infos]\n"
    )
    rows = "\n".join(f"Ch{n + 1}={name},,1,mV" for n, name in enumerate(EEG_COLUMNS))
    (folder / "rec.vhdr").write_text(
        "Brain Vision Data Exchange Header File Version 1.0\n[Common Infos]\nCodepage=UTF-8\n"
        "DataFile=rec.eeg\nMarkerFile=rec.vmrk\nDataFormat=BINARY\nDataOrientation=MULTIPLEXED\n"
        "NumberOfChannels=20\nSamplingInterval=5000\n[Binary Infos]\nBinaryFormat=IEEE_FLOAT_32\n"
        f"[Channel Infos]\n{rows}\n"
    )
    return folder / "rec.vhdr"


def test_brainvision_in_millivolts(tmp_path: Path) -> None:
    eeg = noise()
    path = write_brainvision(tmp_path, eeg)
    np.testing.assert_allclose(read_clinical(path).eeg, eeg, atol=1e-3)
