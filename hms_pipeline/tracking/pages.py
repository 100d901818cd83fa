"""Links into MLflow's own pages, in the mode that shows runs and models."""

from __future__ import annotations

from urllib.parse import quote

MODE = "?workflowType=machine_learning"  # without it MLflow's pages open for language models


def run_page(address: str, experiment: str, run_id: str, file: str = "") -> str:
    """The page of a run, or of one file beside it.

    Parameters
    ----------
    address : str
        The MLflow server's.
    experiment, run_id : str
    file : str
        Its path among the run's artifacts.

    Examples
    --------
    >>> run_page("http://h:5", "1", "ab", "report/retrain.html")
    'http://h:5/#/experiments/1/runs/ab/artifacts/report/retrain.html?workflowType=machine_learning'
    """
    inside = f"/artifacts/{quote(file)}" if file else ""
    return f"{address.rstrip('/')}/#/experiments/{experiment}/runs/{run_id}{inside}{MODE}"
