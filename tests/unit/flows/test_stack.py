"""Who may listen where."""

from __future__ import annotations

import gc
import sys
import warnings
from dataclasses import replace

import pytest

from flows import stack as stack_module
from flows.stack import Address, Stack
from hms_pipeline.system.errors import InputError

SETTINGS = (
    "HMS_HOST",
    "HMS_PREFECT_PORT",
    "HMS_MLFLOW_AUTH",
    "MLFLOW_BACKEND_STORE_URI",
    "MLFLOW_ARTIFACTS_DESTINATION",
    "MLFLOW_FLASK_SERVER_SECRET_KEY",
    "PREFECT_SERVER_API_AUTH_STRING",
)


@pytest.fixture(autouse=True)
def _no_settings(monkeypatch):
    for name in SETTINGS:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(stack_module, "find_spec", lambda name: name)  # every package is there


def test_loopback_needs_no_authentication(tmp_path):
    stack = Stack.from_environment(tmp_path)
    assert stack.prefect == Address("127.0.0.1", 4200)
    assert all("127.0.0.1" in " ".join(s.command) for s in stack.services()[:2])


@pytest.mark.parametrize("host", ["0.0.0.0", "192.168.1.4", "::", "gpu-box"])
def test_other_addresses_demand_authentication(tmp_path, monkeypatch, host):
    monkeypatch.setenv("HMS_HOST", host)
    with pytest.raises(InputError, match="Prefect and HMS_MLFLOW_AUTH"):
        Stack.from_environment(tmp_path)
    monkeypatch.setenv("PREFECT_SERVER_API_AUTH_STRING", "me:s3cr3t")
    with pytest.raises(InputError, match="Set HMS_MLFLOW_AUTH"):
        Stack.from_environment(tmp_path)
    monkeypatch.setenv("HMS_MLFLOW_AUTH", "basic-auth")
    monkeypatch.setenv("MLFLOW_FLASK_SERVER_SECRET_KEY", "key")
    stack = Stack.from_environment(tmp_path)
    assert "basic-auth" in stack.services()[1].command
    assert stack.client_environment()["PREFECT_API_AUTH_STRING"] == "me:s3cr3t"


def test_a_package_that_authentication_lacks_is_named(tmp_path, monkeypatch):
    monkeypatch.setenv("HMS_MLFLOW_AUTH", "basic-auth")
    Stack.from_environment(tmp_path)
    monkeypatch.setattr(stack_module, "find_spec", lambda name: None)
    with pytest.raises(InputError, match=r"Run pip install 'mlflow\[auth\]'"):
        Stack.from_environment(tmp_path)


def test_secrets_are_in_no_command_line(tmp_path, monkeypatch):
    monkeypatch.setenv("PREFECT_SERVER_API_AUTH_STRING", "me:s3cr3t")
    monkeypatch.setenv("MLFLOW_BACKEND_STORE_URI", "postgresql+psycopg://me:s3cr3t@db/mlflow")
    stack = Stack.from_environment(tmp_path)
    assert stack.services()[1].env["MLFLOW_BACKEND_STORE_URI"].endswith("s3cr3t@db/mlflow")
    assert not any("s3cr3t" in part for service in stack.services() for part in service.command)


def test_a_worker_needs_the_addresses_of_its_servers(tmp_path, monkeypatch):
    monkeypatch.delenv("PREFECT_API_URL", raising=False)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:5000")
    with pytest.raises(InputError, match="but PREFECT_API_URL is not set"):
        stack_module.up_worker(tmp_path)


def test_a_database_that_is_away_is_said_before_anything_starts(tmp_path, monkeypatch):
    pytest.importorskip("psycopg")
    monkeypatch.setenv("MLFLOW_BACKEND_STORE_URI", "postgresql://me:s3cr3t@127.0.0.1:9/mlflow")
    with pytest.raises(InputError, match="MLflow's database has to answer") as caught:
        stack_module.up(tmp_path)
    assert "s3cr3t" not in str(caught.value)
    assert not list(tmp_path.glob(".run/*.json"))


def test_stages_write_to_the_own_store_and_ask_a_server_for_any_other(tmp_path, monkeypatch):
    url = "http://127.0.0.1:5000"
    env = Stack.from_environment(tmp_path).client_environment()
    assert (env.get("HMS_MLFLOW_URL"), env.get("MLFLOW_TRACKING_URI")) == (url, None)
    monkeypatch.setenv("MLFLOW_BACKEND_STORE_URI", f"sqlite:///{tmp_path}/other.db")
    env = Stack.from_environment(tmp_path).client_environment()
    assert (env.get("HMS_MLFLOW_URL"), env.get("MLFLOW_TRACKING_URI")) == (None, url)


@pytest.mark.parametrize("port", ["0", "70000", "http"])
def test_bad_port(tmp_path, monkeypatch, port):
    monkeypatch.setenv("HMS_PREFECT_PORT", port)
    with pytest.raises(InputError, match="HMS_PREFECT_PORT must be a port"):
        Stack.from_environment(tmp_path)


def test_wildcards_are_reached_over_loopback():
    assert Address("0.0.0.0", 4200).reachable == "http://127.0.0.1:4200"
    assert not Address("0.0.0.0", 4200).loopback


def test_a_stack_that_another_shell_started_is_found_where_it_is(tmp_path, monkeypatch):
    monkeypatch.setenv("HMS_PREFECT_PORT", "4777")
    service = Stack.from_environment(tmp_path).services()[0]
    sleeping = replace(service, command=[sys.executable, "-c", "import time; time.sleep(60)"])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ResourceWarning)  # it is to outlive this call
        stack_module.start(tmp_path, sleeping)
        gc.collect()
    try:
        monkeypatch.delenv("HMS_PREFECT_PORT")
        assert Stack.from_environment(tmp_path).prefect == Address("127.0.0.1", 4777)
        said = stack_module.status(tmp_path)
        assert said["prefect"] == "not answering http://127.0.0.1:4777"
        assert said["mlflow"] == "down"
    finally:
        assert stack_module.down(tmp_path) == ["prefect"]
    assert Stack.from_environment(tmp_path).prefect.port == 4200
