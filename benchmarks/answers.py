"""What captured, half-precision and compiled networks gain when ten folds answer together.

``python -m benchmarks.answers v2s-cwt [b4-mel ...] [--ways tf32 half half+compiled]`` takes each
member's network of the full recipe with random weights whose normalisation was settled and whose
head was scaled to trained logits, ten copies, and times 64 windows by each way of running them;
the difference from strict float32 stands beside it.
"""

from __future__ import annotations

import argparse
import copy
import json
import time
from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor, nn

from hms_pipeline.config.recipes import compose
from hms_pipeline.features.views import build_views
from hms_pipeline.inference.networks import FoldGroup, GraphPool
from hms_pipeline.models import build_model

WAYS = {
    "tf32": (None, False),
    "half": (torch.float16, False),
    "bfloat16": (torch.bfloat16, False),
    "tf32+compiled": (None, True),
    "half+compiled": (torch.float16, True),
}


class Way(FoldGroup):
    """A group that runs its networks in one of the ways."""

    dtype: torch.dtype | None = None
    compile_it = False

    def _answer(self, network: nn.Module, views: Sequence[Tensor]) -> Tensor:
        run = torch.compile(network, dynamic=False) if self.compile_it else network
        with torch.autocast(
            "cuda", self.dtype or torch.float16, enabled=self.dtype is not None, cache_enabled=False
        ):
            logits = run(*views)
        return logits.float().softmax(1)


@torch.no_grad()
def settled(network: nn.Module, inputs: Sequence[Tensor]) -> nn.Module:
    """Normalisation as after a training, logits of a trained network's size."""
    network.train()
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.momentum = 0.3
    for _ in range(12):
        network(*inputs)
    network.eval()
    spread = network(*inputs).std(0).mean()
    network.head.weight.mul_(1.5 / spread)
    return network.requires_grad_(False)


def seconds(group: FoldGroup, inputs: Sequence[Tensor], least_s: float = 2.0) -> float:
    """Mean time of one call, warm."""
    torch.cuda.synchronize()
    start, n = time.perf_counter(), 0
    while time.perf_counter() - start < least_s:
        for _ in range(3):
            group(inputs)
        torch.cuda.synchronize()
        n += 3
    return (time.perf_counter() - start) / n


def main() -> None:
    """Print one JSON line a member and way."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("members", nargs="+")
    parser.add_argument("--ways", nargs="+", choices=list(WAYS), default=list(WAYS))
    parser.add_argument("--folds", type=int, default=10)
    parser.add_argument("--batch", type=int, default=64)
    parser.add_argument("--seconds", type=float, default=2.0)
    args = parser.parse_args()
    params = compose(Path(__file__).parents[1] / "recipes", "full")
    device = torch.device("cuda:0")
    for name in args.members:
        torch.manual_seed(0)
        member = params.members[name]
        shapes = [view.shape for view in build_views(params, member.views).values()]
        inputs = [torch.randn(args.batch, *shape, device=device) for shape in shapes]
        network = settled(build_model(member, shapes, name=name).to(device), inputs)
        torch.backends.cudnn.allow_tf32 = False
        with torch.inference_mode():
            strict = network(*inputs).softmax(1)
        torch.backends.cudnn.allow_tf32 = True
        for way in args.ways:
            torch.cuda.reset_peak_memory_stats()
            start = time.perf_counter()
            networks = [copy.deepcopy(network) for _ in range(args.folds)]
            group = Way(networks, shapes, GraphPool(device))
            group.dtype, group.compile_it = WAYS[way]
            with torch.inference_mode():
                probs = group(inputs)[0]
                first = time.perf_counter() - start
                took = seconds(group, inputs, args.seconds)
            moved = (probs - strict).abs()
            record = {
                "member": name, "way": way, "windows": args.batch, "folds": args.folds,
                "first_s": round(first, 2), "ms": round(1e3 * took, 2),
                "images_s": round(args.batch * args.folds / took),
                "moved_max": float(moved.max()), "moved_mean": float(moved.mean()),
                "gb": round(torch.cuda.max_memory_allocated() / 1e9, 2),
            }  # fmt: skip
            print(json.dumps(record), flush=True)
            del networks, group


if __name__ == "__main__":
    main()
