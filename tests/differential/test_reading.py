"""Drawn files: what is read is what was written, in µV and in seconds.

``python -m tests.differential --n 5000`` draws more (``make slow``) and prints the table of
docs/reference/clinical.md.
"""

from __future__ import annotations

import pytest

from .__main__ import differences
from .writers import WRITERS

EACH = 12  # of each way to write


@pytest.mark.slow
@pytest.mark.parametrize("name", list(WRITERS))
def test_what_is_read_is_what_was_written(name: str) -> None:
    assert len(differences(name, EACH)) >= EACH
