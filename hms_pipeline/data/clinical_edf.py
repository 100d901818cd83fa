"""EEG windows as EDF files: how this data set's recordings reach other programs.

References
----------
Kemp et al., "A simple format for exchange of digitized polygraphic recordings",
Electroencephalogr Clin Neurophysiol 1992.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np

from ..schema import EEG_COLUMNS, SFREQ
from ..system.errors import InputError
from ..system.files import atomic

_LEVELS = 65_535  # 16-bit samples, -32768 to 32767


def write_edf(
    path: Path,
    eeg: np.ndarray | Iterable[np.ndarray],
    *,
    labels: Sequence[str] = EEG_COLUMNS,
    sfreq: float = SFREQ,
    range_uv: float | None = None,
) -> float:
    """Write EEG as EDF with anonymous header fields.

    Parameters
    ----------
    path : Path
        The file.
    eeg : ndarray, shape (n_channels, n_times), or iterable of such blocks
        Microvolts; whole seconds (a last incomplete one is dropped). Blocks need ``range_uv``
        and whole seconds each.
    labels : sequence of str
        One per channel.
    sfreq : float
        Hz, a whole number.
    range_uv : float, optional
        Physical range ± of every channel; by default each channel's own extremes.

    Returns
    -------
    float
        The largest error in µV that 16 bits leave (half of the coarsest channel's step).

    Raises
    ------
    InputError
        The shape does not fit the labels, or a value is not finite.
    """
    whole = isinstance(eeg, np.ndarray)
    blocks = [eeg] if whole else eeg
    low, high = _limits(eeg if whole else None, len(labels), range_uv)
    n_records, per_record = 0, int(sfreq)
    with atomic(Path(path)) as temporary, temporary.open("wb") as stream:
        stream.write(_header(labels, low, high, per_record, 0))
        for block in blocks:
            _check(block, labels)
            digital = np.round((block - low[:, None]) / (high - low)[:, None] * _LEVELS) - 32_768
            n = block.shape[1] // per_record
            records = digital.clip(-32_768, 32_767).astype("<i2")[:, : n * per_record]
            stream.write(records.reshape(len(labels), n, per_record).swapaxes(0, 1).tobytes())
            n_records += n
        stream.seek(0)
        stream.write(_header(labels, low, high, per_record, n_records))
    return float((high - low).max() / _LEVELS / 2)


def _limits(
    eeg: np.ndarray | None, n_channels: int, range_uv: float | None
) -> tuple[np.ndarray, np.ndarray]:
    if range_uv is not None:
        high = np.full(n_channels, float(range_uv))
        return -high, high
    if eeg is None:
        raise InputError("Writing EDF block by block needs range_uv, but it is None. Pass it.")
    # The header has eight characters for a limit; rounded outward, so that no sample is clipped.
    low, high = eeg.min(axis=1).astype(float), eeg.max(axis=1).astype(float)
    unit = 0.1 if max(-low.min(), high.max()) < 1e4 else 1.0
    low, high = np.floor(low / unit) * unit, np.ceil(high / unit) * unit
    return low, np.maximum(high, low + 1)


def _check(block: np.ndarray, labels: Sequence[str]) -> None:
    if block.ndim != 2 or block.shape[0] != len(labels):
        raise InputError(
            f"EDF needs shape ({len(labels)}, n_times), one row a label, but has {block.shape}."
        )
    if not np.isfinite(block).all():
        raise InputError("EDF needs finite samples, but some are missing. Fill or cut them.")


def _header(
    labels: Sequence[str], low: np.ndarray, high: np.ndarray, per_record: int, n_records: int
) -> bytes:
    n = len(labels)
    fixed = [
        ("0", 8), ("X X X X", 80), ("Startdate X X X X", 80), ("01.01.85", 8), ("00.00.00", 8),
        (str(256 * (n + 1)), 8), ("", 44), (str(n_records), 8), ("1", 8), (str(n), 4),
    ]  # fmt: skip
    columns = [
        ([str(label) for label in labels], 16), ([""] * n, 80), (["uV"] * n, 8),
        ([f"{v:.6g}" for v in low], 8), ([f"{v:.6g}" for v in high], 8),
        (["-32768"] * n, 8), (["32767"] * n, 8), ([""] * n, 80), ([str(per_record)] * n, 8),
        ([""] * n, 32),
    ]  # fmt: skip
    fields = [*fixed, *((value, width) for values, width in columns for value in values)]
    return "".join(value[:width].ljust(width) for value, width in fields).encode("ascii")
