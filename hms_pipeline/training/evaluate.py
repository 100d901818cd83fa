"""The held-out fold's probabilities by the averaged network."""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence

import numpy as np
import torch
from torch import Tensor, nn

from ..datasets.batches import MappedViews, ResidentViews, full_batches
from .state import TrainState
from .step import image_layout

Views = Sequence[Tensor]
_WARM_UP = 2  # passes before capture: libraries choose their kernels and take their buffers


class Evaluator:
    """Predicts the same windows, whenever it is asked.

    Parameters
    ----------
    state : TrainState
    views : ResidentViews or MappedViews
    places : array, shape (n,), int
        Positions of the windows.
    batch_size : int
        The training's: cuDNN prepares its kernels anew for every other shape, which takes
        seconds for a whole network.
    device : torch.device
    graphed : bool
        Replay a captured CUDA graph in bfloat16; for float32, asked for once a stage, it is
        not worth its capture.
    """

    def __init__(
        self,
        state: TrainState,
        views: ResidentViews | MappedViews,
        places: np.ndarray,
        batch_size: int,
        device: torch.device,
        *,
        graphed: bool,
    ) -> None:
        self.state, self.views, self.device, self.graphed = state, views, device, graphed
        self.n = len(places)
        self.batches = full_batches(places, batch_size)
        self._graph: tuple[torch.cuda.CUDAGraph, list[Tensor], Tensor] | None = None

    def __call__(self, precision: str) -> np.ndarray:
        """Probabilities, shape (n, 6), float32, in the order of ``places``.

        Parameters
        ----------
        precision : str
            ``"bfloat16"``: autocast; ``"float32"``.
        """
        with self.state.averaged() as model, torch.no_grad():
            forward = self._forward(model, precision)
            logits = [forward(views).float() for views in self.views.batches(self.batches)]
        probs = torch.cat(logits)[: self.n].double().softmax(1)
        return probs.cpu().numpy().astype(np.float32)

    def _forward(self, model: nn.Module, precision: str) -> Callable[[Views], Tensor]:
        if self.device.type != "cuda":
            return lambda views: model(*(image_layout(view.float()) for view in views))
        if precision == "float32":
            # Kernels for the plain layout need no preparation.
            plain = copy.deepcopy(model).to(memory_format=torch.contiguous_format)
            return lambda views: plain(*(view.float().contiguous() for view in views))
        return self._replay(model) if self.graphed else lambda views: _in_bfloat16(model, views)

    def _replay(self, model: nn.Module) -> Callable[[Views], Tensor]:
        """The network as a captured CUDA graph, which reads the weights at fixed addresses."""

        def forward(views: Views) -> Tensor:
            if self._graph is None:
                self._graph = self._capture(model, views)
            graph, inputs, logits = self._graph
            for place, view in zip(inputs, views, strict=True):
                place.copy_(view, non_blocking=True)
            graph.replay()
            return logits.clone()

        return forward

    def _capture(
        self, model: nn.Module, views: Views
    ) -> tuple[torch.cuda.CUDAGraph, list[Tensor], Tensor]:
        inputs = [view.clone() for view in views]
        stream = torch.cuda.Stream(self.device)
        stream.wait_stream(torch.cuda.current_stream(self.device))
        with torch.cuda.stream(stream):
            for _ in range(_WARM_UP):
                _in_bfloat16(model, inputs)
        torch.cuda.current_stream(self.device).wait_stream(stream)
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph, capture_error_mode="thread_local"):
            logits = _in_bfloat16(model, inputs)
        return graph, inputs, logits


def _in_bfloat16(model: nn.Module, views: Views) -> Tensor:
    # A cached cast must not outlive the capture of a graph.
    with torch.autocast(views[0].device.type, torch.bfloat16, cache_enabled=False):
        return model(*(image_layout(view.float()) for view in views))
