"""What the server counts, in Prometheus' format; no count names a caller or a patient."""

from __future__ import annotations

from prometheus_client import CONTENT_TYPE_LATEST, Counter, Gauge, Histogram, generate_latest

REQUESTS = Counter("hms_requests", "Requests to /invocations.", ["status"])
REFUSALS = Counter("hms_refusals", "Requests that were not scored.", ["reason"])
SECONDS = Histogram(
    "hms_request_seconds", "From a request's head to its answer.",
    buckets=(0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60),
)  # fmt: skip
WINDOWS = Counter("hms_windows", "Windows that were scored.")
LEFT_OUT = Counter("hms_members_left_out", "Windows that a member was left out of.", ["member"])
WAITING = Gauge("hms_waiting", "Requests that wait.")
MODEL = Gauge("hms_model_info", "The model that answers.", ["version", "content_hash"])


def text() -> tuple[bytes, str]:
    """The answer to ``/metrics`` and its content type."""
    return generate_latest(), CONTENT_TYPE_LATEST
