"""Montages: hand-made subtractions, what a common reference does, mirrors."""

import pytest
import torch

from hms_pipeline.schema import CHAIN_PAIRS, DIFFERENTIAL, DOUBLE_BANANA, EEG_COLUMNS, REGIONS
from hms_pipeline.signal import montage
from hms_pipeline.system.errors import InputError
from tests.electrodes import mirror_electrodes


@pytest.fixture
def eeg():
    return torch.randn(2, 20, 50, generator=torch.Generator().manual_seed(0)) * 50


def test_a_derivation_is_the_subtraction_by_hand(eeg):
    derived = montage.derive(eeg, DOUBLE_BANANA)
    for row, (a, b) in enumerate(DOUBLE_BANANA):
        by_hand = eeg[:, EEG_COLUMNS.index(a)] - eeg[:, EEG_COLUMNS.index(b)]
        torch.testing.assert_close(derived[:, row], by_hand, rtol=0, atol=0)


@pytest.mark.parametrize("pairs", [DOUBLE_BANANA, CHAIN_PAIRS, DIFFERENTIAL])
def test_a_common_reference_cancels(eeg, pairs):
    shifted = eeg + torch.randn(2, 1, 50)
    derived = montage.derive(eeg, pairs)
    torch.testing.assert_close(montage.derive(shifted, pairs), derived, rtol=0, atol=1e-4)


def test_a_chain_telescopes_to_its_ends(eeg):
    ends = [("Fp1", "O1"), ("Fp2", "O2"), ("Fp1", "O1"), ("Fp2", "O2")]
    torch.testing.assert_close(
        montage.chains(eeg).sum(2), montage.derive(eeg, ends), rtol=0, atol=1e-4
    )


@pytest.mark.parametrize("pairs", [DOUBLE_BANANA, CHAIN_PAIRS, DIFFERENTIAL])
def test_mirrored_rows_are_the_rows_of_the_mirrored_electrodes(eeg, pairs):
    permutation, signs = montage.mirror_of(pairs)
    mirrored = montage.derive(mirror_electrodes(eeg), pairs)
    expected = montage.derive(eeg, pairs)[:, list(permutation)] * torch.tensor(signs)[:, None]
    torch.testing.assert_close(mirrored, expected, rtol=0, atol=0)


def test_a_row_that_is_its_own_opposite_changes_sign(eeg):
    assert montage.mirror_of([("F3", "F4")]) == ((0,), (-1,))


def test_regions_swap_sides():
    assert montage.mirror_of(REGIONS) == ((1, 0, 3, 2), (1, 1, 1, 1))


def test_a_row_without_its_mirror_image_is_refused():
    with pytest.raises(ValueError, match=r"\('Fp2', 'F8'\)"):
        montage.mirror_of([("Fp1", "F7")])


def test_too_few_channels_are_refused():
    with pytest.raises(InputError, match="needs 19 electrodes.*has 18"):
        montage.derive(torch.zeros(1, 18, 5), DOUBLE_BANANA)
