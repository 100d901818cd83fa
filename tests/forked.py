"""Processes of the tests' own, forked from one that has loaded what they need."""

from __future__ import annotations

import multiprocessing
from multiprocessing.context import ForkServerContext

# MLflow itself loads its stores, and with them SQLAlchemy, when they are first used.
LOADED = (
    "hms_pipeline.registry.evidence",
    "hms_pipeline.registry.stage",
    "mlflow.pyfunc",
    "mlflow.store.model_registry.sqlalchemy_store",
    "mlflow.store.tracking.sqlalchemy_store",
    "pytest",
    "tests.ensembles",
)


def forked() -> ForkServerContext:
    """One list for all tests: a process of pytest has one such server, with what came first."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload([*LOADED])
    return context
