"""At least 500 drawn files: what is read is what was written, in µV and in seconds.

``python -m tests.differential --n 5000`` draws more and prints the table of
docs/reference/clinical.md.
"""

from __future__ import annotations

import pytest

from .__main__ import differences
from .writers import WRITERS

EACH = 37  # of each way to write


@pytest.mark.slow
@pytest.mark.parametrize("name", list(WRITERS))
def test_what_is_read_is_what_was_written(name: str) -> None:
    assert len(differences(name, EACH)) >= EACH


def test_they_are_five_hundred() -> None:
    assert EACH * len(WRITERS) >= 500
