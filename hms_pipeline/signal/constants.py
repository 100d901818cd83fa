"""Constant tensors, made once in float64 and kept on each device that asked for them."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from functools import lru_cache, wraps

import numpy as np
import torch
from torch import Tensor


def constant(make: Callable[..., np.ndarray]) -> Callable[..., Tensor]:
    """Turn a function that makes an array into one that gives it as a tensor beside another.

    The result takes one more leading argument, ``like``: the tensor whose device and floating
    type the constant gets. Arguments must be hashable; integer arrays keep their type.

    Examples
    --------
    >>> @constant
    ... def ramp(n): return np.arange(n) / 2
    >>> ramp(torch.zeros(1), 3)
    tensor([0.0000, 0.5000, 1.0000])
    """

    @lru_cache(maxsize=256)
    def on(device: torch.device, dtype: torch.dtype, *args: Hashable) -> Tensor:
        array = torch.from_numpy(np.ascontiguousarray(make(*args)))
        return array.to(device, dtype if array.is_floating_point() else array.dtype)

    @wraps(make)
    def beside(like: Tensor, *args: Hashable) -> Tensor:
        return on(like.device, like.dtype, *args)

    return beside
