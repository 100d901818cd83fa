"""EDF, EDF+, BDF, BDF+: any rates side by side, pauses, headers of every kind."""

from __future__ import annotations

import itertools
import os
from fractions import Fraction
from pathlib import Path

import edfio
import mne
import numpy as np
import pytest

from hms_pipeline.data.clinical import read_clinical
from hms_pipeline.data.formats import FORMATS
from hms_pipeline.data.formats.edf import open_edf
from hms_pipeline.data.formats.format import UnavailableError
from hms_pipeline.data.formats.records import stamped
from hms_pipeline.schema import EEG_COLUMNS
from hms_pipeline.system.errors import InputError

from ....recordings import limits, noise, patch_header, restamp, write_edf


def whole(path: Path) -> np.ndarray:
    source = open_edf(path)
    n = int(source.segments[-1].start + source.segments[-1].duration) * int(
        source.channels[0].sfreq
    )
    return source.read(range(len(source.channels)), 0, n)


@pytest.mark.parametrize("name", ["rec.edf", "rec.bdf"])
@pytest.mark.parametrize("record_s", [0.5, 1, 2, 10])
def test_samples_are_those_that_two_other_readers_find(
    tmp_path: Path, name: str, record_s: float
) -> None:
    path = tmp_path / name
    write_edf(path, noise(seconds=20, sfreq=256), sfreq=256, record_s=record_s)
    ours = whole(path)
    theirs = (edfio.read_bdf if path.suffix == ".bdf" else edfio.read_edf)(path)
    np.testing.assert_allclose(ours, [s.data for s in theirs.signals], atol=1e-9)
    raw = mne.io.read_raw(path, verbose="error")
    np.testing.assert_allclose(ours, raw.get_data() * 1e6, atol=1e-9)


def mixed(path: Path, heart_hz: int) -> tuple[np.ndarray, np.ndarray]:
    """EEG of 128 Hz with an EKG of another rate in the middle of the record."""
    eeg = noise(seconds=60, sfreq=128)
    heart = 500 * np.sin(np.arange(60 * heart_hz) / heart_hz * 7)
    signals = [
        edfio.EdfSignal(row, 128, label=label, physical_dimension="uV", physical_range=limits(row))
        for row, label in zip(eeg[:19], EEG_COLUMNS, strict=False)
    ]
    signals.insert(9, edfio.EdfSignal(heart, heart_hz, label="ECG", physical_dimension="uV"))
    edfio.Edf(signals, data_record_duration=1).write(path)
    return eeg, heart


@pytest.mark.parametrize("heart_hz", [32, 128, 512])
def test_what_stands_beside_the_eeg_changes_nothing(tmp_path: Path, heart_hz: int) -> None:
    eeg, _ = mixed(tmp_path / "mixed.edf", heart_hz)
    write_edf(tmp_path / "plain.edf", eeg[:19], labels=EEG_COLUMNS[:19], sfreq=128)
    mixed_, plain = (read_clinical(tmp_path / name) for name in ("mixed.edf", "plain.edf"))
    assert mixed_.sfreq == plain.sfreq == 128
    for start, stop in ((0, 12_000), (1, 3), (5_555, 6_001)):
        np.testing.assert_array_equal(mixed_.read(start, stop)[:19], plain.read(start, stop)[:19])


def test_the_rate_that_decides_is_the_eegs_own(tmp_path: Path) -> None:
    write_edf(tmp_path / "rec.edf", noise(sfreq=50), sfreq=50)
    with pytest.raises(InputError, match=r"sampled at 50 Hz, at least 80 Hz are needed"):
        read_clinical(tmp_path / "rec.edf")


def test_one_slow_electrode_is_interpolated(tmp_path: Path) -> None:
    signals = []
    for row, label in zip(noise(19, seconds=10), EEG_COLUMNS, strict=False):
        step = 4 if label == "O2" else 1
        signals.append(
            edfio.EdfSignal(
                row[::step], 200 // step, label=label, physical_dimension="uV",
                physical_range=limits(row),
            )
        )  # fmt: skip
    edfio.Edf(signals, data_record_duration=1).write(tmp_path / "rec.edf")
    assert read_clinical(tmp_path / "rec.edf").interpolated == ("O2",)


# ---------------------------------------------------------------- pauses
def test_pauses_are_time(tmp_path: Path) -> None:
    eeg = noise(seconds=60)
    write_edf(tmp_path / "rec.edf", eeg)
    restamp(tmp_path / "rec.edf", [k if k < 20 else k + 600 for k in range(60)])
    recording = read_clinical(tmp_path / "rec.edf")
    assert recording.n_times == 660 * 200
    assert recording.pauses == ((4000, 124_000),)
    assert "Pauses of 600 s in all: 600 s at 20 s." in recording.warnings
    np.testing.assert_allclose(recording.read(0, 4000), eeg[:, :4000], atol=0.01)
    np.testing.assert_allclose(recording.read(124_000, 132_000), eeg[:, 4000:], atol=0.01)
    assert np.isnan(recording.read(4000, 124_000)).all()


@pytest.mark.parametrize(
    ("stated", "onset", "seconds"),
    [
        (b"11.42.54", 0, 42_174.0),
        (b"23:59:59", 0.25, 86_399.25),
        (b"00.00.00", 0, None),
        (b"24.00.00", 0, None),
        (b"xx.xx.xx", 0, None),
    ],
)
def test_the_time_of_day_at_which_it_starts(
    tmp_path: Path, stated: bytes, onset: float, seconds: float | None
) -> None:
    path = tmp_path / "rec.edf"
    write_edf(path, noise(seconds=10))
    restamp(path, [onset + k for k in range(10)], "EDF+C")
    content = path.read_bytes()
    path.write_bytes(content[:176] + stated + content[184:])
    assert open_edf(path).start_of_day_s == seconds
    assert read_clinical(path).source["start_of_day_s"] == seconds


@pytest.mark.parametrize("kind", ["EDF+C", "EDF+D"])
@pytest.mark.parametrize("first", [0, 0.25, 3600])
def test_a_label_is_no_pause(tmp_path: Path, kind: str, first: float) -> None:
    write_edf(tmp_path / "rec.edf", noise(seconds=20))
    restamp(tmp_path / "rec.edf", [first + k for k in range(20)], kind)
    recording = read_clinical(tmp_path / "rec.edf")
    assert (recording.n_times, recording.pauses) == (4000, ())


def test_stamps_that_all_say_zero_are_none(tmp_path: Path) -> None:
    write_edf(tmp_path / "rec.edf", noise(seconds=20))
    restamp(tmp_path / "rec.edf", [0] * 20, "EDF+C")
    assert read_clinical(tmp_path / "rec.edf").n_times == 4000


def test_records_out_of_order_are_refused(tmp_path: Path) -> None:
    write_edf(tmp_path / "rec.edf", noise(seconds=20))
    restamp(tmp_path / "rec.edf", [*range(10), *range(5, 15)])
    with pytest.raises(InputError, match="in the order of their time stamps, but record 11"):
        read_clinical(tmp_path / "rec.edf")


def test_a_pause_without_its_stamp_is_refused(tmp_path: Path) -> None:
    write_edf(tmp_path / "rec.edf", noise(seconds=20))
    restamp(tmp_path / "rec.edf", [*range(19), None])
    with pytest.raises(InputError, match="time stamp in every data record, but record 20"):
        read_clinical(tmp_path / "rec.edf")


def test_clocks_that_drift_leave_no_pause() -> None:
    """Stamps that run 200 ppm fast or slow for an hour: in time to a hundredth of a second."""
    for ppm in (200, -200):
        onsets = [Fraction(k) * (1_000_000 + ppm) / 1_000_000 for k in range(3600)]
        segments, said = stamped(onsets, Fraction(1), "rec.edf")
        assert abs(segments[-1].end - onsets[-1] - 1) <= Fraction(1, 100)
        assert bool(said) == (ppm < 0)
        gaps = [b.onset - a.end for a, b in itertools.pairwise(segments)]
        assert all(0 <= gap <= Fraction(12, 1000) for gap in gaps)


# ---------------------------------------------------------------- headers
@pytest.mark.parametrize("name", ["rec.edf", "rec.bdf"])
@pytest.mark.parametrize(
    ("unit", "per_uv"),
    [("uV", 1), ("uv", 1), ("UV", 1), ("Uv", 1), ("mV", 1e-3), ("nV", 1e3), ("V", 1e-6)],
)
def test_spellings_of_units(tmp_path: Path, name: str, unit: str, per_uv: float) -> None:
    eeg = noise()
    bound = write_edf(tmp_path / name, eeg * per_uv, unit=unit)
    recording = read_clinical(tmp_path / name)
    assert recording.warnings == ()
    np.testing.assert_allclose(recording.eeg, eeg, atol=1.01 * bound / per_uv + 1e-4)


@pytest.mark.parametrize("unit", ["µV".encode("latin-1"), "µV".encode(), "μV".encode()])
def test_letters_of_units_in_any_encoding(tmp_path: Path, unit: bytes) -> None:
    write_edf(tmp_path / "rec.edf", noise())
    patch_header(tmp_path / "rec.edf", "unit", [unit] * 20)
    assert read_clinical(tmp_path / "rec.edf").warnings == ()


def test_each_channel_has_its_own_unit(tmp_path: Path) -> None:
    eeg, per_uv = noise(), np.tile([[1.0], [1e3]], (10, 1))
    write_edf(tmp_path / "rec.edf", eeg * per_uv)
    patch_header(tmp_path / "rec.edf", "unit", [b"uv", b"nV"] * 10)
    np.testing.assert_allclose(read_clinical(tmp_path / "rec.edf").eeg, eeg, atol=0.02)


@pytest.mark.parametrize("unit", ["mv", "MV", "", "uVolt"])
def test_what_is_no_unit_of_voltage_is_microvolts(tmp_path: Path, unit: str) -> None:
    eeg = noise()
    write_edf(tmp_path / "rec.edf", eeg, unit=unit)
    recording = read_clinical(tmp_path / "rec.edf")
    assert any("no unit of voltage" in text for text in recording.warnings)
    np.testing.assert_allclose(recording.eeg, eeg, atol=0.01)


def test_labels_may_be_padded_with_nul(tmp_path: Path) -> None:
    write_edf(tmp_path / "rec.edf", noise())
    patch_header(tmp_path / "rec.edf", "label", [s.encode().ljust(16, b"\0") for s in EEG_COLUMNS])
    assert read_clinical(tmp_path / "rec.edf").available == EEG_COLUMNS


def test_annotations_in_any_encoding_are_not_needed(tmp_path: Path) -> None:
    eeg = noise(seconds=20)
    write_edf(tmp_path / "rec.edf", eeg)
    restamp(tmp_path / "rec.edf", list(range(20)), "EDF+C", text="Augen geöffnet".encode("latin-1"))
    recording = read_clinical(tmp_path / "rec.edf")
    np.testing.assert_allclose(recording.eeg, eeg, atol=0.01)


@pytest.mark.parametrize(
    ("field", "values", "said"),
    [
        ("low", [b"0"], "physical range 0"),
        ("least", [b"0"], "digital range 0"),
        ("high", [b"abc"], "its range is no number"),
    ],
)
def test_a_channel_without_a_range_is_interpolated(
    tmp_path: Path, field: str, values: list[bytes], said: str
) -> None:
    write_edf(tmp_path / "rec.edf", noise(seconds=10))
    pair = {"low": "high", "least": "most"}.get(field)
    patch_header(tmp_path / "rec.edf", field, values)
    if pair:
        patch_header(tmp_path / "rec.edf", pair, values)
    recording = read_clinical(tmp_path / "rec.edf")
    assert recording.interpolated == ("Fp1",)
    assert f"Left out ['Fp1'] ({said})." in recording.warnings


@pytest.mark.parametrize(
    ("at", "value", "said"),
    [
        (244, b"nan", "duration in seconds"),
        (244, b"-1", "duration in seconds"),
        (244, b"inf", "duration in seconds"),
        (244, b"1e999999", "duration in seconds"),
        (244, b"0.0002", "at most 100,000 Hz"),
        (244, b"2e-7", "at most 100,000 Hz"),
        (244, b"99999999", "may last 14 days"),
        (252, b"9999", "256 more a channel"),
        (252, b"-1", "256 more a channel"),
        (252, b"x", "256 more a channel"),
    ],
)
def test_absurd_headers_are_refused(tmp_path: Path, at: int, value: bytes, said: str) -> None:
    path = tmp_path / "rec.edf"
    write_edf(path, noise(seconds=10))
    content = path.read_bytes()
    path.write_bytes(
        content[:at] + value.ljust(8 if at < 252 else 4) + content[at + 8 - 4 * (at > 250) :]
    )
    with pytest.raises(InputError, match=said):
        read_clinical(path)


@pytest.mark.parametrize("n", [b"99999999", b"1e9", b"-5", b"2.5", b""])
def test_absurd_records_are_refused_before_memory_is_asked_for(tmp_path: Path, n: bytes) -> None:
    write_edf(tmp_path / "rec.edf", noise(seconds=10))
    patch_header(tmp_path / "rec.edf", "n_samples", [n])
    with pytest.raises(InputError, match=r"record (of|needs)|whole number of samples"):
        read_clinical(tmp_path / "rec.edf")


@pytest.mark.parametrize(("stated", "said"), [(b"-1", ""), (b"0", ""), (b"99", "shorter")])
def test_the_number_of_records_may_be_unknown_or_wrong(
    tmp_path: Path, stated: bytes, said: str
) -> None:
    path = tmp_path / "rec.edf"
    write_edf(path, noise(seconds=10))
    content = path.read_bytes()
    path.write_bytes(content[:236] + stated.ljust(8) + content[244:])
    recording = read_clinical(path)
    assert recording.n_times == 2000
    assert said in " ".join(recording.warnings)
    assert bool(recording.warnings) == bool(said)


def test_a_header_may_be_longer(tmp_path: Path) -> None:
    path, eeg = tmp_path / "rec.edf", noise(seconds=10)
    write_edf(path, eeg)
    content = path.read_bytes()
    path.write_bytes(content[:184] + b"6000    " + content[192:5376] + bytes(624) + content[5376:])
    np.testing.assert_allclose(read_clinical(path).eeg, eeg, atol=0.01)


def test_a_header_that_states_a_wrong_length_is_held_against_the_file(tmp_path: Path) -> None:
    path, eeg = tmp_path / "rec.edf", noise(seconds=10)
    write_edf(path, eeg)
    content = path.read_bytes()
    path.write_bytes(content[:184] + b"6000    " + content[192:])
    np.testing.assert_allclose(read_clinical(path).eeg, eeg, atol=0.01)
    path.write_bytes(content[:184] + b"6000    " + content[192:] + bytes(100))
    with pytest.raises(InputError, match=r"20 channels has 5376 bytes, but .* states 6000"):
        read_clinical(path)


@pytest.mark.parametrize(("n_records", "cut"), [(b"-1      ", 0), (b"10      ", 300)])
def test_a_longer_header_is_believed_where_the_records_do_not_tell(
    tmp_path: Path, n_records: bytes, cut: int
) -> None:
    path, eeg = tmp_path / "rec.edf", noise(seconds=10)
    write_edf(path, eeg)
    whole = path.read_bytes()
    assert whole[236:244].strip() == b"10"
    longer = whole[:184] + b"5632    " + whole[192:236] + n_records + whole[244:5376] + bytes(256)
    longer += whole[5376:]
    path.write_bytes(longer[: len(longer) - cut])
    found = read_clinical(path).eeg
    np.testing.assert_allclose(found, eeg[:, : found.shape[1]], atol=0.01)
    assert found.shape[1] >= 1800


def test_what_stands_behind_the_records_is_left_out(tmp_path: Path) -> None:
    path = tmp_path / "rec.edf"
    write_edf(path, noise(seconds=10))
    path.write_bytes(path.read_bytes() + bytes(40_000))
    recording = read_clinical(path)
    assert recording.n_times == 2000
    assert any("longer than its header" in text for text in recording.warnings)


def test_annotations_alone_are_no_recording(tmp_path: Path) -> None:
    edfio.Edf([], annotations=[edfio.EdfAnnotation(0, 30, "Sleep stage W")]).write(
        tmp_path / "rec.edf"
    )
    with pytest.raises(InputError, match=r"rec\.edf holds annotations only"):
        read_clinical(tmp_path / "rec.edf")


def test_a_pipe_a_device_and_a_folder_are_refused(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.edf")
    (tmp_path / "device.edf").symlink_to("/dev/zero")
    (tmp_path / "folder.edf").mkdir()
    for name in ("pipe", "device", "folder"):
        with pytest.raises(InputError, match=rf"regular file, but {name}\.edf is a {name}"):
            read_clinical(tmp_path / f"{name}.edf")


def test_a_file_that_is_none_is_refused(tmp_path: Path) -> None:
    (tmp_path / "bad.edf").write_bytes(b"0" * 100)
    with pytest.raises(InputError, match=r"bad\.edf has 100 bytes"):
        read_clinical(tmp_path / "bad.edf")


def test_a_disk_that_does_not_answer_may_answer_later(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_edf(tmp_path / "rec.edf", noise())

    def fails(*_: object, **__: object) -> None:
        raise OSError(5, "no answer")

    monkeypatch.setattr(Path, "open", fails)
    with pytest.raises(UnavailableError, match=r"rec\.edf could not be read"):
        read_clinical(tmp_path / "rec.edf")


def test_the_ending_may_be_the_other_one(tmp_path: Path) -> None:
    write_edf(tmp_path / "rec.bdf", noise())
    (tmp_path / "rec.bdf").rename(tmp_path / "rec.EDF")
    assert read_clinical(tmp_path / "rec.EDF").n_times == 800
    assert "edf" in FORMATS


def test_an_interrupted_recording_without_annotations_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "rec.edf"
    write_edf(path, noise(seconds=10))
    content = path.read_bytes()
    path.write_bytes(content[:192] + b"EDF+D" + content[197:])
    with pytest.raises(
        InputError, match=r"pauses \(EDF\+D\) needs a time stamp .* rec\.edf has none"
    ):
        read_clinical(path)


@pytest.mark.parametrize("label", [b"EDF annotations", b"EDF ANNOTATIONS"])
def test_annotations_are_known_in_any_case(tmp_path: Path, label: bytes) -> None:
    path = tmp_path / "rec.edf"
    write_edf(path, noise(seconds=10))
    restamp(path, [k if k < 5 else k + 7 for k in range(10)])
    path.write_bytes(path.read_bytes().replace(b"EDF Annotations", label))
    assert read_clinical(path).pauses == ((1000, 2400),)


def test_an_event_at_the_head_of_a_record_is_no_time_stamp(tmp_path: Path) -> None:
    """Some writers of EDF+C leave the stamps out, and put events where these belong."""
    path = tmp_path / "rec.edf"
    write_edf(path, noise(seconds=10))
    restamp(path, list(range(10)), kind="EDF+C")
    content = path.read_bytes()
    for k in range(10):
        stamp, event = b"+%d\x14\x14\0" % k, b"+%d\x14e\x14" % (k * 3)
        content = content.replace(
            stamp, event.ljust(len(stamp), b"\0")[: max(len(stamp), len(event))], 1
        )
    path.write_bytes(content[: path.stat().st_size])
    recording = read_clinical(path)
    assert (recording.n_times, recording.pauses) == (2000, ())
