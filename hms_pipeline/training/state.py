"""All tensors that training changes, in place, under one set of names."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import torch
from torch import Tensor, nn


class TrainState:
    """A network, its optimiser's state and its moving average.

    Every tensor keeps its memory from start to end, because a captured CUDA graph writes to
    fixed addresses; loading and swapping copy in place.

    Parameters
    ----------
    model : Module
        On its device.
    weight_decay : float
        Of matrices and kernels; norms and biases have none.
    ema : bool
        Keep a moving average.
    """

    def __init__(self, model: nn.Module, weight_decay: float, *, ema: bool) -> None:
        self.model = model
        self.params = [p for p in model.parameters() if p.requires_grad]
        device = self.params[0].device
        self.optimizer = torch.optim.AdamW(
            [
                {"params": [p for p in self.params if p.ndim > 1], "weight_decay": weight_decay},
                {"params": [p for p in self.params if p.ndim <= 1], "weight_decay": 0.0},
            ],
            lr=torch.zeros((), device=device),
            fused=True,
            capturable=device.type == "cuda",
        )
        for p in self.params:
            self.optimizer.state[p] = {
                "step": torch.zeros((), device=device),
                "exp_avg": torch.zeros_like(p, memory_format=torch.preserve_format),
                "exp_avg_sq": torch.zeros_like(p, memory_format=torch.preserve_format),
            }
        weights = model.state_dict()
        self.averaged_names = (
            [k for k, v in weights.items() if v.is_floating_point()] if ema else []
        )
        self.live = [weights[name] for name in self.averaged_names]
        self.ema = [tensor.clone() for tensor in self.live]

    def set_lr(self, lr: Tensor) -> None:
        """Set every group's learning rate in place."""
        for group in self.optimizer.param_groups:
            group["lr"].copy_(lr)

    def update_ema(self, weight: Tensor) -> None:
        """Move the average by ``weight`` (0-d) toward the network."""
        if self.ema:
            difference = torch._foreach_sub(self.live, self.ema)
            torch._foreach_mul_(difference, weight)
            torch._foreach_add_(self.ema, difference)

    def start_stage(self) -> None:
        """Take over the average, forget the optimiser's past."""
        if self.ema:
            torch._foreach_copy_(self.live, self.ema)
        for state in self.optimizer.state.values():
            for tensor in state.values():
                tensor.zero_()

    @contextmanager
    def averaged(self) -> Iterator[nn.Module]:
        """The network in evaluation mode, holding the average where there is one."""
        kept = [tensor.clone() for tensor in self.live]
        if self.ema:
            torch._foreach_copy_(self.live, self.ema)
        self.model.eval()
        try:
            yield self.model
        finally:
            self.model.train()
            if self.ema:
                torch._foreach_copy_(self.live, kept)

    def tensors(self) -> dict[str, Tensor]:
        """Name → the live tensor, of everything that training changes."""
        named = {f"model/{name}": tensor for name, tensor in self.model.state_dict().items()}
        for name, tensor in zip(self.averaged_names, self.ema, strict=True):
            named[f"ema/{name}"] = tensor
        for name, p in self.model.named_parameters():
            for key, tensor in self.optimizer.state.get(p, {}).items():
                named[f"optimizer/{name}/{key}"] = tensor
        return named

    def snapshot(self) -> dict[str, Tensor]:
        """A copy of every tensor by name."""
        return {name: tensor.clone() for name, tensor in self.tensors().items()}

    @torch.no_grad()
    def load(self, stored: Mapping[str, Tensor]) -> None:
        """Copy stored tensors in place, all or none.

        Raises
        ------
        KeyError
            A tensor is missing.
        ValueError
            One has another shape.
        """
        live = self.tensors()
        for name, tensor in live.items():
            if stored[name].shape != tensor.shape:
                raise ValueError(f"{name} needs shape {tuple(tensor.shape)}")
        for name, tensor in live.items():
            tensor.copy_(stored[name])
