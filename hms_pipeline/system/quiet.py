"""No tool calls home, tells of its steps or spins: the settings that every entry point makes."""

from __future__ import annotations

import os

QUIET = {
    "DO_NOT_TRACK": "1",
    "DVC_NO_ANALYTICS": "true",
    "GX_ANALYTICS_ENABLED": "false",
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "MLFLOW_LOGGING_LEVEL": "WARNING",
    "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
    "RAY_USAGE_STATS_ENABLED": "0",
}
# Threads that wait leave their core to others: spinning ones slow a busy machine several times.
# OpenMP reads it when torch is loaded.
PATIENT = {"OMP_WAIT_POLICY": "PASSIVE"}


def keep_quiet() -> None:
    """Set them for this process, before the tools are imported. What is set already stays."""
    for name, value in QUIET.items():
        os.environ.setdefault(name, value)
