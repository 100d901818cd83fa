"""Augmentations of power against the same change made to the raw signal before the view."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from hms_pipeline.datasets.augmentations import AUGMENTATIONS, Augmenter, ViewInfo
from hms_pipeline.datasets.augmentations.power import Response
from hms_pipeline.features.views import VIEWS
from hms_pipeline.features.windows import WindowBatch
from hms_pipeline.schema import SFREQ
from tests.ensembles import random_window
from tests.recipes import recipe

DB = np.log(10) / 10


@pytest.fixture(scope="module")
def views() -> dict:
    params = recipe("demo").views
    return {name: VIEWS[name].build(params[name]) for name in ("stft", "mel", "cwt", "bipolar")}


@pytest.fixture(scope="module")
def eeg() -> torch.Tensor:
    return 0.3 * torch.from_numpy(np.stack([random_window(seed, False).eeg for seed in range(4)]))


def drawn_like(name: str, view, options: dict) -> tuple[Augmenter, torch.Tensor]:
    augmenter = Augmenter({name: {"probability": 1.0, **options}}, [ViewInfo.of(view)])
    return augmenter, augmenter.draw(np.random.default_rng(3), 1, 4)[0]


def augmented(augmenter: Augmenter, x: torch.Tensor, drawn: torch.Tensor) -> torch.Tensor:
    (y,), _ = augmenter.apply([x], torch.zeros(len(x), 6), drawn)
    return y


@pytest.mark.parametrize("name", ["stft", "mel", "cwt", "bipolar"])
def test_a_gain_is_that_of_the_signal(views: dict, eeg: torch.Tensor, name: str) -> None:
    augmenter, drawn = drawn_like("gain", views[name], {"max_db": 6.0})
    louder = eeg * (0.5 * drawn[:, :1, None]).exp()
    expected = views[name](WindowBatch(louder))
    before = views[name](WindowBatch(eeg))
    found = augmented(augmenter, before, drawn)
    bounds = before.amin(), before.amax()  # what was clipped before does not say by how much
    inside = (before > bounds[0] + 1e-3) & (before < bounds[1] - 1e-3)
    assert inside.float().mean() > 0.5
    close = (found - expected)[inside].abs() < 1e-3  # few pixels are drawn from a clipped one
    assert close.float().mean() > 0.95


@pytest.mark.parametrize(
    ("augmentation", "options"),
    [("tilt", {"max_db": 6.0}), ("band_limits", {"max_low_hz": 3.0, "min_high_hz": 12.0})],
)
@pytest.mark.parametrize(("name", "limit"), [("bipolar", 0.02), ("stft", 0.12)])
def test_a_response_is_that_of_a_filter_before_the_view(
    views: dict, eeg: torch.Tensor, augmentation: str, options: dict, name: str, limit: float
) -> None:
    """Half of a picture's pixels within ``limit`` nats / std; a frame sees the response smeared."""
    view = views[name]
    augmenter, drawn = drawn_like(augmentation, view, options)
    response = AUGMENTATIONS[augmentation](probability=1.0, **options)
    assert isinstance(response, Response)
    freqs = torch.fft.rfftfreq(eeg.shape[-1], 1 / SFREQ)
    nats = response.nats(drawn, freqs, (0.5, 20.0))
    filtered = torch.fft.irfft(torch.fft.rfft(eeg) * (0.5 * nats).exp()[:, None], n=eeg.shape[-1])
    before = view(WindowBatch(eeg))
    expected = view(WindowBatch(filtered))
    change = float((expected - before).abs().median())
    error = float((augmented(augmenter, before, drawn) - expected).abs().median())
    assert error < limit
    assert error < change / 2


@pytest.mark.parametrize("name", ["stft", "bipolar"])
def test_noise_has_the_power_that_was_drawn(views: dict, name: str) -> None:
    view = views[name]
    augmenter, drawn = drawn_like("noise", view, {"max_uv": 20.0})
    quiet = view(WindowBatch(torch.zeros(4, 20, 10_000)))
    found = augmented(augmenter, quiet, drawn)
    sd_uv = drawn[:, 0]
    if name == "bipolar":
        measured = found.std(dim=(1, 2)) * view.params["scale_uv"]
        torch.testing.assert_close(measured, sd_uv, rtol=0.05, atol=0.0)
    else:
        scale = view.params["scale"]
        nats = found.mean(dim=(1, 2, 3)) * scale["std"] + scale["mean"]
        floor = np.exp(scale["low"])
        expected = torch.log(sd_uv**2 / 19.5 + floor)
        torch.testing.assert_close(nats, expected, rtol=0.0, atol=0.01)


def test_channels_get_numbers_of_their_own(views: dict, eeg: torch.Tensor) -> None:
    augmenter, drawn = drawn_like("channel_scale", views["bipolar"], {"max_db": 3.0})
    before = views["bipolar"](WindowBatch(eeg))
    ratio = (augmented(augmenter, before, drawn) / before).nanmedian(-1).values
    torch.testing.assert_close(2 * ratio.log() / DB, drawn / DB, rtol=0.0, atol=1e-3)
    assert drawn.std(1).min() > 0


def test_images_stay_within_their_bounds(views: dict, eeg: torch.Tensor) -> None:
    augmenter, drawn = drawn_like("gain", views["stft"], {"max_db": 60.0})
    found = augmented(augmenter, views["stft"](WindowBatch(eeg)), drawn)
    scale = views["stft"].params["scale"]
    low, high = ((scale[key] - scale["mean"]) / scale["std"] for key in ("low", "high"))
    assert float(found.min()) >= low
    assert float(found.max()) <= high


@pytest.mark.parametrize(
    ("name", "options", "said"),
    [
        ("gain", {"max_db": -1.0}, "gain.max_db: .*greater than or equal to 0, but is -1.0"),
        ("noise", {"max_uv": -1.0}, "noise.max_uv: .*greater than or equal to 0, but is -1.0"),
        (
            "band_limits",
            {"max_low_hz": 9.0, "min_high_hz": 5.0},
            "max_low_hz below min_high_hz, but they are 9.0 and 5.0",
        ),
    ],
)
def test_values_out_of_range_are_one_sentence(name: str, options: dict, said: str) -> None:
    from hms_pipeline.system.errors import InputError

    with pytest.raises(InputError, match=said):
        Augmenter({name: {"probability": 0.5, **options}}, [])
