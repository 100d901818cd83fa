"""What single architectures promise beyond the contract."""

from __future__ import annotations

import pytest
import timm
import torch
from safetensors.torch import save_file
from torch.nn import functional

from hms_pipeline.config.members import MemberParams
from hms_pipeline.models import build_model, load_pretrained, pretrained
from hms_pipeline.models.eegnet import KERNELS, Residual, WaveEncoder
from hms_pipeline.models.multi import GatedFusion
from hms_pipeline.system.errors import InputError


def build(architecture: str, shapes, **options):
    member = MemberParams(architecture=architecture, views=("a",), model=options)
    return build_model(member, shapes, name="m")


@pytest.mark.parametrize(
    ("architecture", "trunk"),
    [("efficientnet_v2s", "tf_efficientnetv2_s"), ("efficientnet_b4", "efficientnet_b4")],
)
def test_width_and_depth_one_is_timms_own_network(architecture, trunk):
    with torch.device("meta"):
        ours = build(architecture, [(4, 64, 64)]).encoder.trunk.state_dict()
        timms = timm.create_model(trunk, in_chans=4, num_classes=0).state_dict()
    assert {k: v.shape for k, v in ours.items()} == {k: v.shape for k, v in timms.items()}


def test_width_and_depth_scale_parameters():
    sizes = [
        sum(
            p.numel()
            for p in build("efficientnet_v2s", [(4, 32, 32)], width=w, depth=d).parameters()
        )
        for w, d in ((0.25, 0.2), (0.5, 0.2), (0.5, 0.4))
    ]
    assert sizes == sorted(sizes)
    assert sizes[0] * 2 < sizes[1]


def test_an_unknown_norm_names_the_choices():
    with pytest.raises(InputError, match="norm: Input should be 'batch' or 'group'"):
        build("efficientnet_v2s", [(4, 16, 64)], norm="x")


@pytest.mark.parametrize("n_times", [16, 17])
def test_the_shortcut_is_a_mean_of_neighbours_and_a_convolution(n_times):
    block = Residual(3, 5).double()
    x = torch.randn(2, 3, 4, n_times, dtype=torch.float64)
    means = functional.avg_pool2d(x, (1, 2), ceil_mode=True, count_include_pad=False)
    torch.testing.assert_close(block._shortcut(x), block.shortcut(means))


def test_wave_kernels_are_shared_by_derivations():
    encoder = WaveEncoder((5, 640), width=8, hidden=16, n_blocks=2, pool=1, stride=2)
    assert [conv.kernel_size for conv in encoder.parallel.convs] == [(1, k) for k in KERNELS]
    assert all(conv.in_channels == 1 for conv in encoder.parallel.convs)


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"width": 6}, "multiple of 4, got 6"),
        ({"hidden": 0}, "hidden: .*greater than or equal to 1"),
        ({"n_blocks": 9}, "too short"),
    ],
)
def test_impossible_wave_networks_are_refused(options, sentence):
    with pytest.raises(InputError, match=sentence):
        build("eegnet", [(8, 640)], **options)


def test_the_gate_weighs_between_its_branches():
    fusion = GatedFusion(3, 5, 4).eval()
    first, second = torch.randn(7, 3), torch.randn(7, 5)
    fused, a, b = fusion(first, second), fusion.first(first), fusion.second(second)
    assert (fused >= torch.minimum(a, b) - 1e-6).all()
    assert (fused <= torch.maximum(a, b) + 1e-6).all()


def test_an_unreachable_hub_means_from_scratch_and_is_said(monkeypatch, caplog):
    def unreachable(tag: str) -> None:
        raise OSError("no route")

    monkeypatch.setattr(pretrained, "_reach_hub", unreachable)
    model = build("efficientnet_lite0", [(4, 32, 32)])
    before = model.encoder.trunk.conv_stem.weight.clone()
    report = load_pretrained(model, "hub", name="m")
    assert not report.loaded
    assert torch.equal(before, model.encoder.trunk.conv_stem.weight)
    assert "training starts from scratch" in caplog.text


def test_a_trunk_in_a_local_file_fits_four_regions(tmp_path):
    trunk = timm.create_model("tf_efficientnet_lite0", num_classes=0)
    save_file(trunk.state_dict(), tmp_path / "trunk.safetensors")
    model = build("efficientnet_lite0", [(4, 32, 32)])
    report = load_pretrained(model, str(tmp_path / "trunk.safetensors"), name="m")
    assert report.loaded
    assert torch.equal(model.encoder.trunk.conv_head.weight, trunk.conv_head.weight)
    assert model.encoder.trunk.conv_stem.weight.shape[1] == 4


def test_a_whole_network_in_a_local_file(tmp_path):
    model = build("eegnet", [(8, 640)], width=8, hidden=16, n_blocks=2)
    save_file(model.state_dict(), tmp_path / "whole.safetensors")
    other = build("eegnet", [(8, 640)], width=8, hidden=16, n_blocks=2)
    assert load_pretrained(other, str(tmp_path / "whole.safetensors"), name="m").loaded
    assert torch.equal(model.head.weight, other.head.weight)


def test_pretrained_requests_that_cannot_be_met_are_refused(tmp_path):
    eegnet = build("eegnet", [(8, 640)], width=8, hidden=16, n_blocks=2)
    with pytest.raises(InputError, match=r"members\.m\.pretrained='hub' needs an EfficientNet"):
        load_pretrained(eegnet, "hub", name="m")
    with pytest.raises(InputError, match="does not exist"):
        load_pretrained(eegnet, str(tmp_path / "none.safetensors"), name="m")
    save_file({"x": torch.zeros(1)}, tmp_path / "other.safetensors")
    image = build("efficientnet_lite0", [(4, 32, 32)])
    with pytest.raises(InputError, match="does not fit"):
        load_pretrained(image, str(tmp_path / "other.safetensors"), name="m")
