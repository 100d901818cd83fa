"""Functions on the nodes of an existing Ray cluster (extra `ray`)."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

from .errors import InputError, LostError

AHEAD = 2  # calls that are sent ahead for each one that runs


def connect(
    address: str, *, env: Mapping[str, str] | None = None, by_value: ModuleType | None = None
) -> Any:
    """Connect to an existing cluster.

    Parameters
    ----------
    address : str
        Of its head; ``"auto"`` finds one on this machine.
    env : mapping of str to str, optional
        Variables of the processes there; see ``own_code``.
    by_value : module, optional
        Its functions travel to the nodes, which need not have it.

    Returns
    -------
    module
        ``ray``, connected.

    Raises
    ------
    InputError
        Ray is not installed, or there is no cluster.
    """
    try:
        import ray
        from ray import cloudpickle
    except ImportError:
        raise InputError("Engine 'ray' needs the extra: pip install 'hms-pipeline[ray]'.") from None
    try:
        ray.init(
            address=address,
            log_to_driver=False,
            logging_level=logging.WARNING,
            runtime_env={"env_vars": dict(env)} if env else None,
        )
    except (ConnectionError, RuntimeError) as err:
        reason = " ".join(str(err).split())[:200]
        raise InputError(
            f"Engine 'ray' needs a running cluster at {address!r}: {reason} Start one (ray start"
            " --head) or set retrain.ray.address."
        ) from None
    if by_value is not None:
        cloudpickle.register_pickle_by_value(by_value)
    return ray


def own_code(root: Path) -> dict[str, str]:
    """Variables that let nodes import the code of a folder that all of them see."""
    return {"PYTHONPATH": f"{root}{os.pathsep}${{PYTHONPATH}}"}  # Ray fills in the node's own


def spread(
    ray: Any, *, gpus: float = 0, retries: int = 3
) -> Callable[[Callable[[Any], Any], Sequence[Any]], Iterator[tuple[Any, Any]]]:
    """Make what runs a function on items, one CPU each, on the nodes of the cluster.

    Parameters
    ----------
    ray : module
        See ``connect``.
    gpus : float
        What each call takes of a GPU.
    retries : int
        How often a call whose node or process died is placed again; -1: without end.

    Returns
    -------
    callable
        ``(function, items)`` → an iterator of each item with its result, or with a LostError where
        the retries are used up. What the function raises, the iterator raises.
    """

    def run(function: Callable[[Any], Any], items: Sequence[Any]) -> Iterator[tuple[Any, Any]]:
        options = {"num_cpus": 1, "num_gpus": gpus, "max_retries": retries}
        remote = ray.remote(lambda item: function(item)).options(**options)  # no partial() for Ray
        todo = iter(items)
        running: dict[Any, Any] = {}
        most = AHEAD * max(1, int(ray.cluster_resources().get("CPU", 1)))
        while True:
            while len(running) < most and (item := next(todo, None)) is not None:
                running[remote.remote(item)] = item
            if not running:
                return
            (done,), _ = ray.wait(list(running))
            yield running.pop(done), _result(ray, done)

    return run


def _result(ray: Any, reference: Any) -> Any:
    try:
        return ray.get(reference)
    except ray.exceptions.RayTaskError as err:
        raise err.cause if isinstance(err.cause, InputError) else err from None
    except ray.exceptions.RayError as err:
        return LostError(f"the process that read it was lost ({type(err).__name__})")
