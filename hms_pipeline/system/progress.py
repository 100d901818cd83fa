"""The callback by which long work reports its progress."""

from __future__ import annotations

from collections.abc import Callable

Progress = Callable[[int, int], None]  # told how many items are done, and of how many


def silent(_done: int, _total: int) -> None:
    """Progress that nobody sees."""
