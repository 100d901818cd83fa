"""A training's use of the machine, in its MLflow run: CPU, memory, GPU, disk, network."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.system_metrics.system_metrics_monitor import SystemMetricsMonitor

log = logging.getLogger(__name__)


def start_monitor(client: MlflowClient, run_id: str) -> SystemMetricsMonitor:
    """Sample in the background, at MLflow's own interval."""
    from mlflow.system_metrics.system_metrics_monitor import SystemMetricsMonitor

    logging.getLogger(SystemMetricsMonitor.__module__).setLevel(logging.ERROR)

    class Quiet(SystemMetricsMonitor):
        def monitor(self) -> None:
            try:
                super().monitor()
            except Exception as err:  # drivers and servers have errors of their own
                log.warning("The machine is no longer watched (%s); training goes on.", err)

    monitor = Quiet(run_id, tracking_uri=client.tracking_uri)
    monitor.start()
    return monitor


def finish_monitor(monitor: SystemMetricsMonitor) -> None:
    """Stop sampling and log what is left, so that a short training has a sample too."""
    monitor.finish()
    left = monitor.aggregate_metrics()
    if left:
        monitor.publish_metrics(left)
        monitor.mlflow_logger.flush()
