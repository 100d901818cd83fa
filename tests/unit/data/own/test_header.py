from __future__ import annotations

import datetime as dt
from pathlib import Path
from zoneinfo import ZoneInfo

import edfio
import numpy as np
import pytest

from hms_pipeline.data.own.header import Clock, read_header
from hms_pipeline.system.errors import InputError
from tests.own_recordings import noise, pause, write_edf_plus

mne = pytest.importorskip("mne")
BERLIN = ZoneInfo("Europe/Berlin")
EVENING = dt.datetime(2026, 3, 1, 22, 15, 0)


@pytest.mark.parametrize(
    ("onset", "zone", "seconds"),
    [
        ("2026-03-01T22:16:40", None, 100.0),
        ("2026-03-01 22:16:40.5", None, 100.5),
        ("2026-03-01 22:16:40,5", None, 100.5),
        ("22:16:40", None, 100.0),
        ("22:16", None, 60.0),
        ("00:15:00", None, 7200.0),  # after midnight
        ("2026-03-01T22:16:40", BERLIN, 100.0),
        ("2026-03-01T21:16:40Z", BERLIN, 100.0),
        ("2026-03-01T16:16:40-05:00", BERLIN, 100.0),
        ("22:16:40", BERLIN, 100.0),
    ],
)
def test_a_local_header(onset: str, zone: ZoneInfo | None, seconds: float) -> None:
    assert Clock(EVENING, zone, zone).seconds(onset) == seconds


@pytest.mark.parametrize(
    ("onset", "zone", "seconds"),
    [
        ("2026-03-01T22:16:40Z", None, 100.0),
        ("2026-03-01T23:16:40+01:00", None, 100.0),
        ("2026-03-01T23:16:40", BERLIN, 100.0),
        ("23:16:40", BERLIN, 100.0),
    ],
)
def test_a_header_in_utc(onset: str, zone: ZoneInfo | None, seconds: float) -> None:
    assert Clock(EVENING, dt.UTC, zone).seconds(onset) == seconds


def test_seconds_run_on_where_the_clocks_are_changed() -> None:
    before = dt.datetime(2026, 3, 29, 1, 0, 0)  # 02:00 becomes 03:00
    assert Clock(before, BERLIN, BERLIN).seconds("2026-03-29T04:00:00") == 2 * 3600
    assert Clock(before, None, None).seconds("2026-03-29T04:00:00") == 3 * 3600
    with pytest.raises(InputError, match="ambiguous"):
        Clock(before, BERLIN, BERLIN).seconds("2026-10-25T02:30:00")


@pytest.mark.parametrize(
    ("clock", "onset", "words"),
    [
        (Clock(None, None, None), "22:15:00", "no start time"),
        (Clock(EVENING, None, None), "2026-03-01T21:15:00Z", "--timezone"),
        (Clock(EVENING, dt.UTC, None), "2026-03-01T21:15:00", "--timezone"),
        (Clock(EVENING, dt.UTC, None), "21:15:00", "--timezone"),
        (Clock(EVENING, None, None), "01.03.2026 22:15", "2026-03-01T22:15:00"),
        (Clock(EVENING, None, None), "25:00:00", "23:59:59"),
    ],
)
def test_clocks_that_cannot_be_compared_are_said(clock: Clock, onset: str, words: str) -> None:
    with pytest.raises(InputError, match=words):
        clock.seconds(onset)


@pytest.mark.parametrize("fraction_s", [0.0, 0.25])
def test_an_edfs_clock_and_annotations(tmp_path: Path, fraction_s: float) -> None:
    start = EVENING + dt.timedelta(seconds=fraction_s)
    path = write_edf_plus(
        tmp_path / "rec.edf", noise(0, 60), [(12.5, 10.0, "Anfall ä"), (20.0, None, "x")],
        start=start,
    )  # fmt: skip
    header = read_header(path, 60.0)
    assert header.marks == ((12.5, 10.0, "Anfall ä"), (20.0, 0.0, "x"))
    assert header.clock.start == start


def test_annotations_behind_a_pause_keep_their_time(tmp_path: Path) -> None:
    """EDF+ states seconds: 20 s of samples and a pause of 30 s, which time stamps tell."""
    marks = [(2.0, 10.0, "before"), (45.0, 10.0, "across the end"), (49.0, None, "behind")]
    path = write_edf_plus(tmp_path / "rec.edf", noise(0, 20), marks)
    pause(path, 10, 30)
    assert read_header(path, 50.0).marks == tuple((a, b or 0.0, text) for a, b, text in marks)


def test_annotations_in_an_old_code_page(tmp_path: Path) -> None:
    path = write_edf_plus(tmp_path / "rec.edf", noise(0, 5), [(2.0, None, "Krampf xy ")])
    path.write_bytes(path.read_bytes().replace(b"Krampf xy ", "Anfälle ö!".encode("latin-1")))
    assert read_header(path, 5.0).marks == ((2.0, 0.0, "Anfälle ö!"),)


def test_a_plain_edf_has_a_clock_and_no_annotations(tmp_path: Path) -> None:
    path = tmp_path / "rec.edf"
    signal = edfio.EdfSignal(noise(0, 5)[0], 200, label="Fz")
    edfio.Edf([signal], starttime=EVENING.time()).write(path)
    content = bytearray(path.read_bytes())
    content[168:176] = b"01.03.26"
    path.write_bytes(content)
    assert b"EDF Annotations" not in content
    header = read_header(path, 5.0)
    assert header.marks == ()
    assert header.clock.start == EVENING


def test_annotations_of_a_fif_that_was_cropped_count_from_its_first_sample(tmp_path: Path) -> None:
    info = mne.create_info(["Fp1", "Fz"], 200.0, "eeg")
    raw = mne.io.RawArray(np.zeros((2, 20_000)), info, verbose="error")
    raw.set_meas_date(EVENING.replace(tzinfo=dt.UTC))
    raw.set_annotations(mne.Annotations([30.0], [10.0], ["lpd"], orig_time=raw.info["meas_date"]))
    cropped = raw.crop(20.0, 90.0)
    cropped.save(tmp_path / "rec_eeg.fif", verbose="error")
    header = read_header(tmp_path / "rec_eeg.fif", cropped.n_times / 200.0)
    assert header.marks == ((10.0, 10.0, "lpd"),)
    assert header.clock.seconds("2026-03-01T22:15:30Z") == 10.0


def test_marks_that_count_samples_of_a_recording_with_pauses_are_refused(tmp_path: Path) -> None:
    path = _brainvision(tmp_path)
    assert read_header(path, 60.0).marks[-1] == (12.5, 0.005, "Comment/lpd")
    with pytest.raises(InputError, match=r"paused for 30 s"):
        read_header(path, 90.0)


def _brainvision(folder: Path) -> Path:
    pybv = pytest.importorskip("pybv")
    events = [{"onset": 2500, "duration": 1, "description": "lpd", "type": "Comment"}]
    pybv.write_brainvision(
        data=np.zeros((2, 12_000)), sfreq=200.0, ch_names=["Fp1", "Fz"], fname_base="rec",
        folder_out=str(folder), events=events,
    )  # fmt: skip
    return folder / "rec.vhdr"
