"""Tests of the room `validation`."""

from pathlib import Path

ROOT = Path(__file__).parents[3]
