"""BrainVision: samples and markers of any name, pauses, orders and sample types."""

from __future__ import annotations

import os
from pathlib import Path

import mne
import numpy as np
import pybv
import pytest

from hms_pipeline.data.clinical import read_clinical
from hms_pipeline.data.content import content_hash, files_of, list_recordings
from hms_pipeline.schema import EEG_COLUMNS
from hms_pipeline.system.errors import InputError

from ....recordings import difference, noise, write_brainvision


def test_millivolts(tmp_path: Path) -> None:
    eeg = noise()
    path = write_brainvision(tmp_path, eeg)
    recording = read_clinical(path)
    assert recording.warnings == ()
    np.testing.assert_allclose(recording.eeg, eeg, atol=1e-3)


def test_segments_that_no_marker_tells_of_are_refused(tmp_path: Path) -> None:
    path = write_brainvision(tmp_path, noise())
    text = path.read_text(encoding="utf-8")
    for kind in ("MARKERBASED", "NOTSEGMENTED"):
        path.write_text(
            text.replace("[Common Infos]", f"[Common Infos]\nSegmentationType={kind}"),
            encoding="utf-8",
        )
        if kind == "NOTSEGMENTED":
            assert not read_clinical(path).pauses
            continue
        with pytest.raises(InputError, match=r"need markers .New Segment., but rec\.vhdr has none"):
            read_clinical(path)


def segmented(folder: Path, places: list[int], length: str) -> Path:
    """Four seconds in segments that were cut out and joined."""
    markers = "\n".join(f"Mk{n}=New Segment,,{place},1,0" for n, place in enumerate(places, 1))
    path = write_brainvision(folder, noise(), markers=markers)
    header = f"[Common Infos]\nSegmentationType=MARKERBASED\n{length}"
    text = path.read_text(encoding="utf-8").replace("[Common Infos]", header)
    path.write_text(text, encoding="utf-8")
    return path


@pytest.mark.parametrize(
    ("places", "length", "needed"),
    [
        ([1], "", 2),
        ([1, 801], "", 2),
        ([1, 1], "", 2),
        ([1], "SegmentDataPoints=", 2),
        ([1], "SegmentDataPoints=200", 4),
        ([1, 201, 401], "SegmentDataPoints=200", 4),
    ],
)
def test_segments_need_a_marker_each(
    tmp_path: Path, places: list[int], length: str, needed: int
) -> None:
    with pytest.raises(InputError, match=f"has {len(places)} for at least {needed} segments"):
        read_clinical(segmented(tmp_path, places, length))


@pytest.mark.parametrize(
    ("places", "length", "n_pauses"),
    [
        ([1, 301], "", 1),
        ([301], "", 1),
        ([1, 201, 401, 601], "SegmentDataPoints=200", 3),
        ([1], "SegmentDataPoints=800", 0),
        ([], "SegmentDataPoints=800", 0),
    ],
)
def test_segments_that_markers_tell_of_are_read(
    tmp_path: Path, places: list[int], length: str, n_pauses: int
) -> None:
    assert len(read_clinical(segmented(tmp_path, places, length)).pauses) == n_pauses


@pytest.mark.parametrize("key", ["SegmentationType", "DataType"])
def test_a_key_without_a_value_states_nothing(tmp_path: Path, key: str) -> None:
    path = write_brainvision(tmp_path, noise())
    text = path.read_text(encoding="utf-8").replace("[Common Infos]", f"[Common Infos]\n{key}=")
    path.write_text(text, encoding="utf-8")
    assert read_clinical(path).n_times == 800


@pytest.mark.parametrize("fmt", ["binary_int16", "binary_float32"])
def test_samples_are_those_that_mne_finds(tmp_path: Path, fmt: str) -> None:
    eeg = noise(seconds=10)
    pybv.write_brainvision(
        data=eeg * 1e-6, sfreq=200, ch_names=list(EEG_COLUMNS), fname_base="rec", resolution=0.1,
        folder_out=tmp_path, fmt=fmt, unit="µV", events=None,
    )  # fmt: skip
    raw = mne.io.read_raw_brainvision(tmp_path / "rec.vhdr", verbose="error")
    np.testing.assert_allclose(
        read_clinical(tmp_path / "rec.vhdr").eeg, raw.get_data() * 1e6, atol=1e-4
    )


def test_samples_channel_by_channel(tmp_path: Path) -> None:
    eeg = noise()
    path = write_brainvision(tmp_path, eeg)
    (tmp_path / "rec.eeg").write_bytes((eeg / 1e3).astype("<f4").tobytes())
    path.write_text(path.read_text().replace("MULTIPLEXED", "VECTORIZED"))
    recording = read_clinical(path)
    np.testing.assert_allclose(recording.eeg, eeg, atol=1e-3)
    np.testing.assert_array_equal(recording.read(101, 333), recording.eeg[:, 101:333])


def test_text_samples_are_left_to_mne(tmp_path: Path) -> None:
    eeg = noise(seconds=2)
    path = write_brainvision(tmp_path, eeg, markers="Mk1=New Segment,ä,1,1\nMk2=New Segment,,201,1")
    np.savetxt(tmp_path / "rec.eeg", eeg.T / 1e3, fmt="%.6f")
    path.write_text(
        path.read_text()
        .replace("DataFormat=BINARY", "DataFormat=ASCII")
        .replace("[Binary Infos]", "[ASCII Infos]\nDecimalSymbol=.\nSkipLines=0\nSkipColumns=0")
    )
    recording = read_clinical(path)
    np.testing.assert_allclose(recording.eeg, eeg, atol=1e-2)
    assert recording.pauses == ((200, 200),)


def test_a_header_names_its_files_in_utf_8(tmp_path: Path) -> None:
    path = write_brainvision(tmp_path, noise(), samples="Messung_ä")
    assert [file.name for file in files_of(path)] == ["rec.vhdr", "Messung_ä.eeg", "Messung_ä.vmrk"]


def test_a_recording_that_was_renamed_is_found_by_its_stem(tmp_path: Path) -> None:
    eeg = noise()
    path = write_brainvision(tmp_path, eeg, samples="before")
    for ending in ("eeg", "vmrk"):
        (tmp_path / f"before.{ending}").rename(tmp_path / f"rec.{ending}")
    np.testing.assert_allclose(read_clinical(path).eeg, eeg, atol=1e-3)
    assert len(files_of(path)) == 3
    (tmp_path / "rec.eeg").rename(tmp_path / "other.eeg")
    with pytest.raises(InputError, match=r"not beside it.*files there end in \['.eeg', '.vhdr'"):
        read_clinical(path)


def test_its_samples_alone_are_no_recording(tmp_path: Path) -> None:
    path = write_brainvision(tmp_path, noise())
    path.unlink()
    with pytest.raises(InputError, match=r"Nihon Kohden recording, but rec\.eeg is none.*vhdr"):
        read_clinical(tmp_path / "rec.eeg")


def test_a_pause_that_markers_date(tmp_path: Path) -> None:
    eeg = noise(seconds=60)
    markers = (
        "Mk1=New Segment,,1,1,0,20260102235950000000\nMk2=Stimulus,Augen geöffnet,7,1,0\n"
        "Mk3=New Segment,,4001,1,0,20260103000015500000"
    )
    recording = read_clinical(write_brainvision(tmp_path, eeg, markers=markers))
    assert recording.pauses == ((4000, 5100),)
    assert recording.n_times == 12_000 + 1100
    np.testing.assert_allclose(recording.read(5100, 13_100), eeg[:, 4000:], atol=1e-3)


@pytest.mark.parametrize("date", ["", ",00000000000000000000"])
def test_a_pause_of_unknown_length_is_told(tmp_path: Path, date: str) -> None:
    markers = f"Mk1=New Segment,,1,1,0{date}\nMk2=New Segment,,4001,1,0{date}"
    recording = read_clinical(write_brainvision(tmp_path, noise(seconds=60), markers=markers))
    assert (recording.pauses, recording.n_times) == (((4000, 4000),), 12_000)
    assert any("unknown length at 20 s" in text for text in recording.warnings)


def test_a_clock_that_was_set_back_tells_no_length(tmp_path: Path) -> None:
    """Nor does the order of the marks matter."""
    markers = (
        "Mk2=New Segment,,4001,1,0,20260102115900000000\n"
        "Mk1=New Segment,,1,1,0,20260102120000000000"
    )
    recording = read_clinical(write_brainvision(tmp_path, noise(seconds=60), markers=markers))
    assert (recording.pauses, recording.n_times) == (((4000, 4000),), 12_000)
    assert any("unknown length at 20 s" in text for text in recording.warnings)


def test_samples_that_are_no_whole_number_are_told(tmp_path: Path) -> None:
    path = write_brainvision(tmp_path, noise())
    with (tmp_path / "rec.eeg").open("ab") as stream:
        stream.write(b"1234567")
    recording = read_clinical(path)
    assert recording.n_times == 800
    assert "The file of samples ends within a sample." in recording.warnings


def test_a_new_segment_without_a_pause_is_none(tmp_path: Path) -> None:
    markers = (
        "Mk1=New Segment,,1,1,0,20260102120000000000\n"
        "Mk2=New Segment,,4001,1,0,20260102120020000000"
    )
    recording = read_clinical(write_brainvision(tmp_path, noise(seconds=60), markers=markers))
    assert (recording.pauses, recording.warnings) == ((), ())


def test_equal_headers_with_other_samples_are_two(tmp_path: Path) -> None:
    paths = [
        write_brainvision(tmp_path / f"p{seed}", noise(seed=seed), samples="Messung_ä")
        for seed in (1, 2)
    ]
    assert paths[0].read_bytes() == paths[1].read_bytes()
    assert content_hash(paths[0]) != content_hash(paths[1])


@pytest.mark.parametrize("missing", ["markers", "pipe"])
def test_markers_are_not_needed(tmp_path: Path, missing: str) -> None:
    path = write_brainvision(tmp_path, noise())
    (tmp_path / "rec.vmrk").unlink()
    if missing == "pipe":
        os.mkfifo(tmp_path / "rec.vmrk")
    assert read_clinical(path).n_times == 800


def test_samples_that_are_a_pipe_are_refused(tmp_path: Path) -> None:
    path = write_brainvision(tmp_path, noise())
    (tmp_path / "rec.eeg").unlink()
    os.mkfifo(tmp_path / "rec.eeg")
    with pytest.raises(InputError, match=r"regular file, but rec\.eeg is a pipe"):
        read_clinical(path)
    assert list_recordings([path]) == [path]


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("NumberOfChannels=20", "NumberOfChannels=999999999", "NumberOfChannels"),
        ("NumberOfChannels=20", "NumberOfChannels=", "NumberOfChannels"),
        ("NumberOfChannels=20", "NumberOfChannels=21", r"NumberOfChannels \(20, which it lists\)"),
        ("NumberOfChannels=20", "NumberOfChannels=10", r"NumberOfChannels \(20, which it lists\)"),
        ("SamplingInterval=5000", "SamplingInterval=0", "SamplingInterval"),
        ("SamplingInterval=5000", "SamplingInterval=nan", "SamplingInterval"),
        ("SamplingInterval=5000", "SamplingInterval=1e-9", "sampled at"),
        ("IEEE_FLOAT_32", "INT_64", "BinaryFormat"),
    ],
)
def test_absurd_headers_are_refused(tmp_path: Path, old: str, new: str, said: str) -> None:
    path = write_brainvision(tmp_path, noise())
    path.write_text(path.read_text().replace(old, new))
    with pytest.raises(InputError, match=said):
        read_clinical(path)


def test_the_interval_is_exact(tmp_path: Path) -> None:
    """5000.5 µs over 100 s: the last sample lies 10 ms later than at 5000 µs."""
    path = write_brainvision(tmp_path, noise(seconds=100))
    path.write_text(path.read_text().replace("Interval=5000", "Interval=5000.5"))
    assert read_clinical(path).n_times == 20_002


def test_references_that_the_header_names_count(tmp_path: Path) -> None:
    """The second field of a channel; labels alone would make all of these one reference's."""
    eeg = noise()
    path = write_brainvision(tmp_path, eeg)
    text = path.read_text(encoding="utf-8")
    common = text.replace(",,1,mV", ",CPz,1,mV")
    path.write_text(text.replace(",,1,mV", ",Cz,1,mV"), encoding="utf-8")
    assert read_clinical(path).derivations == ()  # one reference, an electrode or not
    path.write_text(common, encoding="utf-8")
    np.testing.assert_allclose(
        difference(read_clinical(path).eeg, ("Fp1", "F3")),
        difference(eeg, ("Fp1", "F3")),
        atol=1e-3,
    )
    path.write_text(text.replace("=Fp1,,1", "=Fp1,F7,1"), encoding="utf-8")
    recording = read_clinical(path)
    assert recording.derivations == ("Fp1",)
    np.testing.assert_allclose(difference(recording.eeg, ("Fp1", "F7")), eeg[0], atol=1e-3)
    path.write_text(common.replace("Fp1,CPz", "Fp1,A1"), encoding="utf-8")
    with pytest.raises(InputError, match=r"derivations \['Fp1-F7', 'Fp1-F3'"):
        read_clinical(path)
