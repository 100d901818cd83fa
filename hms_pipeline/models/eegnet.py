"""EEGNet: parallel 1-D convolutions shared by all derivations, residual blocks and a GRU.

The name follows Lawhern et al.; the shape is that of the public 1-D networks for this data:
parallel kernels of several lengths, a residual 1-D convolutional net and a recurrent layer.

References
----------
Lawhern et al., "EEGNet: a compact convolutional neural network for EEG-based brain-computer
interfaces", J Neural Eng 2018.
He et al., "Deep Residual Learning for Image Recognition", CVPR 2016.
Cho et al., "Learning Phrase Representations using RNN Encoder-Decoder", EMNLP 2014.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from ..system.errors import InputError
from .build import MODELS, Channels, Classifier, Few, Rate, Shape, only_view

KERNELS = (3, 5, 7, 9)


class ParallelConv(nn.Module):
    """Convolutions of several kernel lengths side by side, their outputs joined.

    Parameters
    ----------
    n_in, n_out : int
        Channels; ``n_out`` is divided among the kernels.
    stride : int

    Notes
    -----
    Computed as one convolution of the longest length with zeros around the shorter kernels:
    the same sums, and no gradient kernels for single channels, which are slow on a GPU.
    """

    def __init__(self, n_in: int, n_out: int, stride: int) -> None:
        super().__init__()
        self.convs: Any = nn.ModuleList(
            nn.Conv2d(n_in, n_out // len(KERNELS), (1, k), bias=False) for k in KERNELS
        )
        self.stride = stride
        self.norm = nn.BatchNorm2d(n_out)

    def forward(self, x: Tensor) -> Tensor:
        """(batch, n_in, n_chans, n_times) → (batch, n_out, n_chans, n_times / stride)."""
        longest = KERNELS[-1]
        weight = torch.cat(
            [
                functional.pad(conv.weight, ((longest - k) // 2,) * 2)
                for conv, k in zip(self.convs, KERNELS, strict=True)
            ]
        )
        x = functional.conv2d(x, weight, stride=(1, self.stride), padding=(0, longest // 2))
        return functional.silu(self.norm(x))


class Residual(nn.Module):
    """Two convolutions over time beside a shortcut; time is halved."""

    def __init__(self, n_in: int, n_out: int, kernel: int = 5) -> None:
        super().__init__()
        sides = (0, kernel // 2)
        self.first = nn.Conv2d(n_in, n_out, (1, kernel), (1, 2), sides, bias=False)
        self.first_norm = nn.BatchNorm2d(n_out)
        self.second = nn.Conv2d(n_out, n_out, (1, kernel), 1, sides, bias=False)
        self.second_norm = nn.BatchNorm2d(n_out)
        self.shortcut = nn.Conv2d(n_in, n_out, 1, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """(batch, n_in, n_chans, n_times) → (batch, n_out, n_chans, ceil(n_times / 2))."""
        y = functional.silu(self.first_norm(self.first(x)))
        y = self.second_norm(self.second(y))
        return functional.silu(y + self._shortcut(x))

    def _shortcut(self, x: Tensor) -> Tensor:
        """The mean of every two neighbours in time through a convolution of length 1.

        Both are one matrix product over neighbours side by side: with channels innermost,
        pooling kernels took a fifth of a GPU's step.
        """
        if x.shape[-1] % 2:  # the last one is its own neighbour
            x = torch.cat([x, x[..., -1:]], -1)
        x = x.permute(0, 2, 3, 1)  # (batch, n_chans, n_times, n_in)
        pairs = x.reshape(*x.shape[:2], x.shape[2] // 2, 2 * x.shape[3])
        weight = 0.5 * self.shortcut.weight[:, :, 0, 0]
        return functional.linear(pairs, torch.cat([weight, weight], 1)).permute(0, 3, 1, 2)


class WaveEncoder(nn.Module):
    """Waves → features.

    Every derivation passes the same parallel convolutions and one residual block; a
    convolution over all derivations mixes them; residual blocks and a bidirectional GRU read
    the mixture.
    The features are the GRU's mean, maximum and centre over time: the label is for the centre.

    Parameters
    ----------
    shape : tuple of int
        (n_chans, n_times).
    width : int
        Channels per derivation, a multiple of 4.
    hidden : int
        Channels after mixing, and of the GRU per direction.
    n_blocks : int
        Residual blocks after mixing; each halves time.
    pool : int
        Samples averaged at the entrance; waves under 20 Hz lose little at 200 / 4 Hz.
    stride : int
        Of the parallel convolutions.

    Attributes
    ----------
    n_features : int
    """

    def __init__(
        self, shape: Shape, *, width: int, hidden: int, n_blocks: int, pool: int, stride: int
    ) -> None:
        super().__init__()
        n_chans, n_times = shape
        if width % len(KERNELS):
            raise InputError(f"model.width must be a multiple of {len(KERNELS)}, got {width}.")
        if n_times < pool * stride * 2 ** (n_blocks + 1):
            raise InputError(
                f"waves of {n_times} samples are too short for pool {pool}, stride {stride} and"
                f" {n_blocks} blocks. Lower one of them."
            )
        self.pool = pool
        self.parallel = ParallelConv(1, width, stride)
        self.shared = Residual(width, width)
        self.mix = nn.Conv2d(width, hidden, (n_chans, 1), bias=False)
        self.mix_norm = nn.BatchNorm2d(hidden)
        self.blocks = nn.Sequential(*(Residual(hidden, hidden) for _ in range(n_blocks)))
        self.gru = nn.GRU(hidden, hidden, batch_first=True, bidirectional=True)
        self.n_features = 6 * hidden

    def forward(self, waves: Tensor) -> Tensor:
        """(batch, n_chans, n_times) → (batch, n_features)."""
        if self.pool > 1:
            waves = functional.avg_pool1d(waves, self.pool)
        # Derivations are the rows of an image of one channel, innermost in memory.
        x = waves.unsqueeze(1).contiguous(memory_format=torch.channels_last)
        x = self.shared(self.parallel(x))
        x = functional.silu(self.mix_norm(self.mix(x)))  # (batch, hidden, 1, n_times)
        x = self.blocks(x).squeeze(2)
        with torch.autocast(x.device.type, enabled=False):  # cuDNN's GRU in float32
            x, _ = self.gru(x.float().transpose(1, 2))  # (batch, n_times, 2 * hidden)
        return torch.cat([x.mean(1), x.amax(1), x[:, x.shape[1] // 2]], 1)


@MODELS.register("eegnet")
def eegnet(
    shapes: Sequence[Shape],
    *,
    width: Channels = 24,
    hidden: Channels = 128,
    n_blocks: Few = 4,
    pool: Few = 1,
    stride: Few = 2,
    drop_rate: Rate = 0.2,
) -> nn.Module:
    """Build it; parameters as in :class:`WaveEncoder`, ``drop_rate`` before the head."""
    shape = only_view(shapes, "waves", "eegnet")
    encoder = WaveEncoder(
        shape, width=width, hidden=hidden, n_blocks=n_blocks, pool=pool, stride=stride
    )
    return Classifier(encoder, drop_rate)
