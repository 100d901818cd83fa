"""Who may listen where."""

from __future__ import annotations

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
    stack = Stack.from_environment(tmp_path)
    assert not any("s3cr3t" in part for service in stack.services() for part in service.command)


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
