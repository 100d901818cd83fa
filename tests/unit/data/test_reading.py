"""Recordings read in a process of their own: the same samples, and one file costs one file."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest

from hms_pipeline.data import reading
from hms_pipeline.data.encode import eeg_to_parquet
from hms_pipeline.data.formats.format import UnavailableError
from hms_pipeline.data.reading import Reader, ReadingProcess
from hms_pipeline.system.errors import InputError
from hms_pipeline.system.worker import Worker

from ...recordings import noise, restamp, write_edf


@pytest.fixture(scope="module")
def process() -> ReadingProcess:
    with ReadingProcess() as found:
        found._worker = Worker("tests.misbehaving", reading.MEMORY_BYTES)
        yield found
        found._worker.close()


def test_it_hands_over_what_direct_reading_gives(tmp_path: Path, process: ReadingProcess) -> None:
    path = tmp_path / "rec.edf"
    write_edf(path, noise(seconds=60))
    restamp(path, [k if k < 20 else k + 5 for k in range(60)])
    there, here = (reader.open(path, {"EKG": "ECG"}, {}) for reader in (process, Reader()))
    assert process.identify(path) == Reader().identify(path)
    for name in ("name", "n_times", "pauses", "warnings", "source"):
        assert getattr(there, name) == getattr(here, name)
    np.testing.assert_array_equal(there.read(-50, 9000), here.read(-50, 9000))


def test_parquets_are_read_there_too(tmp_path: Path, process: ReadingProcess) -> None:
    eeg = noise(seconds=60).astype(np.float32)
    (tmp_path / "1.parquet").write_bytes(eeg_to_parquet(eeg))
    recording = process.open(tmp_path / "1.parquet", None, {})
    np.testing.assert_array_equal(recording.read(100, 400), eeg[:, 100:400])
    assert (recording.n_times, recording.source) == (12_000, {})


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("crash.edf", r"crash\.edf could not be read: the program that reads it ended by SIGSEGV"),
        ("leave.edf", r"leave\.edf .* ended with exit status 3"),
        ("memory.edf", r"memory\.edf needs more than 4,294,967,296 bytes of memory"),
        ("raise.edf", r"raise\.edf could not be read \(KeyError\)"),
        ("hang.edf", r"hang\.edf .* gave no answer for 2 s"),
    ],
)
def test_a_file_that_ends_its_reader_costs_itself(
    tmp_path: Path, process: ReadingProcess, monkeypatch: pytest.MonkeyPatch, name: str, said: str
) -> None:
    monkeypatch.setattr(reading, "PATIENCE_S", 2)
    for path in (tmp_path / name, tmp_path / "rec.edf"):
        write_edf(path, noise())
    with pytest.raises(InputError, match=said) as caught:
        process.open(tmp_path / name, None, {})
    assert not isinstance(caught.value, UnavailableError)
    monkeypatch.undo()
    assert process.open(tmp_path / "rec.edf", None, {}).read(0, 100).shape == (20, 100)


def test_a_reader_that_was_killed_may_succeed_later(
    tmp_path: Path, process: ReadingProcess
) -> None:
    write_edf(tmp_path / "kill.edf", noise())
    with pytest.raises(UnavailableError, match="ended by SIGKILL"):
        process.open(tmp_path / "kill.edf", None, {})


def test_refusals_come_back_as_sentences(tmp_path: Path, process: ReadingProcess) -> None:
    os.mkfifo(tmp_path / "pipe.edf")
    for call in (process.identify, lambda path: process.open(path, None, {})):
        with pytest.raises(InputError, match=r"regular file, but pipe\.edf is a pipe"):
            call(tmp_path / "pipe.edf")
    (tmp_path / "bad.parquet").write_bytes(b"no")
    with pytest.raises(InputError, match=r"bad\.parquet must be a readable parquet"):
        process.open(tmp_path / "bad.parquet", None, {})
    with pytest.raises(UnavailableError, match="not there|does not exist"):
        process.identify(tmp_path / "none.edf")


def test_a_spoiled_page_is_the_files_own_fault(tmp_path: Path, process: ReadingProcess) -> None:
    """Arrow raises OSError for it, as the disk does; trying again would never succeed."""
    content = bytearray(eeg_to_parquet(noise(seconds=60)))
    content[5000] ^= 1
    (tmp_path / "1.parquet").write_bytes(content)
    with pytest.raises(InputError, match="checksum is wrong") as caught:
        process.open(tmp_path / "1.parquet", None, {})
    assert not isinstance(caught.value, UnavailableError)


def test_only_the_last_recording_is_held(tmp_path: Path, process: ReadingProcess) -> None:
    for name in ("a.edf", "b.edf"):
        write_edf(tmp_path / name, noise())
    first = process.open(tmp_path / "a.edf", None, {})
    process.open(tmp_path / "b.edf", None, {})
    with pytest.raises(InputError, match=r"a\.edf is not open any more"):
        first.read(0, 100)


@pytest.mark.parametrize("moment", ["open", "read"])
def test_a_file_that_is_replaced_meanwhile_is_refused(
    tmp_path: Path, process: ReadingProcess, moment: str
) -> None:
    """The answer would belong to another content than the one that names it."""
    path, other = tmp_path / "rec.edf", tmp_path / "other.edf"
    write_edf(path, noise(seconds=10))
    write_edf(other, noise(seconds=10, seed=1))
    os.utime(other, ns=(path.stat().st_atime_ns, path.stat().st_mtime_ns))
    process.identify(path)
    recording = process.open(path, None, {})
    assert recording.read(0, 100).shape == (20, 100)
    other.replace(path)
    with pytest.raises(UnavailableError, match=r"rec\.edf was changed or replaced"):
        process.open(path, None, {}) if moment == "open" else recording.read(0, 100)
    process.identify(path)
    assert process.open(path, None, {}).n_times == 2000


def test_what_is_identified_is_what_was_opened(tmp_path: Path, process: ReadingProcess) -> None:
    """A recording is opened first; its content's hash must be of the very same files."""
    path, other = tmp_path / "rec.edf", tmp_path / "other.edf"
    write_edf(path, noise(seconds=10))
    write_edf(other, noise(seconds=10, seed=1))
    process.open(path, None, {})
    assert process.identify(path) == Reader().identify(path)
    other.replace(path)
    with pytest.raises(UnavailableError, match=r"rec\.edf was changed or replaced"):
        process.identify(path)
    assert process.identify(path) == Reader().identify(path)
