"""Which device trains."""

from __future__ import annotations

import torch

from .errors import InputError


def choose_device(name: str = "auto") -> torch.device:
    """``"auto"``: the first GPU, else the CPU; or a name such as ``"cuda:1"``.

    Raises
    ------
    InputError
        The name is no device, or a GPU that is not there.
    """
    if name == "auto":
        return torch.device("cuda:0" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(name)
    except RuntimeError:
        raise InputError(f"device must be 'auto', 'cpu' or 'cuda[:N]', got {name!r}.") from None
    n_gpus = torch.cuda.device_count() if device.type == "cuda" else 0
    if device.type not in ("cpu", "cuda") or (
        device.type == "cuda" and (device.index or 0) >= n_gpus
    ):
        raise InputError(
            f"device {name!r} is not there: this machine has {torch.cuda.device_count()} GPUs."
            " Choose 'auto' or 'cpu'."
        )
    return device
