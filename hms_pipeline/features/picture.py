"""Parts of image views: stretches of time, fixed log scaling, resizing, placing side by side."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Annotated

import numpy as np
import torch
from pydantic import Field, model_validator
from torch import Tensor

from ..config.section import Nats, Section
from ..schema import CHAIN_PAIRS, REGIONS, SFREQ, SPECTROGRAM_S, WINDOW_S
from ..signal.constants import constant
from ..signal.filters import resample
from ..signal.frames import column_centres, frame_starts
from ..signal.montage import derive
from ..signal.spectral import log_scale
from ..system.errors import InputError
from .windows import WindowBatch

Pixels = Annotated[int, Field(ge=8, le=1024)]
Hertz = Annotated[float, Field(ge=0.01, le=SFREQ)]
Bands = Annotated[int, Field(ge=8, le=512)]
MOST_PARTS = 8


class LogScale(Section):
    """Fixed scaling of power: natural log clipped to [low, high], then (x − mean) / std.

    Parameters
    ----------
    low, high : float
        Bounds of ln(µV²/Hz).
    mean, std : float
        What is subtracted and divided by afterwards.
    """

    low: Nats
    high: Nats
    mean: Nats
    std: float = Field(ge=0.01, le=100)  # float16 holds what comes out

    @model_validator(mode="after")
    def _ordered(self) -> LogScale:
        if self.low >= self.high:
            raise ValueError(f"low must be below high, but they are {self.low} and {self.high}")
        return self

    def __call__(self, power: Tensor) -> Tensor:
        """Log power, clipped and scaled."""
        return log_scale(power, self.low, self.high, self.mean, self.std)


class Stretch(Section):
    """A stretch of time around the window's centre, drawn ``width`` columns wide."""

    duration_s: float = Field(gt=0, le=SPECTROGRAM_S)
    width: Pixels


class FramedStretch(Stretch):
    """A stretch of EEG cut into frames.

    Parameters
    ----------
    window_s : float
        Length of a frame; a short one shows times sharply, a long one frequencies.
    frames : int
        Number of frames that tile the stretch; at most ``width``, to which they are resized.
    """

    duration_s: float = Field(gt=0, le=WINDOW_S)
    window_s: float = Field(gt=0, le=WINDOW_S / 2)
    frames: int = Field(ge=4, le=1024)

    @model_validator(mode="after")
    def _no_more_frames(self) -> FramedStretch:
        if self.frames > self.width:
            raise ValueError(f"frames must be at most width {self.width}, but are {self.frames}")
        return self


Parts = Annotated[tuple[FramedStretch, ...], Field(min_length=1, max_length=MOST_PARTS)]
Stretches = Annotated[tuple[Stretch, ...], Field(min_length=1, max_length=MOST_PARTS)]
HIGHEST = 0.4  # highest frequency that resampling leaves unchanged, as a share of the rate
LEAST_WINDOW = 8  # fewest samples of a frame
PAIRS_A_REGION = len(CHAIN_PAIRS) // len(REGIONS)
FramePower = Callable[..., Tensor]


def eeg_picture(
    batch: WindowBatch,
    parts: Sequence[FramedStretch],
    rate_hz: float,
    height: int,
    scale: LogScale,
    power: FramePower,
) -> Tensor:
    """Regional log-power pictures of stretches of the EEG, side by side.

    Parameters
    ----------
    batch : WindowBatch
    parts : sequence of FramedStretch
        From left to right; each is centred on the window.
    rate_hz : float
        The EEG is resampled to this first.
    height : int
    scale : LogScale
    power : callable
        ``power(x, starts, n_window=…, sfreq=…, pool=…)``: (B, 16, n_times) → (B, 4, F, n_frames);
        of ``signal.spectral`` or ``signal.multitaper``, with its frequencies bound.

    Returns
    -------
    Tensor, shape (B, 4, height, sum of widths)

    Raises
    ------
    InputError
        Frames are too short or too close for the rate.
    """
    x = derive(resample(batch.eeg[:, :-1], SFREQ, rate_hz), CHAIN_PAIRS)
    pictures = []
    for part in parts:
        n_window = _n_window(part, rate_hz)
        centres = column_centres((WINDOW_S - part.duration_s) / 2, part.duration_s, part.frames)
        starts = frame_starts(centres, n_window, rate_hz)
        drawn = power(x, starts, n_window=n_window, sfreq=rate_hz, pool=PAIRS_A_REGION)
        pictures.append(resize(scale(drawn), height, part.width))
    return torch.cat(pictures, -1)


def even_freqs(low_hz: float, high_hz: float, n: int, rate_hz: float) -> tuple[float, ...]:
    """``n`` frequencies at equal steps of a band that a sampling rate can hold."""
    check_band(low_hz, high_hz, rate_hz)
    return tuple(np.linspace(low_hz, high_hz, n).tolist())


def check_band(low_hz: float, high_hz: float, rate_hz: float) -> None:
    """Refuse a band that is empty or reaches too near to half the sampling rate."""
    if high_hz > HIGHEST * rate_hz:
        raise InputError(
            f"high_hz needs to be at most {HIGHEST * rate_hz:g} Hz ({HIGHEST:g} of the rate"
            f" {rate_hz:g} Hz), but is {high_hz:g} Hz. Lower it, or raise rate_hz where there is"
            " one."
        )
    if not 0 < low_hz < high_hz:
        raise InputError(
            f"low_hz needs to lie between 0 and high_hz {high_hz:g} Hz, but is {low_hz:g} Hz."
            " Correct the band."
        )


def _n_window(part: FramedStretch, rate_hz: float) -> int:
    """Samples of a frame, of which there must be enough, each at another place."""
    n_window, hop = round(part.window_s * rate_hz), part.duration_s / part.frames * rate_hz
    if n_window < LEAST_WINDOW:
        raise InputError(
            f"window_s needs at least {LEAST_WINDOW / rate_hz:g} s ({LEAST_WINDOW} samples at"
            f" {rate_hz:g} Hz), but is {part.window_s:g}. Lengthen it."
        )
    if hop < 1:
        raise InputError(
            f"frames need to be at least a sample apart, but {part.frames} frames in"
            f" {part.duration_s:g} s at {rate_hz:g} Hz are {hop:.2g}. Use fewer frames or a longer"
            " duration_s."
        )
    return n_window


def resize(picture: Tensor, height: int, width: int) -> Tensor:
    """Linear interpolation of the last two axes; what shrinks is averaged over its footprint."""
    if height > picture.shape[-2]:  # the axis that grows comes last: less to compute
        return _resize_rows(_resize_columns(picture, width), height)
    return _resize_columns(_resize_rows(picture, height), width)


def _resize_columns(picture: Tensor, width: int) -> Tensor:
    n_columns = picture.shape[-1]
    return picture if width == n_columns else picture @ _resize_matrix(picture, n_columns, width).T


def _resize_rows(picture: Tensor, height: int) -> Tensor:
    n_rows = picture.shape[-2]
    if height == n_rows:
        return picture
    if height < n_rows:
        return _resize_matrix(picture, n_rows, height) @ picture
    rows, share = _row_below(picture, n_rows, height), _share_above(picture, n_rows, height)
    return torch.lerp(picture.index_select(-2, rows), picture.index_select(-2, rows + 1), share)


def _position(n_in: int, n_out: int) -> np.ndarray:
    return np.clip((np.arange(n_out) + 0.5) * n_in / n_out - 0.5, 0, n_in - 1)


@constant
def _row_below(n_in: int, n_out: int) -> np.ndarray:
    return np.minimum(_position(n_in, n_out).astype(np.int64), n_in - 2)


@constant
def _share_above(n_in: int, n_out: int) -> np.ndarray:
    below = np.minimum(_position(n_in, n_out).astype(np.int64), n_in - 2)
    return (_position(n_in, n_out) - below)[:, None]


@constant
def _resize_matrix(n_in: int, n_out: int) -> np.ndarray:
    """Triangular weights, shape (n_out, n_in), each row summing to 1."""
    centres = (np.arange(n_out) + 0.5) * n_in / n_out - 0.5
    reach = max(1.0, n_in / n_out)
    distance = np.abs(centres[:, None] - np.arange(n_in))
    weights = np.maximum(0, 1 - distance / reach)
    return weights / weights.sum(1, keepdims=True)


def central(x: Tensor, n: int) -> Tensor:
    """The central ``n`` entries of the last axis."""
    if n > x.shape[-1]:
        raise InputError(
            f"A stretch needs {n} columns, but the spectrogram has {x.shape[-1]}. Shorten"
            " duration_s."
        )
    start = (x.shape[-1] - n) // 2
    return x[..., start : start + n]
