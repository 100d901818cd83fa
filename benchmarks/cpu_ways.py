"""What channels innermost, bfloat16, int8, a compiled graph and stacked folds bring on a CPU.

``python -m benchmarks.cpu_ways v2s-cwt b4-mel [--recipe full] [--ways plain folded ...]`` takes
each member's network with random weights, settled as in ``benchmarks.answers``; with ``--bundle
FOLDER --data FOLDER`` its trained networks and the windows of a competition folder. One thread; the
ways take turns in one process, in processor time. The difference of the probabilities from those of
the network as it was trained stands beside it. int8 needs the package torchao: convolutions and
linear layers, weights by channel, activations calibrated on inputs that are not compared.
"""

from __future__ import annotations

import argparse
import copy
import json
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from statistics import median

import torch
from torch import Tensor, nn
from torch._inductor import config as inductor

from benchmarks.answers import settled
from hms_pipeline.config.recipes import compose
from hms_pipeline.features.compute import compute
from hms_pipeline.features.views import build_views
from hms_pipeline.features.windows import prepare
from hms_pipeline.inference.bundle import read_bundle
from hms_pipeline.inference.networks import FoldGroup, GraphPool
from hms_pipeline.inference.predictor import load_networks
from hms_pipeline.models import build_model
from hms_pipeline.scoring.inputs import find_items

CPU = torch.device("cpu")
Run = Callable[..., Tensor]
# Networks of one member, and inputs to compare; inputs to calibrate with.
Case = tuple[str, list[nn.Module], list[Tensor], list[Tensor]]


def folded(networks: Sequence[nn.Module], inputs: Sequence[Tensor]) -> list[nn.Module]:
    """As the Predictor runs them: normalisation folded, channels innermost."""
    shapes = [tuple(view.shape[1:]) for view in inputs]
    return FoldGroup(copy.deepcopy(list(networks)), shapes, GraphPool(CPU)).networks


def apart(runs: Sequence[Run]) -> Run:
    """Folds one after the other."""
    return lambda *inputs: torch.stack([run(*inputs) for run in runs])


def in_bfloat16(run: Run) -> Run:
    """The same under autocast."""

    def cast(*inputs: Tensor) -> Tensor:
        with torch.autocast("cpu", torch.bfloat16):
            return run(*inputs).float()

    return cast


def compiled(network: nn.Module) -> Run:
    """One graph by inductor, weights frozen into it."""
    with inductor.patch(freezing=True):
        return torch.compile(network, dynamic=False)


def stacked(networks: Sequence[nn.Module]) -> Run:
    """All folds in one pass: grouped convolutions, batched matrix products."""
    params, buffers = torch.func.stack_module_state(list(networks))
    blank = copy.deepcopy(networks[0]).to("meta")

    def one(params: dict, buffers: dict, *inputs: Tensor) -> Tensor:
        return torch.func.functional_call(blank, (params, buffers), inputs)

    vectorised = torch.vmap(one, in_dims=(0, 0, *[None] * n_inputs(networks[0])))
    return lambda *inputs: vectorised(params, buffers, *inputs)


def n_inputs(network: nn.Module) -> int:
    return network.forward.__code__.co_argcount - 1


def int8(network: nn.Module, inputs: Sequence[Tensor], calibration: Sequence[Tensor]) -> nn.Module:
    """Static int8 by PyTorch's export: answers of int8, and its speed once compiled."""
    from torchao.quantization.pt2e import move_exported_model_to_eval
    from torchao.quantization.pt2e.quantize_pt2e import convert_pt2e, prepare_pt2e
    from torchao.quantization.pt2e.quantizer.x86_inductor_quantizer import (
        X86InductorQuantizer,
        get_default_x86_inductor_quantization_config,
    )

    quantizer = X86InductorQuantizer().set_global(get_default_x86_inductor_quantization_config())
    prepared = prepare_pt2e(torch.export.export(network, tuple(inputs)).module(), quantizer)
    for k in range(0, len(calibration[0]), len(inputs[0])):
        batch = [view[k : k + len(inputs[0])] for view in calibration]
        prepared(*batch)
    return move_exported_model_to_eval(convert_pt2e(prepared))


def linear_int8(network: nn.Module) -> nn.Module:
    """int8 of the linear layers alone, by PyTorch's dynamic quantization."""
    return torch.ao.quantization.quantize_dynamic(network, {nn.Linear, nn.GRU}, torch.qint8)


def ways(case: Case, batch: int) -> dict[str, Callable[[], Run]]:
    """Each way's name and what makes it ready."""
    _, networks, inputs, calibration = case
    first = [view[:batch] for view in inputs]

    def ready() -> list[nn.Module]:
        return folded(networks, first)

    return {
        "plain": lambda: apart(networks),
        "folded": lambda: apart(ready()),
        "stacked": lambda: stacked(ready()),
        "compiled": lambda: apart([compiled(network) for network in ready()]),
        "bfloat16": lambda: apart([in_bfloat16(network) for network in ready()]),
        "bfloat16+compiled": lambda: apart([in_bfloat16(compiled(network)) for network in ready()]),
        "int8 linear": lambda: apart([linear_int8(network) for network in ready()]),
        "int8": lambda: apart([int8(network, first, calibration) for network in ready()]),
        "int8+compiled": lambda: apart(
            [compiled(int8(network, first, calibration)) for network in ready()]
        ),
    }


def random_cases(members: Sequence[str], recipe: str, folds: int, n: int) -> Iterator[Case]:
    """Networks of a recipe with random weights, and noise."""
    params = compose(Path(__file__).parents[1] / "recipes", recipe)
    for name in members:
        torch.manual_seed(0)
        member = params.members[name]
        shapes = [view.shape for view in build_views(params, member.views).values()]
        inputs, more = ([torch.randn(n, *shape) for shape in shapes] for _ in range(2))
        network = settled(build_model(member, shapes, name=name), [view[:4] for view in inputs])
        yield name, [copy.deepcopy(network) for _ in range(folds)], inputs, more


def trained_cases(
    members: Sequence[str], bundle: Path, data: Path, folds: int, n: int
) -> Iterator[Case]:
    """A bundle's networks, and windows of a competition folder."""
    content = read_bundle(bundle)
    items = find_items([data / "test.csv"])[:n] + find_items([data / "train.csv"])[::7][:n]
    windows = prepare([item.load() for item in items], CPU)
    for name in members:
        views = build_views(content.params, content.members[name].views)
        pictures = [picture.half().float() for picture in compute(views, windows).values()]
        networks = load_networks(content, name, content.folds[:folds], views, CPU)
        yield name, networks, [view[:n] for view in pictures], [view[n:] for view in pictures]


def answers(run: Run, inputs: Sequence[Tensor], batch: int) -> Tensor:
    """Probabilities, shape (folds, n, 6), batch by batch."""
    parts = [[view[k : k + batch] for view in inputs] for k in range(0, len(inputs[0]), batch)]
    return torch.cat([run(*part).softmax(2) for part in parts], 1)


@torch.no_grad()
def measure(case: Case, wanted: Sequence[str], batch: int, rounds: int) -> None:
    """Print a line a way."""
    name, networks, inputs, _ = case
    makers, runs, moved, start_s = ways(case, batch), {}, {}, {}
    strict = answers(apart(networks), inputs, batch)
    for way in wanted:
        start = time.process_time()
        runs[way] = makers[way]()
        moved[way] = (answers(runs[way], inputs, batch) - strict).abs()
        start_s[way] = time.process_time() - start
    first = [view[:batch] for view in inputs]
    took: dict[str, list[float]] = {way: [] for way in wanted}
    for _ in range(rounds):
        for way, run in runs.items():
            start = time.process_time()
            run(*first)
            took[way].append(1e3 * (time.process_time() - start) / batch / len(networks))
    for way in wanted:
        shares = [mine / base for mine, base in zip(took[way], took[wanted[0]], strict=True)]
        record = {
            "member": name, "way": way, "ms": round(median(took[way]), 2),
            "share": round(median(shares), 3), "start_s": round(start_s[way], 1),
            "moved_max": float(moved[way].max()), "moved_mean": float(moved[way].mean()),
            "spread": round(float(strict.std(1).mean()), 4),
        }  # fmt: skip
        print(json.dumps(record), flush=True)


def main() -> None:
    """Print one JSON line a member and way."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("members", nargs="+")
    parser.add_argument("--recipe", default="full")
    parser.add_argument("--bundle", type=Path)
    parser.add_argument("--data", type=Path)
    parser.add_argument("--ways", nargs="+", default=["folded", "plain", "int8+compiled"])
    parser.add_argument("--folds", type=int, default=1)
    parser.add_argument("--windows", type=int, default=16, help="that are compared")
    parser.add_argument("--batch", type=int, default=4)
    parser.add_argument("--rounds", type=int, default=15)
    args = parser.parse_args()
    torch.set_num_threads(1)
    cases = (
        trained_cases(args.members, args.bundle, args.data, args.folds, args.windows)
        if args.bundle
        else random_cases(args.members, args.recipe, args.folds, args.windows)
    )
    for case in cases:
        measure(case, args.ways, args.batch, args.rounds)


if __name__ == "__main__":
    main()
