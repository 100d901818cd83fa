"""Cutting a signal into windowed frames at any hop."""

from __future__ import annotations

import numpy as np
from torch import Tensor
from torch.nn.functional import pad

from ..system.errors import InputError
from .constants import constant


def column_centres(start_s: float, duration_s: float, n_columns: int) -> tuple[float, ...]:
    """Centres, in seconds, of equal columns that tile a stretch of time.

    Examples
    --------
    >>> column_centres(20.0, 10.0, 4)
    (21.25, 23.75, 26.25, 28.75)
    """
    width = duration_s / n_columns
    return tuple(start_s + width * (k + 0.5) for k in range(n_columns))


def frame_starts(centres_s: tuple[float, ...], n_window: int, sfreq: float) -> np.ndarray:
    """First sample of each frame (may be negative): its centre lies nearest to ``centres_s``.

    The centre of a frame is its sample ``n_window // 2``, as in ``scipy.signal`` and librosa.
    """
    samples = np.asarray(centres_s) * sfreq
    return np.floor(samples + 0.5).astype(np.int64) - n_window // 2


@constant
def _indices(starts: tuple[int, ...]) -> np.ndarray:
    return np.array(starts, dtype=np.int64)


def cut_frames(x: Tensor, starts: np.ndarray, n_window: int, *, edge: str = "reflect") -> Tensor:
    """Frames of equal length at any starts.

    Parameters
    ----------
    x : Tensor, shape (..., n_times)
    starts : array of int, shape (n_frames,)
        First samples; frames may reach past the ends.
    n_window : int
        Samples a frame.
    edge : {"reflect", "constant"}
        What stands past the ends: the signal's reflection, or zeros.

    Returns
    -------
    Tensor, shape (..., n_frames, n_window)
        A view of ``x`` where the hop is even and nothing is padded, else a copy.

    Raises
    ------
    InputError
        A frame reaches past the ends by a signal's length or more.
    """
    n_times = x.shape[-1]
    before = max(0, -int(starts[0]))
    after = max(0, int(starts[-1]) + n_window - n_times)
    if max(before, after) >= n_times:
        raise InputError(
            f"Frames of {n_window} samples need a signal at least as long, but it has {n_times}."
            " Shorten the frames."
        )
    if before or after:
        x = pad(x.flatten(0, -2), (before, after), mode=edge).unflatten(0, x.shape[:-1])
    hops = np.diff(starts)
    rolling = x.unfold(-1, n_window, 1)  # (..., n_times - n_window + 1, n_window)
    first = int(starts[0]) + before
    if hops.size == 0 or (hops == hops[0]).all():
        hop = int(hops[0]) if hops.size else 1
        return rolling[..., first : first + hop * len(starts) : hop, :][..., : len(starts), :]
    return rolling.index_select(-2, _indices(x, tuple((starts + before).tolist())))


def detrend_mean(frames: Tensor) -> Tensor:
    """Subtract each frame's mean."""
    return frames - frames.mean(-1, keepdim=True)


def sum_of_squares(x: Tensor, *, pool: int, blocks: int) -> Tensor:
    """Squares summed over neighbouring channels and over equal blocks of the last axis.

    Plain accumulation, which on a CPU is twice as fast as one sum over several axes.

    Parameters
    ----------
    x : Tensor, shape (..., n_chans, n_frames, blocks * n)
    pool : int
        Number of neighbouring channels that are summed.
    blocks : int

    Returns
    -------
    Tensor, shape (..., n_chans / pool, n_frames, n)
    """
    channels = x.unflatten(-3, (-1, pool)).unbind(-3)
    squares = channels[0].square()
    for channel in channels[1:]:
        squares.addcmul_(channel, channel)
    first, *others = squares.unflatten(-1, (blocks, -1)).unbind(-2)
    total = first.clone()
    for block in others:
        total += block
    return total
