"""Trained networks made ready to answer: folded normalisation, memory layout, CUDA graphs."""

from __future__ import annotations

import copy
import threading
from collections.abc import Mapping, Sequence
from itertools import cycle
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_weights
from torch.overrides import TorchFunctionMode

CONVOLUTIONS = (nn.Conv1d, nn.Conv2d)
NORMALISATIONS = (nn.BatchNorm1d, nn.BatchNorm2d)
GRAPH_SIZES = (1, 2, 4, 8, 16, 32, 64)  # batches are padded to these
HALF_FROM = 16  # windows; with fewer, casting the weights would take longer than it saves
# Networks side by side on a GPU: more hide the launches of small batches; with large ones they
# only take memory.
MOST_STREAMS, LEAST_STREAMS, STREAMED_WINDOWS = 10, 2, 64


class Undrawn(TorchFunctionMode):
    """Networks built meanwhile draw no initial weights: trained ones take their place.

    On the device ``meta`` there is nothing to draw into, but PyTorch would load sympy for it.
    """

    def __torch_function__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Any = None
    ) -> Any:
        """The tensor as it is, for every function of ``torch.nn.init``."""
        kwargs = kwargs or {}
        if getattr(func, "__module__", None) == nn.init.__name__:
            return kwargs["tensor"]
        return func(*args, **kwargs)


def fold_normalisation(networks: Sequence[nn.Module], example: Sequence[Tensor]) -> bool:
    """Fold batch normalisation into the convolution before it, in place.

    Parameters
    ----------
    networks : sequence of nn.Module
        Networks of one architecture in evaluation mode.
    example : sequence of Tensor
        One batch of their inputs. Which normalisation follows which convolution is read off a
        pass over it, and a copy of the first network must answer as before to 1e-4.

    Returns
    -------
    bool
        False where the answer changed; the networks are then left as they are.
    """
    trial = copy.deepcopy(networks[0]).cpu()  # a GPU would round to TF32
    example = [view.cpu() for view in example]
    pairs = _pairs(trial, example)
    before = trial(*example).softmax(1)
    _fold(trial, pairs)
    if not torch.allclose(trial(*example).softmax(1), before, atol=1e-4):
        return False
    for network in networks:
        _fold(network, pairs)
    return True


def _pairs(network: nn.Module, example: Sequence[Tensor]) -> list[tuple[str, str]]:
    """Paths of convolutions whose output goes straight into a normalisation."""
    made: dict[int, str] = {}
    alive: list[Tensor] = []  # keeps the ids unique during the pass
    pairs: list[tuple[str, str]] = []
    calls: dict[str, int] = {}

    def after(path: str, module: nn.Module, inputs: tuple[Any, ...], output: Tensor) -> None:
        calls[path] = calls.get(path, 0) + 1
        if isinstance(module, CONVOLUTIONS):
            made[id(output)] = path
            alive.append(output)
        elif id(inputs[0]) in made:
            pairs.append((made[id(inputs[0])], path))

    handles = [
        module.register_forward_hook(lambda m, i, o, path=path: after(path, m, i, o))
        for path, module in network.named_modules()
        if isinstance(module, CONVOLUTIONS + NORMALISATIONS)
    ]
    try:
        network(*example)
    finally:
        for handle in handles:
            handle.remove()
    used = [convolution for convolution, _ in pairs]
    return [
        (convolution, norm)
        for convolution, norm in pairs
        if calls[convolution] == calls[norm] == used.count(convolution) == 1
    ]


def _fold(network: nn.Module, pairs: Sequence[tuple[str, str]]) -> None:
    for convolution_path, norm_path in pairs:
        convolution: Any = network.get_submodule(convolution_path)
        norm: Any = network.get_submodule(norm_path)
        convolution.weight, convolution.bias = fuse_conv_bn_weights(
            convolution.weight, convolution.bias,
            norm.running_mean, norm.running_var, norm.eps, norm.weight, norm.bias,
        )  # fmt: skip
        # timm's normalisation layers carry their activation along.
        _put(network, norm_path, getattr(norm, "act", nn.Identity()))


def _put(network: nn.Module, path: str, module: nn.Module) -> None:
    parent, _, name = path.rpartition(".")
    setattr(network.get_submodule(parent), name, module)


def with_weights(network: nn.Module, weights: Mapping[str, Tensor], path: str = "") -> nn.Module:
    """A network of the same structure that holds other tensors; nothing is copied.

    Parameters
    ----------
    network : nn.Module
        What is no tensor is shared with it.
    weights : mapping of str to Tensor
        One for each name of its ``state_dict``.
    path : str
        Of the network in a larger one, with a full stop at the end.
    """
    twin = copy.copy(network)
    state = vars(twin)
    state["_parameters"] = state["_parameters"] | {
        name: nn.Parameter(weights[path + name], requires_grad=False)
        for name, _ in network.named_parameters(recurse=False)
    }
    state["_buffers"] = state["_buffers"] | {
        name: weights[path + name] for name, _ in network.named_buffers(recurse=False)
    }
    state["_modules"] = state["_modules"] | {
        name: with_weights(child, weights, f"{path}{name}.")
        for name, child in network.named_children()
    }
    return twin


def answer(network: nn.Module, views: Sequence[Tensor], *, half: bool) -> Tensor:
    """Probabilities, shape (B, 6), float32; ``half``: convolutions and products in float16.

    The views are rounded to float16 already. It keeps as many digits as TF32, in which a GPU's
    convolutions take float32 numbers; bfloat16 keeps fewer.
    """
    device = views[0].device.type
    with torch.autocast(device, torch.float16, enabled=half, cache_enabled=False):
        logits = network(*views)
    return logits.float().softmax(1)


class GraphPool:
    """What the CUDA graphs of one ensemble share: memory, and a lock, since they reuse it.

    Memory belongs to the stream that it was taken on, so the streams are shared, too.
    """

    def __init__(self, device: torch.device) -> None:
        self.device = device
        self.lock = threading.Lock()
        if device.type == "cuda":
            self.handle = torch.cuda.graph_pool_handle()
            self.warm_up = torch.cuda.Stream(device)
            self.streams = [torch.cuda.Stream(device) for _ in range(MOST_STREAMS)]


class FoldGroup:
    """The networks of one member, one per fold, answering together.

    Parameters
    ----------
    networks : sequence of nn.Module
        Same architecture, evaluation mode, on the pool's device.
    shapes : sequence of tuple of int
        Shapes of the inputs without the batch.
    pool : GraphPool

    Notes
    -----
    On the CPU the folds run one after another: a grouped convolution over stacked folds is
    slower there than folded normalisation with channels last. On a GPU small batches are bound
    by kernel launches, so all folds are captured into one CUDA graph per batch size, and from
    16 windows on convolutions and products are in float16.
    """

    def __init__(
        self, networks: Sequence[nn.Module], shapes: Sequence[tuple[int, ...]], pool: GraphPool
    ) -> None:
        self.pool = pool
        images = any(len(shape) == 3 for shape in shapes)
        layout = {"memory_format": torch.channels_last} if images else {"device": pool.device}
        generator = torch.Generator().manual_seed(0)
        example = [torch.randn(2, *shape, generator=generator) for shape in shapes]
        with torch.inference_mode():
            fold_normalisation(networks, example)
            self.networks = [network.to(**layout) for network in networks]  # GRUs: in one piece
        self._forget()

    def _forget(self) -> None:
        self._graphs: dict[tuple[int, bool], tuple[torch.cuda.CUDAGraph, list[Tensor], Tensor]] = {}
        self._asked: set[tuple[int, bool]] = set()  # answered once without a graph of their own

    def only(self, positions: Sequence[int]) -> FoldGroup:
        """A group of some of these networks, shared."""
        group = copy.copy(self)
        group.networks = [self.networks[k] for k in positions]
        group._forget()  # noqa: SLF001 - of this class
        return group

    def __call__(self, views: Sequence[Tensor]) -> Tensor:
        """Probabilities of every fold, shape (n_folds, B, 6)."""
        views = _layout(views)
        n, cuda = len(views[0]), self.pool.device.type == "cuda"
        half = cuda and n >= HALF_FROM
        if not cuda or n > GRAPH_SIZES[-1]:
            return self._loop(views, half)
        with self.pool.lock:
            return self._replay(views, half)

    @torch.inference_mode()
    def exactly(self, views: Sequence[Tensor]) -> Tensor:
        """The same without half precision, for windows that it cannot hold."""
        return self._loop(_layout(views), half=False)

    def _loop(self, views: Sequence[Tensor], half: bool) -> Tensor:
        return torch.stack([answer(network, views, half=half) for network in self.networks])

    def _replay(self, views: Sequence[Tensor], half: bool) -> Tensor:
        n = len(views[0])
        kind = next(size for size in GRAPH_SIZES if size >= n), half
        if self._waits(kind):
            return self._loop(views, half)
        if kind not in self._graphs:
            blank = [view.new_zeros(kind[0], *view.shape[1:]) for view in views]
            self._graphs[kind] = self._capture(_layout(blank), half)
        graph, inputs, output = self._graphs[kind]
        for slot, view in zip(inputs, views, strict=True):
            slot[:n].copy_(view)
        graph.replay()
        return output[:, :n].clone()

    def _waits(self, kind: tuple[int, bool]) -> bool:
        """Whether a size has no graph yet and is asked for the first time beside another one.

        So the last windows of a long run, which are fewer, need no graph of their own.
        """
        waits = bool(self._graphs) and kind not in self._graphs and kind not in self._asked
        self._asked.add(kind)
        return waits

    def _capture(
        self, inputs: list[Tensor], half: bool
    ) -> tuple[torch.cuda.CUDAGraph, list[Tensor], Tensor]:
        device = self.pool.device
        side = self.pool.warm_up
        side.wait_stream(torch.cuda.current_stream(device))
        with torch.cuda.stream(side):  # cuDNN chooses its algorithms before the capture
            answer(self.networks[0], inputs, half=half)
        torch.cuda.current_stream(device).wait_stream(side)
        graph = torch.cuda.CUDAGraph()
        # Another thread may prepare its windows meanwhile.
        with torch.cuda.graph(
            graph, pool=self.pool.handle, stream=side, capture_error_mode="thread_local"
        ):
            output = self._fork(inputs, half)
        return graph, inputs, output

    def _fork(self, inputs: Sequence[Tensor], half: bool) -> Tensor:
        """Folds take turns on a few streams, so that small kernels overlap."""
        main = torch.cuda.current_stream(self.pool.device)
        most = max(STREAMED_WINDOWS // len(inputs[0]), LEAST_STREAMS)
        streams = self.pool.streams[: min(most, len(self.networks))]
        for stream in streams:
            stream.wait_stream(main)
        outputs = []
        for network, stream in zip(self.networks, cycle(streams), strict=False):
            with torch.cuda.stream(stream):
                outputs.append(answer(network, inputs, half=half))
        for stream in streams:
            main.wait_stream(stream)
        return torch.stack(outputs)


def _layout(views: Sequence[Tensor]) -> list[Tensor]:
    return [
        view.contiguous(memory_format=torch.channels_last) if view.ndim == 4 else view
        for view in views
    ]
