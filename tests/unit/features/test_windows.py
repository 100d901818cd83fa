"""From raw windows to batches: what is missing is filled, what is not is untouched."""

from dataclasses import dataclass

import numpy as np
import pytest

from hms_pipeline.features.windows import fill_eeg, prepare
from hms_pipeline.schema import EEG_COLUMNS
from hms_pipeline.system.errors import InputError


@dataclass
class Window:
    eeg: np.ndarray
    spectrogram: np.ndarray | None = None


def eeg(seed=0):
    rng = np.random.default_rng(seed)
    return (rng.standard_normal((20, 10_000)).cumsum(1)).astype(np.float32)


def test_a_whole_window_is_passed_on_unchanged():
    x, spectrogram = eeg(), np.ones((4, 100, 300), np.float32)
    batch = prepare([Window(x, spectrogram)])
    assert np.array_equal(batch.eeg[0].numpy(), x)
    assert np.array_equal(batch.spectrogram[0].numpy(), spectrogram)
    assert fill_eeg(x) is x


def test_a_gap_is_bridged_and_an_end_is_held():
    x = eeg()
    line = x.copy()
    line[3] = np.linspace(0, 100, 10_000, dtype=np.float32)
    broken = line.copy()
    broken[3, 200:260] = np.nan
    broken[3, 4000] = np.inf
    np.testing.assert_allclose(fill_eeg(broken), line, atol=1e-3)
    broken[5, -700:] = np.nan
    assert (fill_eeg(broken)[5, -700:] == line[5, -701]).all()


def test_a_lost_channel_is_the_mean_of_its_neighbours():
    x = eeg()
    x[EEG_COLUMNS.index("C3"), 100:] = np.nan
    filled = fill_eeg(x)
    expected = (x[EEG_COLUMNS.index("F3")] + x[EEG_COLUMNS.index("P3")]) / 2
    np.testing.assert_allclose(filled[EEG_COLUMNS.index("C3")], expected, rtol=1e-6)


def test_lost_neighbours_are_not_used_and_nothing_left_is_zero():
    x = np.full((20, 10_000), np.nan, np.float32)
    assert (fill_eeg(x) == 0).all()
    x = eeg()
    for name in ("C3", "F3"):
        x[EEG_COLUMNS.index(name)] = np.nan
    filled = fill_eeg(x)
    assert np.array_equal(filled[EEG_COLUMNS.index("C3")], x[EEG_COLUMNS.index("P3")])
    assert np.array_equal(filled[EEG_COLUMNS.index("F3")], x[EEG_COLUMNS.index("Fp1")])


def test_missing_power_is_zero():
    spectrogram = np.ones((4, 100, 300), np.float32)
    spectrogram[:, :, 40:50] = np.nan
    filled = prepare([Window(eeg(), spectrogram)]).spectrogram[0].numpy()
    assert (filled[:, :, 40:50] == 0).all()
    assert (filled[:, :, :40] == 1).all()


def test_the_argument_is_not_changed():
    x = eeg()
    x[2, 5] = np.nan
    prepare([Window(x)])
    assert np.isnan(x[2, 5])


def test_batches_split_in_order():
    batch = prepare([Window(eeg(k)) for k in range(5)])
    parts = batch.split(2)
    assert [len(part) for part in parts] == [2, 2, 1]
    assert np.array_equal(parts[2].eeg[0].numpy(), eeg(4))


def test_wrong_batches_are_refused():
    with pytest.raises(InputError, match="at least one window"):
        prepare([])
    with pytest.raises(InputError, match=r"shape \(20, 10000\), but has \(19, 10000\)"):
        prepare([Window(eeg()[:19])])
    with pytest.raises(InputError, match="1 of 2 have one"):
        prepare([Window(eeg()), Window(eeg(), np.ones((4, 100, 300), np.float32))])
