"""How usable a stretch of EEG is: missing, flat, saturated, noisy channels."""

from __future__ import annotations

import torch
from torch import Tensor

from ..schema import SFREQ


def missing_fraction(x: Tensor) -> Tensor:
    """Share of samples that are not finite: (..., n_times) → (...)."""
    return 1 - torch.isfinite(x).to(x.dtype).mean(-1)


def flat_fraction(x: Tensor, *, tolerance: float = 1e-3, least: int = 20) -> Tensor:
    """Share of time spent in runs of equal samples.

    Parameters
    ----------
    x : Tensor, shape (..., n_times)
    tolerance : float
        Neighbours that differ by no more (same unit as ``x``) count as equal.
    least : int
        A run has at least so many equal steps; shorter ones are chance.

    Returns
    -------
    Tensor, shape (...)
    """
    if x.shape[-1] <= least:
        return torch.zeros(x.shape[:-1], dtype=x.dtype, device=x.device)
    still = (x.diff(dim=-1).abs() <= tolerance).to(x.dtype)
    full = still.unfold(-1, least, 1).amin(-1)  # 1 where the next `least` steps are all still
    widened = torch.nn.functional.pad(full, (least - 1, least - 1)).unfold(-1, least, 1).amax(-1)
    return widened.mean(-1)


def saturated_fraction(x: Tensor, limit: float) -> Tensor:
    """Share of samples at or beyond ±``limit``: (..., n_times) → (...)."""
    return (x.abs() >= limit).to(x.dtype).mean(-1)


def amplitude(x: Tensor) -> Tensor:
    """Half the range between the 2.5th and 97.5th percentile, missing samples left out."""
    low, high = torch.nanquantile(x, torch.tensor([0.025, 0.975], dtype=x.dtype).to(x.device), -1)
    return (high - low) / 2


def line_noise_ratio(
    x: Tensor, *, sfreq: float = SFREQ, lines_hz: tuple[float, ...] = (50.0, 60.0)
) -> Tensor:
    """Share of the power above 0.5 Hz that lies within 1 Hz of the mains.

    Parameters
    ----------
    x : Tensor, shape (..., n_times)
        Without missing samples.
    sfreq : float
    lines_hz : tuple of float

    Returns
    -------
    Tensor, shape (...)
        Between 0 and 1; 0 for a flat signal.
    """
    power = torch.fft.rfft(x - x.mean(-1, keepdim=True)).abs().square()
    freqs = torch.fft.rfftfreq(x.shape[-1], 1 / sfreq, device=x.device)
    near = torch.stack([(freqs - line).abs() <= 1 for line in lines_hz]).any(0)
    total = power[..., freqs >= 0.5].sum(-1)
    return power[..., near].sum(-1) / total.clamp_min(torch.finfo(x.dtype).tiny)
