"""Every cleaning rule and every expectation, over the catalogues."""

from __future__ import annotations

from pathlib import Path

import pytest

from hms_pipeline.config import load_params
from hms_pipeline.validation import (
    cleaning,  # noqa: F401 - registers the rules
    expectations,  # noqa: F401 - registers the expectations
)
from hms_pipeline.validation.expectation import EXPECTATIONS, SUITES
from hms_pipeline.validation.measure import WINDOW_MEASURES
from hms_pipeline.validation.rule import RULES

PARAMS = load_params(Path(__file__).parents[2] / "params.yaml").validation


@pytest.mark.parametrize("name", EXPECTATIONS)
def test_an_expectation_builds_and_says_what_it_expects(name):
    entry = EXPECTATIONS[name]
    assert entry.suite in SUITES
    assert entry.rule is None or entry.rule in RULES
    built = entry.build(PARAMS)
    assert built.description, f"Give {name} a description: it stands in the Data Docs."


@pytest.mark.parametrize("name", RULES)
def test_a_rule_has_an_expectation_and_a_line_for_people(name):
    assert RULES[name].about
    assert any(EXPECTATIONS[e].rule == name for e in EXPECTATIONS), (
        f"Add an expectation with rule={name!r} to validation/expectations/,"
        " so that the Data Docs show what the rule removes."
    )


def test_every_suite_has_expectations():
    assert {EXPECTATIONS[name].suite for name in EXPECTATIONS} == set(SUITES)


@pytest.mark.parametrize("name", [name for name in RULES if RULES[name].limits])
def test_a_limit_is_on_a_measure_of_windows(name):
    measures = {f"{kind}_{measure}" for kind, all_ in WINDOW_MEASURES.items() for measure in all_}
    for limit in RULES[name].limits.values():
        assert limit.column in measures, f"Choose one of {sorted(measures)}."
        assert isinstance(limit.most(PARAMS), int | float)
