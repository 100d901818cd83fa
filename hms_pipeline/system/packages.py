"""Versions of the packages that results depend on: recorded beside them, part of no key."""

from __future__ import annotations

from importlib.metadata import PackageNotFoundError, version

NUMERICAL = ("torch", "timm", "numpy", "scipy", "mne")


def package_versions() -> dict[str, str]:
    """Package → its version here, or ``"absent"``."""
    return {name: _version(name) for name in NUMERICAL}


def _version(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return "absent"
