"""Recorded channels → the electrodes' potentials."""

from __future__ import annotations

import re

import mne
import numpy as np
import pytest

from hms_pipeline.data.clinical_montage import PAIRS, position, reconstruct, spline_weights
from hms_pipeline.data.clinical_names import Channel, parse_labels
from hms_pipeline.schema import DOUBLE_BANANA, EEG_COLUMNS, ELECTRODES, REGION_PAIRS
from hms_pipeline.system.errors import InputError

from ...recordings import difference, noise


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


def test_a_refusal_says_what_was_left_out_and_what_else_is_there() -> None:
    have = [site for site in ELECTRODES if site not in ("Fz", "O2")]
    with pytest.raises(InputError, match=r"left out \['O2'\] \(flat\); other labels are \['E11'\]"):
        reconstruct(channels(*have), "rec.edf", 1, [("O2", "flat")], ["E11"])
