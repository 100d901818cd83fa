"""Cleaning rules: one decorated function each; importing this package registers them all."""

from ...catalogue import discover

discover(__name__, __path__)
