import numpy as np
import pytest

from hms_pipeline.config import load_params
from hms_pipeline.data.quality import eeg_masks
from hms_pipeline.data.window import Window
from hms_pipeline.inference.checks import GAP_SHARE, check_window
from hms_pipeline.inference.predictor import Predictor
from hms_pipeline.schema import EEG_COLUMNS
from hms_pipeline.system.errors import InputError
from hms_pipeline.validation.quality import eeg_windows

from ...scorer import ROOT


@pytest.fixture
def eeg():
    return np.random.default_rng(0).normal(scale=30, size=(20, 10_000)).astype(np.float32)


@pytest.fixture
def spectrogram():
    return np.random.default_rng(0).gamma(1.0, size=(4, 100, 300)).astype(np.float32)


def test_a_good_window_passes_unchanged(eeg, spectrogram):
    window, warnings = check_window(Window(eeg, spectrogram), 0)
    assert warnings == ()
    assert window.eeg is eeg


def refused(window: Window, *words: str) -> None:
    with pytest.raises(InputError) as caught:
        check_window(window, 7)
    for word in ("Row 7", *words):
        assert word in str(caught.value)


def test_wrong_shapes_are_refused(eeg, spectrogram):
    refused(Window(eeg[:, :9000], spectrogram), "column eeg", "(20, 9000)")
    refused(Window(eeg, spectrogram[:, :, :10]), "column spectrogram")


def test_infinite_values_are_refused_by_channel(eeg, spectrogram):
    eeg[3, 17] = np.inf
    refused(Window(eeg, spectrogram), "P3", "infinite")


def test_infinite_power_is_refused_by_region(eeg, spectrogram):
    spectrogram[2, 4, 5] = -np.inf
    refused(Window(eeg, spectrogram), "LP", "infinite")


def test_absurd_amplitude_is_refused(eeg, spectrogram):
    eeg[19, 0] = 1e7
    refused(Window(eeg, spectrogram), "EKG", "microvolts")


def test_negative_power_is_refused(eeg, spectrogram):
    refused(Window(eeg, np.log(spectrogram)), "decibels")


def test_no_usable_electrode_is_refused(eeg, spectrogram):
    empty, flat = eeg.copy(), eeg.copy()
    empty[:19] = np.nan
    flat[:19] = 3.0
    refused(Window(empty, spectrogram), "holds no value")
    refused(Window(flat, spectrogram), "empty or flat")


def test_text_is_refused(spectrogram):
    refused(Window(np.full((20, 10_000), "a"), spectrogram), "needs numbers")


def test_bad_channels_are_named(eeg, spectrogram):
    eeg[0] = np.nan
    eeg[5] = 0.0
    _, warnings = check_window(Window(eeg, spectrogram), 0)
    assert warnings == ("missing channels: Fp1", "flat channels: T3")
    assert EEG_COLUMNS[5] == "T3"


@pytest.mark.parametrize(("value", "kind"), [(np.nan, "missing"), (3.0, "flat")])
def test_a_bad_ekg_is_told_and_moves_nothing(eeg, spectrogram, bundle, value, kind):
    predictor = Predictor.open(bundle, device="cpu")
    whole = predictor.predict([Window(eeg.copy(), spectrogram)])
    eeg[19] = value
    without = predictor.predict([Window(eeg, spectrogram)])
    assert whole.warnings == [()]
    assert without.warnings == [(f"{kind} channels: EKG",)]
    assert without.members_used == whole.members_used == [predictor.members]
    np.testing.assert_array_equal(without.member_probs, whole.member_probs)
    np.testing.assert_array_equal(without.probs, whole.probs)


@pytest.mark.parametrize(
    ("share", "said"),
    [(0.9, ("mostly missing channels: T5",)), (0.4, ("channels with gaps: T5",)), (0.04, ())],
)
def test_one_channels_gap_does_not_drown_in_the_others(eeg, spectrogram, share, said):
    eeg[EEG_COLUMNS.index("T5"), : int(share * eeg.shape[1])] = np.nan
    assert np.isnan(eeg).mean() < GAP_SHARE
    assert check_window(Window(eeg, spectrogram), 0)[1] == said


def test_a_lost_channel_is_named_beside_gaps_in_all(eeg, spectrogram):
    eeg[:, :2000] = np.nan
    eeg[0, :9000] = np.nan
    said = check_window(Window(eeg, spectrogram), 0)[1]
    assert said == ("mostly missing channels: Fp1", "EEG: 24% of the samples missing")


def test_gaps_are_reported(eeg, spectrogram):
    eeg[:, :2000] = np.nan
    spectrogram[:, :, :150] = np.nan
    _, warnings = check_window(Window(eeg, spectrogram), 0)
    assert warnings == ("EEG: 20% of the samples missing", "spectrogram: 50% missing")


def test_an_empty_spectrogram_counts_as_none(eeg, spectrogram):
    window, warnings = check_window(Window(eeg, np.full_like(spectrogram, np.nan)), 0)
    assert window.spectrogram is None
    assert warnings == ("no spectrogram",)


def test_volts_are_suspected(eeg, spectrogram):
    _, warnings = check_window(Window(eeg * 1e-6, spectrogram), 0)
    assert "volts" in warnings[0]


@pytest.mark.parametrize("common_uv", [0.0, 50.0, 5000.0])
def test_a_signal_that_all_electrodes_share_is_no_eeg(eeg, spectrogram, common_uv):
    wave = common_uv * np.sin(np.arange(eeg.shape[1]) / 20)
    said = check_window(Window((wave + eeg / 300).astype(np.float32), spectrogram), 0)[1]
    assert said == (
        "no derivation varies by more than 2 µV: no EEG, one signal on all electrodes, or not"
        " microvolts",
    )
    eeg[1:19] = eeg[0]
    eeg[EEG_COLUMNS.index("O2")] += 3 * np.sin(np.arange(eeg.shape[1]) / 20)
    assert check_window(Window(eeg, spectrogram), 0)[1] == ()


def test_nothing_is_said_of_a_spectrogram_that_no_member_reads(eeg, spectrogram):
    spectrogram[:, :, :150] = np.nan
    for given in (None, spectrogram):
        assert check_window(Window(eeg, given), 0, reads_spectrogram=False)[1] == ()


@pytest.fixture(scope="module")
def validation():
    return load_params(ROOT / "params.yaml").validation


@pytest.mark.parametrize("share", [0.004, 0.02, 0.3, 0.6])
@pytest.mark.parametrize("fault", ["flat", "limit", "far"])
def test_what_training_leaves_out_is_named_and_nothing_else(eeg, validation, fault, share):
    n = int(share * eeg.shape[1])
    if fault == "flat":
        eeg[5, :n] = eeg[5, 0]
    elif fault == "limit":
        eeg[5] = np.clip(eeg[5], None, 900)
        eeg[5, 200 : 200 + n] = 900
    else:
        eeg[5, :n] += 20_000
        eeg[5] -= np.median(eeg[5])
    said = check_window(Window(eeg, None), 0, left_out=validation)[1]
    _, _, dead, saturated, extreme = eeg_windows(eeg_masks(eeg, validation), [0], validation)[0]
    assert said == tuple(
        sentence
        for sentence, left_out in (
            ("channels flat for much of the time: T3", dead > validation.dead_channel.electrodes),
            ("channels at their limit: T3", saturated > validation.saturated.share),
            ("channels beyond 5000 µV: T3", extreme > validation.extreme_amplitude.share),
            ("no spectrogram", True),
        )
        if left_out
    )
    assert (len(said) > 1) == (share > (0.5 if fault == "flat" else 0.01))


@pytest.mark.parametrize("fill_uv", [0.0, -3276.8])
@pytest.mark.parametrize(
    ("seconds", "said"), [(2, ()), (10, ("EEG: no signal for 20% of the window",))]
)
@pytest.mark.parametrize("missing", [[], ["Cz"], ["Fp1", "O2"]])
def test_a_pause_that_was_filled_is_told(
    eeg, spectrogram, validation, fill_uv, seconds, said, missing
):
    eeg[:, 4000 : 4000 + 200 * seconds] = fill_uv
    eeg[[EEG_COLUMNS.index(name) for name in missing]] = np.nan
    window = Window(eeg, spectrogram)
    found = check_window(window, 0, left_out=validation)[1]
    others = ("at their limit", "missing channels")
    assert tuple(text for text in found if not any(word in text for word in others)) == said


def test_a_gap_in_every_channel_is_not_told_twice(eeg, spectrogram, validation):
    eeg[0] = np.nan
    eeg[:, :2000] = np.nan
    said = check_window(Window(eeg, spectrogram), 0, left_out=validation)[1]
    assert said == ("missing channels: Fp1", "EEG: 20% of the samples missing")


def test_an_ekg_may_be_flat_and_at_its_limit(eeg, spectrogram, validation):
    eeg[19, :9000] = 3000.0
    assert check_window(Window(eeg, spectrogram), 0, left_out=validation)[1] == ()
