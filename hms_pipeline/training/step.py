"""One training step: plain, or the same compiled, captured as a CUDA graph and replayed."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence

import torch
from torch import Tensor
from torch.nn import functional
from torch.nn.utils import clip_grad_norm_

from ..datasets.augmentations import Augmenter
from ..system.compiler import compiled
from .state import TrainState

log = logging.getLogger(__name__)

# Steps of a training from which on it is compiled: each gains 2 to 14 ms; a process reads what
# another compiled in 3 to 20 s, for all its folds; compiling takes minutes, once.
COMPILED_STEPS = 500
_WARM_UP = 3  # steps before capture: libraries choose their kernels and take their buffers


def kl_loss(logits: Tensor, target: Tensor) -> Tensor:
    """Mean KL divergence of softmax(logits) from the target, in nats; both (batch, 6)."""
    log_probs = functional.log_softmax(logits.float(), 1)
    return (torch.xlogy(target, target) - target * log_probs).sum(1).mean()


def image_layout(view: Tensor) -> Tensor:
    """Images with channels innermost in memory, as convolutions like them; waves as they are."""
    return view.contiguous(memory_format=torch.channels_last) if view.ndim == 4 else view


class PlainStep:
    """Augmentation, forward, loss, backward, clipping, optimiser and average, one by one.

    Parameters
    ----------
    state : TrainState
    augmenter : Augmenter
    clip_norm : float
        Gradients are scaled down to this norm.
    precision : str
        ``"bfloat16"``: autocast forward and backward; ``"float32"``.

    Attributes
    ----------
    loss_sum : Tensor, 0-d
        Sum of the steps' losses since it was last zeroed; reading it waits for the device.
    network : callable
        The state's network, or the same compiled.
    """

    graphed = False
    compiled = False

    def __init__(
        self, state: TrainState, augmenter: Augmenter, clip_norm: float, precision: str
    ) -> None:
        self.state = state
        self.network: Callable[..., Tensor] = state.model
        self.augmenter = augmenter
        self.clip_norm = clip_norm
        self.precision = precision
        self.device = state.params[0].device
        self.loss_sum = torch.zeros((), device=self.device)

    def __call__(
        self, views: Sequence[Tensor], target: Tensor, drawn: Tensor, scalars: Tensor
    ) -> None:
        """Change the state by one batch.

        Parameters
        ----------
        views : sequence of Tensor, shapes (batch_size, *shape), float16
        target : Tensor, shape (batch_size, 6), float32
        drawn : Tensor, shape (batch_size, augmenter.n_columns), float32
        scalars : Tensor, shape (2,), float32
            Learning rate and the average's weight.
        """
        state = self.state
        state.set_lr(scalars[0])
        state.optimizer.zero_grad(set_to_none=True)
        images, target = self.augmenter.apply([view.float() for view in views], target, drawn)
        with self._autocast():
            logits = self.network(*map(image_layout, images))
        loss = kl_loss(logits, target)
        loss.backward()
        clip_grad_norm_(state.params, self.clip_norm, foreach=True)
        state.optimizer.step()
        with torch.no_grad():
            state.update_ema(scalars[1])
            self.loss_sum += loss.detach()

    def _autocast(self) -> torch.autocast:
        return torch.autocast(
            self.device.type,
            torch.bfloat16,
            enabled=self.precision == "bfloat16",
            cache_enabled=False,  # a cached cast must not outlive the capture of a graph
        )


class GraphedStep:
    """A plain step captured as one CUDA graph: a step is a few copies and one launch.

    Parameters
    ----------
    plain : PlainStep
        On a CUDA device; its state is left as it was found.
    shapes : sequence of tuple of int
        Shape of one window in each view.
    batch_size : int
    """

    graphed = True

    def __init__(
        self, plain: PlainStep, shapes: Sequence[tuple[int, ...]], batch_size: int
    ) -> None:
        device = plain.device
        self.compiled = plain.network is not plain.state.model
        self.loss_sum = plain.loss_sum
        self._buffers = (
            *(torch.randn((batch_size, *s), device=device).half() for s in shapes),
            torch.full((batch_size, 6), 1 / 6, device=device),
            torch.zeros((batch_size, plain.augmenter.n_columns), device=device),
            torch.zeros(2, device=device),
        )
        *views, target, drawn, scalars = self._buffers
        before = plain.state.snapshot()
        try:
            stream = torch.cuda.Stream(device)
            stream.wait_stream(torch.cuda.current_stream(device))
            with torch.cuda.stream(stream):
                for _ in range(_WARM_UP):
                    plain(views, target, drawn, scalars)
            torch.cuda.current_stream(device).wait_stream(stream)
            plain.state.optimizer.zero_grad(set_to_none=True)
            self._graph = torch.cuda.CUDAGraph()
            with torch.cuda.graph(self._graph, capture_error_mode="thread_local"):
                plain(views, target, drawn, scalars)
        finally:
            plain.state.load(before)
            self.loss_sum.zero_()

    def __call__(
        self, views: Sequence[Tensor], target: Tensor, drawn: Tensor, scalars: Tensor
    ) -> None:
        """As :class:`PlainStep`."""
        for buffer, value in zip(self._buffers, (*views, target, drawn, scalars), strict=True):
            buffer.copy_(value, non_blocking=True)
        self._graph.replay()


def make_step(
    plain: PlainStep, shapes: Sequence[tuple[int, ...]], batch_size: int, n_steps: int
) -> PlainStep | GraphedStep:
    """Make the fastest step for the device; warn if it cannot be compiled or captured.

    Parameters
    ----------
    plain : PlainStep
    shapes : sequence of tuple of int
        Shape of one window in each view.
    batch_size : int
    n_steps : int
        Steps to come: few are not worth the compiler's time.
    """
    if plain.device.type != "cuda":
        return plain
    if n_steps >= COMPILED_STEPS:
        plain.network = torch.compile(plain.state.model, dynamic=False)
        what = plain.state.model, shapes, batch_size, plain.precision
        step = compiled(what, lambda: GraphedStep(plain, shapes, batch_size))
        if step is not None:
            return step
        plain.network = plain.state.model
    try:
        return GraphedStep(plain, shapes, batch_size)
    except torch.OutOfMemoryError:
        raise
    except RuntimeError as err:
        log.warning(
            "The step cannot be captured as a CUDA graph (%s): training goes on, step by step"
            " and slower.", str(err).splitlines()[0],
        )  # fmt: skip
        return plain
