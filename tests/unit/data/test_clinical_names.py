"""Channel labels of clinical files: electrodes, derivations, references."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hms_pipeline.data.clinical_names import Channel, parse_label, parse_labels
from hms_pipeline.system.errors import InputError


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
        ("C3:A2", "C3", "A2"),
        ("EEG C4/M1", "C4", "M1"),
        ("Fp1_Ref", "Fp1", "REF"),
        ("EEG T7 Ref", "T3", "REF"),
        ("EEG O1 A1+A2", "O1", "A1+A2"),
        ("Fp2\u2013F8", "Fp2", "F8"),
        ("EEG-Fz", "Fz", "REF"),
        ("EEGCz", "Cz", "REF"),
        ("Pz+", "Pz", "REF"),
        ("F3:M2-1", "F3", "M2"),
        ("F3-A1/A2", "F3", "A1/A2"),
        ("F3-A1 A2", "F3", "A1 A2"),
        ("F3-M1 / M2", "F3", "M1 / M2"),
        ("F3:A1/A2", "F3", "A1/A2"),
        ("C3/Ref2", "C3", "REF2"),
        ("F3 Reference", "F3", "REFERENCE"),
        ("Fp1/F7", "Fp1", "F7"),
        ("T4 LE", "T4", "LE"),
        ("P3_AV", "P3", "AV"),
        ("C3 CAR", "C3", "CAR"),
    ],
)
def test_labels(label: str, plus: str, minus: str) -> None:
    assert parse_label(label) == Channel(label, plus, minus)


@pytest.mark.parametrize(
    "label",
    [
        "SPO2",
        "HR",
        "1",
        "MK",
        "EEG 30-LE",
        "PHOTIC PH",
        "EEG A1-LE",
        "EEG Effort-Ref",
        "",
        "O2 Sat",
        "O2_Sat",
        "P3 ABP",
        "F4 flow",
        "C3'",
        "Fp1-F7-T3",
        "Fp1\u2013F7\u2013T3",
        "Fp1:F7:T3",
        "Fp1/F7/T3",
        "Fp1-F7/T3",
        "F3 refresh",
        "F3/Refresh",
        "O2/CO2",
        "O2:CO2",
        "EEG O2/CO2-0",
        "O2: Sat",
        "O2:%",
        "O2/min",
        "F3/Flow",
        "P3 : art",
        "Pz/Temp",
        "C3/4",
        "F3/4",
        "O1/2",
        "C3:1",
    ],
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


def test_both_inputs_of_an_amplifier_are_no_two_recordings_of_one_electrode() -> None:
    with pytest.raises(InputError, match=r"beside \['FP1\+'\] the file has the same with '-'"):
        parse_labels(["Fp1+", "Fp1-", "DC1+", "DC1-"])
    assert parse_labels(["Fp1+", "Fp2-", "DC1+", "DC1-"])[2:] == [None, None]
