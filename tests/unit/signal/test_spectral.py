"""STFT and mel against scipy, librosa and numpy."""

import librosa
import numpy as np
import pytest
import torch
from scipy import signal as scipy_signal

from hms_pipeline.signal import frames, spectral
from hms_pipeline.signal.filters import resample
from hms_pipeline.system.errors import InputError

SFREQ = 200.0


@pytest.fixture
def x():
    return np.random.default_rng(1).standard_normal((4, 10_000)).cumsum(1)


def even_starts(n_frames, hop, n_window):
    return np.arange(n_frames) * hop - n_window // 2


def test_stft_equals_scipys_spectrogram(x):
    n_window, hop = 400, 50
    freqs, _, expected = scipy_signal.spectrogram(
        x, SFREQ, scipy_signal.get_window("hann", n_window), noverlap=n_window - hop,
        nfft=n_window, detrend=False, scaling="density",
    )  # fmt: skip
    wanted = (freqs >= 0.5) & (freqs <= 20)
    power = spectral.stft_power(
        torch.from_numpy(x),
        np.arange(expected.shape[-1]) * hop,
        n_window=n_window,
        freqs_hz=freqs[wanted],
    ).numpy()
    # scipy's density is one-sided, the competition's two-sided
    np.testing.assert_allclose(2 * power, expected[:, wanted], rtol=1e-9)


def test_mel_equals_librosas_to_float32(x):
    x = x.astype(np.float32)
    expected = librosa.feature.melspectrogram(
        y=x, sr=200, n_fft=1024, hop_length=39, win_length=128, n_mels=40, fmin=0, fmax=20
    )
    freqs = np.arange(1024 // 2 + 1)[:104] * SFREQ / 1024
    power = spectral.stft_power(
        torch.from_numpy(x),
        even_starts(expected.shape[-1], 39, 128),
        n_window=128,
        freqs_hz=freqs,
        edge="constant",
    )
    mel = spectral.mel_power(power, freqs, n_mels=40, low_hz=0, high_hz=20, unit=False)
    window_energy = (scipy_signal.get_window("hann", 128) ** 2).sum()
    ours = mel.numpy() * SFREQ * window_energy
    np.testing.assert_allclose(ours, expected, rtol=2e-4, atol=1e-6 * expected.max())


def test_mel_filters_equal_librosas():
    freqs = np.fft.rfftfreq(1024, 1 / SFREQ)
    expected = librosa.filters.mel(sr=200, n_fft=1024, n_mels=32, fmin=0.5, fmax=90)
    np.testing.assert_allclose(spectral.mel_filters(freqs, 32, 0.5, 90), expected, atol=1e-6)


def test_mel_scale_equals_librosas_above_1_khz_too():
    freqs = np.array([0.0, 20.0, 999.0, 1000.0, 5000.0])
    np.testing.assert_allclose(spectral.hz_to_mel(freqs), librosa.hz_to_mel(freqs))
    np.testing.assert_allclose(spectral.mel_to_hz(spectral.hz_to_mel(freqs)), freqs, atol=1e-9)


def test_half_the_rate_changes_the_power_by_less_than_one_percent(x):
    """Frames at 100 Hz stand for frames at 200 Hz up to 20 Hz."""
    signal = torch.from_numpy(x)
    freqs = np.linspace(0.5, 20, 40)
    centres = frames.column_centres(0, 50, 64)
    full, half = (
        spectral.stft_power(
            resample(signal, SFREQ, rate),
            frames.frame_starts(centres, round(0.64 * rate), rate),
            n_window=round(0.64 * rate),
            freqs_hz=freqs,
            sfreq=rate,
        )
        for rate in (200.0, 100.0)
    )
    inner = slice(2, -2)
    error = (half - full)[..., inner].abs().mean() / full[..., inner].mean()
    assert error < 0.01


def test_a_10_hz_sine_peaks_at_10_hz_with_its_power():
    times = torch.arange(10_000) / SFREQ
    sine = 30 * torch.sin(2 * torch.pi * 10 * times)[None]
    freqs = np.arange(0.5, 20.1, 0.5)
    starts = frames.frame_starts(frames.column_centres(0, 50, 20), 400, SFREQ)
    power = spectral.stft_power(sine, starts, n_window=400, freqs_hz=freqs)[0]
    assert (freqs[power[:, 3:-3].argmax(0).numpy()] == 10).all()
    # two-sided: half the sine's mean square lies at +10 Hz
    np.testing.assert_allclose(power[:, 10].sum().item() * 0.5, 30**2 / 4, rtol=0.01)


def test_pooling_channels_is_their_mean(x):
    signal, starts = torch.from_numpy(x), np.arange(0, 9000, 300)
    alone = spectral.stft_power(signal, starts, n_window=200, freqs_hz=[2, 5, 9])
    pooled = spectral.stft_power(signal, starts, n_window=200, freqs_hz=[2, 5, 9], pool=4)
    torch.testing.assert_close(pooled[0], alone.mean(0))


def test_frames_lie_where_numpy_puts_them():
    signal = torch.arange(100.0)[None]
    starts = np.array([-3, 10, 24, 95])
    cut = frames.cut_frames(signal, starts, 8, edge="constant")[0]
    padded = np.pad(np.arange(100.0), (3, 3))
    for frame, start in zip(cut.numpy(), starts + 3, strict=True):
        np.testing.assert_array_equal(frame, padded[start : start + 8])


def test_frames_of_an_even_hop_are_a_view():
    signal = torch.arange(100.0)[None]
    cut = frames.cut_frames(signal, np.arange(5) * 10, 20)
    assert cut.untyped_storage().data_ptr() == signal.untyped_storage().data_ptr()


def test_columns_tile_their_stretch():
    centres = np.array(frames.column_centres(20, 10, 40))
    np.testing.assert_allclose(np.diff(centres), 0.25)
    assert centres[0] - 0.125 == 20
    assert centres[-1] + 0.125 == 30


def test_frames_longer_than_the_signal_are_refused():
    with pytest.raises(InputError, match="Shorten the frames"):
        frames.cut_frames(torch.zeros(1, 10), np.array([-20]), 40)


def test_log_scale_is_fixed_and_fills_what_is_missing():
    power = torch.tensor([0.0, 4.5e-5, 2.7182818, 4.9e8, torch.nan, torch.inf])
    scaled = spectral.log_scale(power, low=-4, high=8, mean=1, std=2)
    torch.testing.assert_close(scaled, torch.tensor([-2.5, -2.5, 0.0, 3.5, -2.5, 3.5]))
