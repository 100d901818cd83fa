"""The one way from raw windows to a batch that views read: stacked, missing samples filled."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from ..data.window import Window
from ..schema import (
    CHAINS,
    EEG_COLUMNS,
    ELECTRODES,
    MIDLINE,
    REGIONS,
    SPECTROGRAM_BINS,
    SPECTROGRAM_ROWS,
    WINDOW_SAMPLES,
)
from ..system.errors import InputError

EEG_SHAPE = (len(EEG_COLUMNS), WINDOW_SAMPLES)
SPECTROGRAM_SHAPE = (len(REGIONS), len(SPECTROGRAM_BINS), SPECTROGRAM_ROWS)
MOST_MISSING = 0.5  # a channel that lacks more than this share is taken from its neighbours


def _neighbours() -> dict[int, list[int]]:
    found: dict[int, list[int]] = {EEG_COLUMNS.index(name): [] for name in ELECTRODES}
    for chain in (*CHAINS.values(), MIDLINE):
        for a, b in itertools.pairwise(chain):
            found[EEG_COLUMNS.index(a)].append(EEG_COLUMNS.index(b))
            found[EEG_COLUMNS.index(b)].append(EEG_COLUMNS.index(a))
    return found


NEIGHBOURS = _neighbours()


@dataclass(frozen=True)
class WindowBatch:
    """Windows on a device, without missing samples.

    Parameters
    ----------
    eeg : Tensor, shape (B, 20, 10000), float32
        Microvolts at 200 Hz, channels in the order of ``schema.EEG_COLUMNS``.
    spectrogram : Tensor, shape (B, 4, 100, 300), float32, or None
        µV²/Hz; 0 where missing. None when no window of the batch has one.
    """

    eeg: Tensor
    spectrogram: Tensor | None = None

    def __len__(self) -> int:
        return len(self.eeg)

    @property
    def inputs(self) -> tuple[str, ...]:
        """What these windows hold: ``eeg``, and ``spectrogram`` where there is one."""
        return ("eeg",) if self.spectrogram is None else ("eeg", "spectrogram")

    def centred(self) -> WindowBatch:
        """The same with each channel's mean over the window removed.

        A constant on an electrode, such as a DC-coupled amplifier leaves, is no EEG.
        """
        means = self.eeg.mean(-1, keepdim=True, dtype=torch.float64)
        return replace(self, eeg=self.eeg - means.to(self.eeg.dtype))

    def split(self, size: int) -> list[WindowBatch]:
        """Smaller batches of at most ``size`` windows, in order."""
        eegs = self.eeg.split(size)
        specs = [None] * len(eegs) if self.spectrogram is None else self.spectrogram.split(size)
        return [WindowBatch(e, s) for e, s in zip(eegs, specs, strict=True)]


def prepare(windows: Sequence[Window], device: torch.device | str = "cpu") -> WindowBatch:
    """Fill missing samples, stack, and move to a device.

    Parameters
    ----------
    windows : sequence of Window
        All with a ten-minute spectrogram, or all without.
    device : torch.device or str

    Returns
    -------
    WindowBatch

    Raises
    ------
    InputError
        There are no windows, a shape is wrong, or only some windows have a spectrogram.
    """
    if not windows:
        raise InputError("A batch needs at least one window, but has none. Give some.")
    eeg = np.stack([fill_eeg(_shaped(w.eeg, EEG_SHAPE, "EEG")) for w in windows])
    having = [w.spectrogram is not None for w in windows]
    if any(having) != all(having):
        raise InputError(
            f"A batch needs a spectrogram for every window or for none, but {sum(having)} of"
            f" {len(having)} have one. Score the two kinds apart."
        )
    spectrogram = None
    if having[0]:
        power = [_shaped(w.spectrogram, SPECTROGRAM_SHAPE, "spectrogram") for w in windows]
        # Missing power becomes 0, which every view's logarithm clips to its floor.
        filled = np.nan_to_num(np.stack(power), nan=0.0, posinf=0.0, neginf=0.0)
        spectrogram = torch.from_numpy(filled).to(device)
    return WindowBatch(torch.from_numpy(eeg).to(device), spectrogram)


def _shaped(array: np.ndarray | None, shape: tuple[int, ...], what: str) -> np.ndarray:
    array = np.asarray(array, np.float32)
    if array.shape != shape:
        raise InputError(
            f"A window's {what} needs shape {shape}, but has {array.shape}. Cut or pad it."
        )
    return array


def fill_eeg(eeg: np.ndarray) -> np.ndarray:
    """Fill what is not finite.

    Gaps are bridged by straight lines, ends by the nearest sample. A channel that is missing for
    the most part is the mean of its present neighbours along the chains, else 0.

    Parameters
    ----------
    eeg : array, shape (20, n_times), float32

    Returns
    -------
    array of the same shape
        The argument itself where nothing is missing.
    """
    bad = ~np.isfinite(eeg)
    if not bad.any():
        return eeg
    share = bad.mean(1)
    filled = eeg.copy()
    for channel in np.flatnonzero((share > 0) & (share <= MOST_MISSING)):
        filled[channel] = _bridge(eeg[channel], bad[channel])
    lost = set(np.flatnonzero(share > MOST_MISSING).tolist())
    for channel in sorted(lost):
        present = [k for k in NEIGHBOURS.get(channel, []) if k not in lost]
        filled[channel] = filled[present].mean(0) if present else 0.0
    return filled


def _bridge(x: np.ndarray, bad: np.ndarray) -> np.ndarray:
    times = np.arange(len(x))
    return np.where(bad, np.interp(times, times[~bad], x[~bad]), x).astype(np.float32)
