"""What flows ask of Prefect's client."""

from __future__ import annotations

import time

import httpx
from prefect.client.base import PrefectHttpxSyncClient
from prefect.settings import PREFECT_CLIENT_RETRY_EXTRA_CODES, temporary_settings

from flows.environment import PREFECT


def test_a_server_whose_database_is_away_for_half_a_minute_is_waited_for(monkeypatch) -> None:
    """It answers 500 meanwhile."""
    now = [0.0]
    monkeypatch.setattr(time, "sleep", lambda seconds: now.append(now[-1] + seconds))
    answer = httpx.MockTransport(lambda request: httpx.Response(500 if now[-1] < 30 else 200))
    codes = {int(PREFECT["PREFECT_CLIENT_RETRY_EXTRA_CODES"])}
    with (
        temporary_settings({PREFECT_CLIENT_RETRY_EXTRA_CODES: codes}),
        PrefectHttpxSyncClient(base_url="http://server", transport=answer) as client,
    ):
        assert client.get("/flows").status_code == 200
    assert now[-1] >= 30
