"""Declaring a view: its parameters come from its signature and are checked against it."""

import dataclasses
from typing import Annotated

import pytest
import torch
from pydantic import Field

from hms_pipeline.config.options import options_of
from hms_pipeline.config.section import Section
from hms_pipeline.features.view import VIEWS, View
from hms_pipeline.features.windows import WindowBatch
from hms_pipeline.schema import REGIONS
from hms_pipeline.system.errors import InputError


class Part(Section):
    width: int


def picture(batch, *, height: Annotated[int, Field(ge=2)], gain: float, parts: tuple[Part, ...]):
    """A picture for this test."""
    width = sum(part.width for part in parts)
    if width > 50:
        raise InputError(f"width needs at most 50 columns, but has {width}. Narrow it.")
    return gain * torch.ones(len(batch), 4, height, width)


@pytest.fixture
def definition():
    return View("picture", ("eeg",), "image", REGIONS, picture, options_of(picture))


PARAMS = {"height": 4, "gain": 2.0, "parts": [{"width": 3}, {"width": 5}]}


def test_a_built_view_knows_its_shape_and_values(definition):
    built = definition.build(PARAMS)
    assert built.shape == (4, 4, 8)
    assert built.params == PARAMS
    assert built.mirror == (1, 0, 3, 2)
    assert built.mirror_sign == (1, 1, 1, 1)
    assert definition.summary == "A picture for this test."


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"heigth": 3}, "unknown key 'views.picture.heigth'"),
        ({"height": 1}, "views.picture.height: .* but is 1"),
        ({"height": "4"}, 'views.picture.height: .*integer.* but is "4"'),
        ({"gain": "1e-3"}, "views.picture.gain: .*number"),
        ({"parts": [{"widht": 3}]}, r"views.picture.parts.0.width"),
        ({"parts": [{"width": 60}]}, "views.picture: width needs at most 50"),
    ],
)
def test_wrong_parameters_are_refused_with_their_path(definition, change, sentence):
    with pytest.raises(InputError, match=sentence):
        definition.build({**PARAMS, **change})


@pytest.mark.parametrize("error", [ValueError, RuntimeError])
def test_a_librarys_refusal_is_one_sentence(definition, error):
    def refuse(batch, **parameters):
        raise error("NW must be less than M/2.")

    refusing = dataclasses.replace(definition, function=refuse)
    with pytest.raises(InputError, match=r"views\.picture needs .* NW must be less than M/2\. "):
        refusing.build(PARAMS)


@pytest.mark.parametrize("gain", [float("inf"), float("nan")])
def test_parameters_are_finite(definition, gain):
    with pytest.raises(InputError, match=r"views\.picture\.gain: .*finite"):
        definition.build({**PARAMS, "gain": gain})


def test_a_missing_parameter_is_named(definition):
    with pytest.raises(InputError, match="missing key 'views.picture.gain'"):
        definition.build({"height": 4, "parts": [{"width": 3}]})


def test_an_absent_input_is_refused(definition):
    built = dataclasses.replace(definition, inputs=("eeg", "spectrogram")).build(PARAMS)
    with pytest.raises(InputError, match="needs the window's spectrogram"):
        built(WindowBatch(torch.zeros(1, 20, 10_000)))


def test_an_unknown_view_is_refused_with_the_choice():
    with pytest.raises(InputError, match="Unknown view 'banana'"):
        VIEWS["banana"]
