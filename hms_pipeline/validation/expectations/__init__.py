"""Expectations: one decorated function each; importing this package registers them all.

Importing it imports great_expectations, which takes seconds: the stage does so late.
"""

import warnings

from ...catalogue import discover
from ...system.quiet import keep_quiet

keep_quiet()
with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # deprecations inside great_expectations and its dependencies
    import great_expectations.expectations  # noqa: F401

discover(__name__, __path__)
