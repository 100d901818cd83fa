"""Networks are built without weights and without PyTorch's compiler, which stays usable."""

import subprocess
import sys

import torch
from torch import nn

from hms_pipeline.inference.blank import blank_weights

STARTER = """
import sys
from hms_pipeline.config.members import STARTER_FOLDER
from hms_pipeline.inference.predictor import Predictor

Predictor.open(STARTER_FOLDER, device="cpu")
loaded = {"torch._dynamo", "torch._dynamo.utils", "triton", "sympy"} & set(sys.modules)
assert not loaded, loaded

import torch
from torchvision.ops import roi_align

assert torch.compile(lambda x: x + 1, backend="eager")(torch.ones(1)) == 2
assert torch._dynamo.config is sys.modules["torch._dynamo"].config
roi_align(torch.ones(1, 1, 4, 4), torch.tensor([[0.0, 0, 0, 2, 2]]), 2)
"""

OTHERS = """
import sys
from hms_pipeline.inference.blank import blank_weights

with blank_weights():
    from torch._dynamo.utils import counters
assert sys.modules["torch._dynamo.utils"].counters is counters
"""


def run(program: str) -> None:
    subprocess.run([sys.executable, "-c", program], check=True)


def test_the_starter_answers_without_the_compiler_that_can_be_had_afterwards() -> None:
    run(STARTER)


def test_whatever_else_is_asked_of_the_compiler_meanwhile_is_its_own() -> None:
    run(OTHERS)


def test_blank_networks_hold_no_numbers() -> None:
    with blank_weights():
        network = nn.Sequential(nn.Conv1d(2, 3, 3), nn.GRU(3, 4), nn.BatchNorm1d(4))
    assert all(weight.is_meta for weight in network.state_dict().values())
    with blank_weights():
        weight = nn.init.normal_(torch.zeros(1000, device="cpu"))
    assert not weight.any()  # nothing is drawn
