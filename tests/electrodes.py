"""EEG with left and right electrodes swapped, as if the head were mirrored."""

from torch import Tensor

from hms_pipeline.schema import EEG_COLUMNS, MIRROR


def mirror_electrodes(eeg: Tensor) -> Tensor:
    """Swap left and right electrodes of (..., 20, n_times)."""
    return eeg[..., [EEG_COLUMNS.index(MIRROR[name]) for name in EEG_COLUMNS], :]
