from __future__ import annotations

import numpy as np
import pytest
from scipy.special import eval_legendre

from hms_pipeline.schema import DOUBLE_BANANA, ELECTRODES, MIRROR
from hms_pipeline.simulator.head import (
    derive,
    electrode_positions,
    lead_field,
    mirror_position,
    project,
)


def test_electrodes_lie_on_the_unit_sphere_and_mirror_each_other() -> None:
    places = dict(zip(ELECTRODES, electrode_positions(), strict=True))
    assert np.allclose(np.linalg.norm(electrode_positions(), axis=1), 1)
    for name, place in places.items():
        assert np.allclose(mirror_position(place), places[MIRROR[name]], atol=1e-12)


@pytest.mark.parametrize("depth", [0.45, 0.6])
def test_lead_field_is_the_legendre_series_of_a_radial_dipole(depth: float) -> None:
    # Surface potential: sum over n of (2n + 1) b^(n-1) P_n(cos g), Nunez and Srinivasan 2006.
    source = electrode_positions()[[0]]
    cosine = electrode_positions() @ source[0]
    orders = np.arange(1, 80)
    weights = (2 * orders + 1) * depth ** (orders - 1.0)
    series = (weights * eval_legendre(orders, cosine[:, None])).sum(axis=1)
    series /= (weights * eval_legendre(orders, 1.0)).sum()
    assert np.allclose(lead_field(source, depth)[:, 0], series, atol=1e-9)


def test_field_is_largest_at_its_source_and_mirrors_with_it() -> None:
    places = electrode_positions()
    field = lead_field(places, 0.6)
    assert (field.argmax(axis=0) == np.arange(len(places))).all()
    swap = [ELECTRODES.index(MIRROR[name]) for name in ELECTRODES]
    assert np.allclose(lead_field(mirror_position(places), 0.6), field[swap])


def test_project_adds_the_product_and_derive_subtracts() -> None:
    rng = np.random.default_rng(0)
    field, sources = rng.normal(size=(19, 3)), rng.normal(size=(3, 9001))
    potential = np.ones((19, 9001))
    project(potential, field, sources)
    assert np.allclose(potential, 1 + field @ sources)
    first, second = (ELECTRODES.index(name) for name in DOUBLE_BANANA[4])
    assert np.array_equal(derive(potential)[4], potential[first] - potential[second])
