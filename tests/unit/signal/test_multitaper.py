"""Multitaper against MNE, and the competition's recipe against its definition."""

import itertools

import mne
import numpy as np
import torch
from scipy import fft as scipy_fft
from scipy.signal.windows import dpss

from hms_pipeline.schema import CHAINS, EEG_COLUMNS, REGIONS, SPECTROGRAM_FREQS
from hms_pipeline.signal.multitaper import competition_spectrogram, multitaper_power

SFREQ = 200.0


def test_multitaper_equals_mnes():
    x = np.random.default_rng(0).standard_normal((3, 800))
    x -= x.mean(1, keepdims=True)
    psd, freqs = mne.time_frequency.psd_array_multitaper(
        x, SFREQ, fmin=0.5, fmax=20, bandwidth=2 * 2.0 / 4.0, adaptive=False, low_bias=True,
        normalization="full", remove_dc=False, n_jobs=1, verbose="error",
    )  # fmt: skip
    ours = multitaper_power(
        torch.from_numpy(x), np.array([0]), n_window=800, freqs_hz=freqs, nw=2.0, n_tapers=3
    )[..., 0].numpy()
    # MNE weighs tapers by their concentration (0.999 to 0.96), the recipe weighs them alike
    np.testing.assert_allclose(2 * ours, psd, rtol=0.04)
    assert abs(np.log(2 * ours / psd)).mean() < 0.01


def recipe_by_hand(eeg, region, row):
    """One row of one region, written out from the recipe's text."""
    tapers = dpss(800, 2, 3)
    start, chain = 400 * row - 200, CHAINS[region]
    power = np.zeros(100)
    for a, b in itertools.pairwise(chain):
        wave = eeg[EEG_COLUMNS.index(a)] - eeg[EEG_COLUMNS.index(b)]
        window = wave[start : start + 800] - wave[start : start + 800].mean()
        spectrum = np.abs(scipy_fft.fft(window * tapers, 1024)) ** 2 / SFREQ
        power += spectrum.mean(0)[3:103] / 4
    return power


def test_competition_spectrogram_follows_the_recipe():
    eeg = np.random.default_rng(1).standard_normal((20, 8000)).cumsum(1)
    ours = competition_spectrogram(torch.from_numpy(eeg)[None])[0].numpy()
    assert ours.shape == (4, 100, 20)
    for number, region in enumerate(REGIONS):
        for row in (1, 7, 18):  # rows whose 4 s lie inside
            np.testing.assert_allclose(
                ours[number, :, row], recipe_by_hand(eeg, region, row), rtol=1e-8
            )


def test_competition_spectrogram_in_float32_and_in_chunks():
    eeg = torch.randn(1, 19, 200 * 700, generator=torch.Generator().manual_seed(0)).cumsum(-1)
    single, double = competition_spectrogram(eeg), competition_spectrogram(eeg.double())
    assert single.shape == (1, 4, 100, 350)
    assert ((single - double).abs() / double.clamp_min(1e-3)).max() < 1e-2
    middle = competition_spectrogram(eeg[..., 200 * 400 : 200 * 440].double())
    torch.testing.assert_close(double[..., 201:219], middle[..., 1:19])


def test_a_sine_lies_in_its_bin_and_its_time():
    eeg = torch.zeros(1, 20, 200 * 40, dtype=torch.float64)
    times = torch.arange(200 * 40) / SFREQ
    on = (times >= 20) & (times < 24)
    eeg[0, EEG_COLUMNS.index("T3")] = torch.where(on, torch.sin(2 * torch.pi * 8 * times), 0)
    power = competition_spectrogram(eeg)[0]
    frequency, row = np.unravel_index(int(power[0].argmax()), power[0].shape)
    assert abs(SPECTROGRAM_FREQS[frequency] - 8) < 0.3
    assert row in (10, 11)  # centred at 21 and 23 s
    assert power[1:].abs().max() == 0  # T3 is in the left lateral chain alone


def test_missing_samples_make_only_their_rows_missing():
    eeg = torch.randn(1, 20, 200 * 40)
    eeg[0, EEG_COLUMNS.index("F8"), 200 * 20] = torch.nan
    missing = competition_spectrogram(eeg)[0].isnan().all(1)
    assert missing[1].nonzero().flatten().tolist() == [9, 10]
    assert not missing[[0, 2, 3]].any()
