"""The command line: arguments, progress, error lines."""

from .app import main

__all__ = ["main"]
