"""What a window must be before it is scored, and what is worth a warning."""

from __future__ import annotations

import numpy as np

from .. import schema
from ..config.validation import ValidationParams
from ..data.quality import eeg_masks
from ..data.window import Window
from ..features.windows import MOST_MISSING
from ..system.errors import InputError

MAX_EEG_UV = 1e6  # a volt: artefacts reach tens of thousands of microvolts, never this
MAX_SPECTROGRAM = 1e12  # uV^2/Hz, the power of a signal of that amplitude
MIN_EEG_UV = 1e-2  # a whole window below this is in volts or millivolts, or is no signal
QUIET_UV = 2.0  # ACNS: no activity above this is electrocerebral inactivity, or no EEG
# Smaller shares of gaps, in the window and in a channel, are filled without a warning.
GAP_SHARE = 0.05


def check_window(
    window: Window,
    row: int,
    max_abs_uv: float = MAX_EEG_UV,
    left_out: ValidationParams | None = None,
    *,
    reads_spectrogram: bool = True,
) -> tuple[Window, tuple[str, ...]]:
    """Refuse what cannot be scored; say what was worked around.

    Parameters
    ----------
    window : Window
        EEG, shape (20, 10000), microvolts; spectrogram, shape (4, 100, 300), or None.
    row : int
        Its place in the request, for the sentences.
    max_abs_uv : float
        Amplitude from which the values cannot be microvolts.
    left_out : ValidationParams, optional
        What kept windows out of the model's training: signals beyond it are named.
    reads_spectrogram : bool
        Whether any member does; if not, nothing is said of what a spectrogram lacks.

    Returns
    -------
    window : Window
        The same, float32, its spectrogram None where no value of it is present.
    warnings : tuple of str

    Raises
    ------
    InputError
        Wrong shape, infinite values, an absurd amplitude, or no usable electrode; the sentence
        names row and column.

    Examples
    --------
    >>> eeg = np.random.default_rng(0).normal(size=(20, 10000)).astype("float32")
    >>> check_window(Window(eeg, None), 0)[1]
    ('no spectrogram',)
    """
    eeg = _array(window.eeg, (len(schema.EEG_COLUMNS), schema.WINDOW_SAMPLES), "eeg", row)
    warnings = _check_eeg(eeg, row, max_abs_uv)
    spectrogram, said = _check_spectrogram(window.spectrogram, row)
    if left_out is not None:
        warnings += _check_signal(eeg, left_out)
    return Window(eeg, spectrogram), (*warnings, *(said if reads_spectrogram else ()))


def _array(values: object, shape: tuple[int, ...], column: str, row: int) -> np.ndarray:
    array = np.asarray(values)
    if array.shape != shape:
        raise InputError(
            f"Row {row}, column {column}: needs shape {shape}, but has {array.shape}."
            " Cut the window to 50 s at 200 Hz and its spectrogram to 300 rows."
        )
    if array.dtype.kind not in "fiu":
        raise InputError(
            f"Row {row}, column {column}: needs numbers, but has {array.dtype}. Send float32."
        )
    return np.ascontiguousarray(array, dtype=np.float32)


def _check_eeg(eeg: np.ndarray, row: int, max_abs_uv: float) -> list[str]:
    finite = np.isfinite(eeg)
    present = finite.any(axis=1)
    # One pass over the clean case; the rest is only computed where something is odd.
    clean = finite.all()
    values = eeg if clean else np.where(finite, eeg, 0)
    low, high = values.min(axis=1), values.max(axis=1)
    peak = np.maximum(-low, high)
    if not clean:
        _refuse_infinite(eeg, schema.EEG_COLUMNS, row)
    for channel in np.flatnonzero(peak > max_abs_uv):
        raise InputError(
            f"Row {row}, column eeg, {schema.EEG_COLUMNS[channel]}: needs microvolts within"
            f" ±{max_abs_uv:g}, but reaches {peak[channel]:.3g}. Convert the units or leave the"
            " channel empty."
        )
    scalp = slice(0, len(schema.ELECTRODES))
    usable = present[scalp] & (high > low)[scalp]
    if not usable.any():
        what = "is empty or flat" if present[scalp].any() else "holds no value"
        raise InputError(
            f"Row {row}, column eeg: needs at least one scalp electrode with a signal, but every"
            f" one of the 19 {what}. Leave this window out."
        )
    warnings = []
    if peak[scalp].max() < MIN_EEG_UV:
        warnings.append(f"EEG stays below {MIN_EEG_UV:g} µV: are these volts?")
    elif _is_quiet(eeg):
        warnings.append(
            f"no derivation varies by more than {QUIET_UV:g} µV: no EEG, one signal on all"
            " electrodes, or not microvolts"
        )
    warnings += _named("missing channels", ~present)
    warnings += _named("flat channels", present & (high == low))
    return warnings if clean else warnings + _check_gaps(finite, present)


def _is_quiet(eeg: np.ndarray) -> bool:
    """Whether nothing is left of the double banana, however large a common signal is."""
    plus, minus = (
        [schema.EEG_COLUMNS.index(pair[end]) for pair in schema.DOUBLE_BANANA] for end in (0, 1)
    )
    waves = eeg[plus] - eeg[minus]
    spread = np.fmax.reduce(waves, axis=1) - np.fmin.reduce(waves, axis=1)
    spread = spread[np.isfinite(spread)]
    return bool(spread.size and spread.max() <= QUIET_UV)


def _check_gaps(finite: np.ndarray, present: np.ndarray) -> list[str]:
    """Warn of channels that have gaps; the views fill them."""
    share = np.where(present, 1 - finite.mean(axis=1), 0)
    lost = share > MOST_MISSING
    # Gaps in every channel are one sentence; a few channels' own would drown in the mean.
    warnings = _named("mostly missing channels", lost)
    scalp = slice(0, len(schema.ELECTRODES))
    gap = share[scalp][present[scalp]].mean()
    if gap > GAP_SHARE:
        return [*warnings, f"EEG: {gap:.0%} of the samples missing"]
    return [*warnings, *_named("channels with gaps", (share > GAP_SHARE) & ~lost)]


def _check_signal(eeg: np.ndarray, left_out: ValidationParams) -> list[str]:
    """Warn of electrodes whose signal training would have refused, unless named already."""
    scalp = slice(0, len(schema.ELECTRODES))
    masks = eeg_masks(eeg, left_out)
    share = {name: mask[scalp].mean(axis=1) for name, mask in masks.items()}
    level = left_out.extreme_amplitude.level_uv
    gone = masks["missing"][scalp]  # told elsewhere, where it is all of them
    still = (masks["dead"] | masks["saturated"])[scalp] | gone
    silent = (still.all(axis=0) & ~gone.all(axis=0)).mean()
    return [
        *([f"EEG: no signal for {silent:.0%} of the window"] if silent > GAP_SHARE else []),
        *_named(
            "channels flat for much of the time",
            (share["dead"] >= left_out.dead_channel.share) & (share["dead"] < 1),
        ),
        *_named("channels at their limit", share["saturated"] > left_out.saturated.share),
        *_named(
            f"channels beyond {level:g} µV", share["extreme"] > left_out.extreme_amplitude.share
        ),
    ]


def _named(what: str, channels: np.ndarray) -> list[str]:
    names = [schema.EEG_COLUMNS[channel] for channel in np.flatnonzero(channels)]
    return [f"{what}: {', '.join(names)}"] if names else []


def _check_spectrogram(
    spectrogram: np.ndarray | None, row: int
) -> tuple[np.ndarray | None, list[str]]:
    """It as float32, None where no value is there; refuses infinite, negative and absurd values."""
    if spectrogram is None:
        return None, ["no spectrogram"]
    shape = (len(schema.REGIONS), len(schema.SPECTROGRAM_BINS), schema.SPECTROGRAM_ROWS)
    spectrogram = _array(spectrogram, shape, "spectrogram", row)
    missing = np.isnan(spectrogram)
    flat = spectrogram.reshape(len(schema.REGIONS), -1)
    if np.isinf(spectrogram).any():
        _refuse_infinite(flat, schema.REGIONS, row, "spectrogram")
    values = np.where(missing, 0, spectrogram).reshape(len(schema.REGIONS), -1)
    for region, low, high in zip(
        schema.REGIONS, values.min(axis=1), values.max(axis=1), strict=True
    ):
        if low < 0 or high > MAX_SPECTROGRAM:
            raise InputError(
                f"Row {row}, column spectrogram, {region}: needs power from 0 to"
                f" {MAX_SPECTROGRAM:g} µV²/Hz, but holds {low if low < 0 else high:.3g}. Send"
                " power, not decibels."
            )
    share = float(missing.mean())
    if share == 1:
        return None, ["no spectrogram"]
    return spectrogram, [f"spectrogram: {share:.0%} missing"] if share > GAP_SHARE else []


def _refuse_infinite(
    values: np.ndarray, names: tuple[str, ...], row: int, column: str = "eeg"
) -> None:
    infinite = np.isinf(values).any(axis=1)
    if infinite.any():
        raise InputError(
            f"Row {row}, column {column}, {names[int(infinite.argmax())]}: needs finite numbers,"
            " but holds an infinite one. Write missing samples as NaN."
        )
