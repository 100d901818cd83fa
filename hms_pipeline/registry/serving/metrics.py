"""What the server counts, in Prometheus' format; no count names a caller or a patient."""

from __future__ import annotations

import os

import pandas as pd
from prometheus_client import (
    CONTENT_TYPE_LATEST,
    REGISTRY,
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    generate_latest,
    multiprocess,
)

REQUESTS = Counter("hms_requests", "Requests to /invocations.", ["status"])
REFUSALS = Counter("hms_refusals", "Requests that were not scored.", ["reason"])
SECONDS = Histogram(
    "hms_request_seconds", "From a request's head to its answer.",
    buckets=(0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60),
)  # fmt: skip
WINDOWS = Counter("hms_windows", "Windows that were scored.")
LEFT_OUT = Counter("hms_members_left_out", "Windows that a member was left out of.", ["member"])
WAITING = Gauge("hms_waiting", "Requests that wait.", multiprocess_mode="livesum")
MODEL = Gauge(
    "hms_model_info", "The model that answers.", ["version", "content_hash"],
    multiprocess_mode="max",
)  # fmt: skip


def observe(table: pd.DataFrame, members: list[str]) -> None:
    """Count an answer's windows and the members that did not take part.

    Parameters
    ----------
    table : DataFrame
        With ``members_used``, joined by ``"; "``.
    members : list of str
        All of the ensemble's.
    """
    WINDOWS.inc(len(table))
    for used in table["members_used"]:
        for member in set(members) - set(used.split("; ")):
            LEFT_OUT.labels(member).inc()


def text() -> tuple[bytes, str]:
    """The answer to ``/metrics`` and its content type; of all workers where there are several."""
    registry = REGISTRY
    if "PROMETHEUS_MULTIPROC_DIR" in os.environ:
        registry = CollectorRegistry()
        multiprocess.MultiProcessCollector(registry)
    return generate_latest(registry), CONTENT_TYPE_LATEST
