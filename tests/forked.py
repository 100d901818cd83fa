"""Processes of the tests' own, forked from one that has loaded what they need."""

from __future__ import annotations

import multiprocessing
import os
from functools import cache
from multiprocessing.context import ForkServerContext
from unittest import mock

from flows.dvc_process import _OF_DVC, _OF_STAGES

# MLflow itself loads its stores, and with them SQLAlchemy, when they are first used.
LOADED = (
    *_OF_DVC,
    *_OF_STAGES,
    "hms_pipeline.registry.evidence",
    "hms_pipeline.registry.stage",
    "mlflow.store.model_registry.sqlalchemy_store",
    "pytest",
    "tests.ensembles",
)
STORE = "MLFLOW_TRACKING_URI"


@cache
def forked() -> ForkServerContext:
    """One list for all tests: a process of pytest has one such server, with what came first.

    It runs when this returns. Its processes have the variables of that moment, so without the
    store that the first test which asks may have set.
    """
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload([*LOADED])
    variables = {name: value for name, value in os.environ.items() if name != STORE}
    with mock.patch.dict(os.environ, variables, clear=True):
        first = context.Process(target=os.getpid)
        first.start()
        first.join()
    return context
