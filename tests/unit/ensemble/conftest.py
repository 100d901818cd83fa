"""The tiny recipe for every test of this room."""

from __future__ import annotations

import pytest

from hms_pipeline.config import Params
from tests.recipes import recipe


@pytest.fixture(scope="session")
def tiny() -> Params:
    return recipe("tiny")
