"""Messages through Prefect's notification blocks; off until ``retrain.notify`` names one."""

from __future__ import annotations

import logging
from typing import Any

from hms_pipeline.config import load_params
from hms_pipeline.system.errors import InputError

from .environment import project_root

log = logging.getLogger(__name__)


def send(block: str | None, subject: str, body: str) -> bool:
    """Send a message through a block; a message that cannot be sent fails nothing.

    Parameters
    ----------
    block : str or None
        ``"<block type>/<block name>"``, such as ``"slack-webhook/night"``; None: no message.

    Returns
    -------
    bool
        Whether it was sent.
    """
    if not block:
        return False
    from prefect.blocks.abstract import NotificationBlock
    from prefect.blocks.core import Block

    try:
        loaded = Block.load(block)
        if not isinstance(loaded, NotificationBlock):
            raise TypeError(f"{block} is no notification block")
        loaded.notify(body, subject)  # type: ignore[unused-coroutine]  # without a loop it runs
        return True
    except Exception as err:
        log.warning("No message sent through %s: %s", block, err)
        return False


def on_failure(flow: Any, flow_run: Any, state: Any) -> None:
    """Hook of the flows: tells that a run failed or crashed."""
    try:
        block = load_params(project_root() / "params.yaml").retrain.notify
    except InputError:
        return
    send(block, f"{flow.name} {state.name.lower()}", f"{flow_run.name}: {state.message}")
