"""The model card reads well where MLflow shows it."""

from __future__ import annotations

import itertools
import re

import pytest

from hms_pipeline.registry import card


@pytest.mark.parametrize("text", [card.CARD, card.ENSEMBLE, card.STUDENT])
def test_a_paragraph_is_one_line(text: str) -> None:
    plain = [bool(re.match(r"[^#|\-\n]", line)) for line in text.splitlines()]
    assert any(plain)
    assert not any(a and b for a, b in itertools.pairwise(plain))
