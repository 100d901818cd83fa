from __future__ import annotations

import numpy as np
import pytest

from hms_pipeline.schema import CLASSES
from hms_pipeline.simulator.latent import EDGES, classify, draw_latent
from hms_pipeline.simulator.raters import HIGH_TOTALS, LOW_TOTALS, draw_total, draw_votes


@pytest.mark.parametrize("name", CLASSES)
@pytest.mark.parametrize("ambiguous", [False, True])
def test_a_drawn_point_lies_in_its_class(name: str, ambiguous: bool) -> None:
    rng = np.random.default_rng(0)
    assert {draw_latent(rng, name, ambiguous).name for _ in range(100)} == {name}


def test_the_tree_follows_the_terminology() -> None:
    assert classify(0.9, 0.1, 0.9, 0.1) == "gpd"
    assert classify(0.9, 0.1, 0.1, 0.9) == "lrda"
    assert classify(0.9, 0.9, 0.9, 0.9) == "seizure"
    assert classify(0.1, 0.9, 0.9, 0.9) == "other"


def test_every_class_has_boundaries_whose_weights_sum_to_one() -> None:
    assert set(EDGES) == set(CLASSES)
    for edges in EDGES.values():
        assert np.isclose(sum(weight for _, weight in edges), 1)


@pytest.mark.parametrize("name", CLASSES)
def test_raters_agree_inside_a_class_and_split_at_its_boundary(name: str) -> None:
    rng = np.random.default_rng(1)

    def agreement(ambiguous: bool) -> float:
        shares = [
            draw_votes(rng, draw_latent(rng, name, ambiguous), 20)[CLASSES.index(name)] / 20
            for _ in range(60)
        ]
        return float(np.mean(shares))

    assert agreement(False) > 0.9
    assert 0.45 < agreement(True) < 0.85


def test_proto_patterns_split_with_other() -> None:
    rng = np.random.default_rng(2)
    latent = draw_latent(rng, "lpd", False)
    proto = type(latent)(0.5, latent.evolution, latent.sharpness, latent.laterality, 1.0)
    votes = np.sum([draw_votes(rng, proto, 20) for _ in range(30)], axis=0)
    share = dict(zip(CLASSES, votes / votes.sum(), strict=True))
    assert 0.35 < share["other"] < 0.65
    assert share["lpd"] + share["other"] > 0.9


@pytest.mark.parametrize("many", [False, True])
def test_totals_are_those_of_the_competition(many: bool) -> None:
    rng = np.random.default_rng(3)
    totals = {draw_total(rng, many) for _ in range(500)}
    assert totals <= (set(range(10, 29)) if many else set(range(1, 8)))
    assert np.isclose(sum((HIGH_TOTALS if many else LOW_TOTALS).values()), 1)
