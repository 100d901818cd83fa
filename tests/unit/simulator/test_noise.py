from __future__ import annotations

import numpy as np
from scipy.signal import welch

from hms_pipeline.schema import SFREQ
from hms_pipeline.simulator.noise import bin_frequencies, bump, shaped_noise, slow_curve


def test_shaped_noise_has_the_stated_power_and_band() -> None:
    n = 40_000
    freqs = bin_frequencies(n, 40.0)
    amplitude = 3.0 * bump(freqs, 10.0, 1.0)
    wave = shaped_noise(np.random.default_rng(0), amplitude[None], n)[0]
    power = (amplitude**2).sum() * SFREQ / n
    assert np.isclose(wave.var(), power, rtol=0.1)
    found, density = welch(wave, SFREQ, nperseg=800)
    assert abs(found[density.argmax()] - 10) <= 0.5
    assert density[found > 20].sum() < 1e-6 * density.sum()


def test_one_over_f_noise_has_its_exponent() -> None:
    n = 120_000
    freqs = bin_frequencies(n, 60.0)
    wave = shaped_noise(np.random.default_rng(1), np.maximum(freqs, 0.5)[None] ** -1.0, n)[0]
    found, density = welch(wave, SFREQ, nperseg=2000)
    band = (found > 1) & (found < 40)
    slope = np.polyfit(np.log(found[band]), np.log(density[band]), 1)[0]
    assert abs(slope + 2) < 0.15


def test_slow_curve_is_smooth_and_of_unit_scale() -> None:
    curve = slow_curve(np.random.default_rng(2), 400_000, 5.0)
    assert len(curve) == 400_000
    assert 0.6 < curve.std() < 1.1
    assert np.abs(np.diff(curve)).max() < 6 * np.pi / 2 / (5 * SFREQ)
