"""Every view of the catalogue, with the parameters of every recipe."""

import copy
import inspect
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from hms_pipeline.features.compute import compute
from hms_pipeline.features.views import VIEWS, build_view, build_views
from hms_pipeline.features.windows import WindowBatch
from hms_pipeline.schema import REGIONS
from hms_pipeline.system.errors import InputError
from tests.electrodes import mirror_electrodes
from tests.recipes import HOSTILE, NAMES, places, put, recipe, unbounded

ROOT = Path(__file__).parents[2]
RECIPES = {name: recipe(name).views for name in NAMES}
CASES = [(name, view) for name, views in RECIPES.items() for view in views]


def random_batch(n=2, seed=0):
    generator = torch.Generator().manual_seed(seed)
    eeg = 10 * torch.randn(n, 20, 10_000, generator=generator).cumsum(-1)
    return WindowBatch(eeg, 5 * torch.rand(n, 4, 100, 300, generator=generator))


def mirrored(batch):
    swapped = batch.spectrogram[:, [REGIONS.index(r) for r in ("RL", "LL", "RP", "LP")]]
    return WindowBatch(mirror_electrodes(batch.eeg), swapped)


@pytest.fixture(params=CASES, ids=lambda case: "-".join(case))
def built(request):
    name, view = request.param
    return VIEWS[view].build(RECIPES[name][view])


def test_every_view_of_the_catalogue_is_in_the_full_recipe():
    assert sorted(RECIPES["full"]) == list(VIEWS), (
        "Add the view's parameters to section views of recipes/base.yaml."
    )


def test_values_have_the_stated_shape_and_are_finite(built):
    values = built(random_batch())
    assert values.shape == (2, *built.shape)
    assert values.dtype == torch.float32
    assert torch.isfinite(values.half()).all()
    assert len(built.row_names) == built.shape[0]
    assert len(built.shape) == (3 if built.kind == "image" else 2)


def test_mirroring_the_electrodes_permutes_the_rows(built):
    batch = random_batch()
    sign = torch.tensor(built.mirror_sign).view(-1, *[1] * (len(built.shape) - 1))
    expected = built(batch)[:, list(built.mirror)] * sign
    torch.testing.assert_close(built(mirrored(batch)), expected, rtol=1e-3, atol=1e-3)


def test_a_window_does_not_depend_on_its_batch(built):
    batch = random_batch(3)
    alone = compute({built.name: built}, batch.split(1)[1])[built.name][0]
    assert torch.equal(compute({built.name: built}, batch)[built.name][1], alone)
    torch.testing.assert_close(built(batch)[1], alone.float(), rtol=2e-3, atol=4e-3)


def test_only_declared_inputs_are_read(built):
    batch = random_batch()
    if "spectrogram" not in built.inputs:
        assert torch.equal(built(WindowBatch(batch.eeg)), built(batch))
    if "eeg" not in built.inputs:
        other = WindowBatch(torch.zeros_like(batch.eeg), batch.spectrogram)
        assert torch.equal(built(other), built(batch))


def test_scaling_is_fixed_by_the_recipe_and_not_by_the_window(built):
    """Ten times the amplitude must show in the values."""
    batch = random_batch()
    louder = WindowBatch(batch.eeg * 3, batch.spectrogram * 9)
    assert (built(louder).abs().mean() - built(batch).abs().mean()).abs() > 0.05


@pytest.mark.parametrize("most_uv", [1.0, 1e3, 1e5])
def test_a_constant_per_electrode_changes_nothing(built, most_uv):
    """DC-coupled amplifiers give up to ±100 mV; single precision then leaves steps of 0.008 µV."""
    batch = random_batch()
    constants = (2 * torch.rand(1, 20, 1, generator=torch.Generator().manual_seed(1)) - 1) * most_uv
    moved = WindowBatch(batch.eeg + constants, batch.spectrogram)
    torch.testing.assert_close(built(moved), built(batch), rtol=0, atol=2e-3)


def test_an_empty_window_gives_finite_values(built):
    blank = WindowBatch(torch.zeros(1, 20, 10_000), torch.zeros(1, 4, 100, 300))
    assert torch.isfinite(built(blank)).all()


def test_image_views_of_the_full_recipe_have_at_least_256_pixels_each_way():
    for name, params in RECIPES["full"].items():
        built = VIEWS[name].build(params)
        if built.kind == "image":
            assert min(built.shape[1:]) >= 256, name


@pytest.mark.parametrize("name", list(VIEWS))
def test_a_view_is_documented_and_takes_keyword_parameters_only(name):
    function = VIEWS[name].function
    first, *others = inspect.signature(function).parameters.values()
    assert VIEWS[name].summary
    assert first.name == "batch"
    assert all(p.kind is p.KEYWORD_ONLY for p in others)


@pytest.mark.parametrize("name", list(RECIPES["full"]))
def test_unknown_and_missing_parameters_are_refused(name):
    good = RECIPES["full"][name]
    with pytest.raises(InputError, match=f"unknown key 'views.{name}.banana'. Choose one of"):
        VIEWS[name].build({**good, "banana": 1})
    first = next(iter(good))
    with pytest.raises(InputError, match=f"missing key 'views.{name}.{first}'"):
        VIEWS[name].build({k: v for k, v in good.items() if k != first})


def with_changes(view, changes):
    """The full recipe's parameters; ``parts`` and the like are changed in each of them."""
    params = copy.deepcopy(RECIPES["full"][view])
    for key, value in changes.items():
        if isinstance(value, dict):
            for part in params[key]:
                part.update(value)
        else:
            params[key] = value
    return params


BANDED = [view for view, params in RECIPES["full"].items() if "low_hz" in params]
FRAMED = {"stft": "parts", "mel": "parts", "multitaper": "parts", "mosaic": "eeg_parts"}


@pytest.mark.parametrize("view", BANDED)
@pytest.mark.parametrize("band", [{"low_hz": 30.0}, {"low_hz": 20.0}, {"high_hz": 150.0}])
def test_a_band_that_is_empty_or_above_the_rate_is_refused(view, band):
    with pytest.raises(InputError, match=f"^views.{view}: .*(low_hz|high_hz)"):
        VIEWS[view].build(with_changes(view, band))


@pytest.mark.parametrize(("view", "parts"), FRAMED.items())
@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"window_s": 0.005}, "window_s needs at least"),
        ({"window_s": 0.02}, "window_s needs at least 0.16 s"),
        ({"duration_s": 0.01}, "frames need to be at least a sample apart"),
    ],
)
def test_frames_hold_samples_and_move(view, parts, change, words):
    with pytest.raises(InputError, match=f"^views.{view}: {words}"):
        VIEWS[view].build(with_changes(view, {parts: change, "rate_hz": 50}))


@pytest.mark.parametrize(
    ("view", "key"), [("spec_multi", "parts"), ("mosaic", "spectrogram_parts")]
)
def test_a_stretch_holds_a_row_of_the_spectrogram(view, key):
    with pytest.raises(InputError, match=f"^views.{view}: duration_s needs at least 2 s"):
        VIEWS[view].build(with_changes(view, {key: {"duration_s": 0.5}}))
    assert VIEWS[view].build(with_changes(view, {key: {"duration_s": 2}})).shape


def test_tapers_fit_their_frames():
    part = {"duration_s": 50, "window_s": 0.5, "frames": 40, "width": 40}
    with pytest.raises(InputError, match="^views.multitaper: nw needs to be below 12.5 "):
        VIEWS["multitaper"].build(with_changes("multitaper", {"nw": 14.0, "parts": [part]}))


def test_a_view_outside_the_recipe_is_refused():
    params = SimpleNamespace(views={"mel": RECIPES["full"]["mel"]})
    assert list(build_views(params)) == ["mel"]
    with pytest.raises(InputError, match="View 'cwt' needs its parameters"):
        build_view(params, "cwt")
    with pytest.raises(InputError, match="Unknown view 'banana'"):
        build_view(params, "banana")


@pytest.mark.parametrize("name", sorted(VIEWS))
def test_no_parameter_asks_for_a_picture_without_end(name):
    assert list(unbounded(VIEWS[name].parameters.model_json_schema())) == []


@pytest.mark.parametrize("name", list(RECIPES["demo"]))
@given(draw=st.data())
@settings(max_examples=20, deadline=None)
def test_any_value_is_refused_by_its_key_or_gives_finite_features(name, draw):
    params = RECIPES["demo"][name]
    at = draw.draw(st.sampled_from(list(places(params))))
    params = put(params, at, draw.draw(st.sampled_from(HOSTILE) | st.floats()))
    try:
        built = VIEWS[name].build(params)
    except InputError as err:
        said = str(err)
        assert f"views.{name}" in said
        assert any(key in said for key in at if isinstance(key, str))
        assert len(said) < 600
        return
    assert torch.isfinite(built(random_batch(1)).half()).all()


def test_a_picture_of_too_many_values_is_refused():
    params = copy.deepcopy(RECIPES["full"]["spec_multi"])
    params["height"] = 1024
    params["parts"] = [{"duration_s": 60, "width": 1024}] * 8
    with pytest.raises(InputError, match=r"views\.spec_multi: .*Lower height"):
        VIEWS["spec_multi"].build(params)


@pytest.mark.parametrize("name", BANDED)
def test_the_lowest_frequency_takes_no_more_memory(name):
    VIEWS[name].build(RECIPES["full"][name] | {"low_hz": 0.01})
