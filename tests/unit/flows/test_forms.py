"""What Prefect's form for a run shows: every parameter described, none that only tests need."""

from __future__ import annotations

import pytest
from prefect.utilities.callables import parameter_schema

from flows import drift, pipeline, score

FLOWS = (
    pipeline.retrain, pipeline.validate, pipeline.features, pipeline.train, pipeline.ensemble,
    pipeline.register, score.score, drift.drift,
)  # fmt: skip


@pytest.mark.parametrize("flow", FLOWS, ids=lambda flow: flow.name)
def test_parameters_are_described(flow) -> None:
    shown = parameter_schema(flow.fn).properties
    assert "root" not in shown
    assert all(len(entry.get("description", "")) > 15 for entry in shown.values()), shown
