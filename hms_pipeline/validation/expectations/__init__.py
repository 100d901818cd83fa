"""Expectations: one decorated function each; importing this package registers them all.

Importing it imports great_expectations, which takes seconds: the stage does so late.
"""

import os
import warnings

from ...catalogue import discover

os.environ.setdefault("GX_ANALYTICS_ENABLED", "false")
with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # deprecations inside great_expectations and its dependencies
    import great_expectations.expectations  # noqa: F401

discover(__name__, __path__)
