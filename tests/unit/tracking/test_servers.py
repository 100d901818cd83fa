"""What doctor says of servers: judged by what they answer to somebody without a password."""

from __future__ import annotations

import json
import os
import socket
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from hms_pipeline.registry.doctor import FINE, NOTE, WRONG, judge_server
from hms_pipeline.system.processes import birth
from hms_pipeline.tracking import servers as servers_module
from hms_pipeline.tracking.servers import CLOSED, OPEN, SILENT, Server, is_loopback, servers


@pytest.fixture
def answering() -> Iterator[tuple[dict, str]]:
    """A server whose status code the test chooses."""
    answer = {"code": 200, "guards_host": False}

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            # me:right and me:пароль
            if self.headers["Authorization"] in (
                "Basic bWU6cmlnaHQ=",
                "Basic bWU60L/QsNGA0L7Qu9GM",
            ):
                self.send_response(200)
                self.end_headers()
                return
            strange = answer["guards_host"] and self.headers["Host"] != "localhost"
            body = b"Invalid Host header - possible DNS rebinding attack detected" * strange
            self.send_response(403 if strange else answer["code"])
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        do_POST = do_GET

        def log_message(self, *args: object) -> None: ...

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield answer, f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


@pytest.mark.parametrize(
    ("code", "state"), [(200, OPEN), (404, OPEN), (401, CLOSED), (403, CLOSED)]
)
@pytest.mark.parametrize("post", [True, False])
def test_state_is_what_it_answers_without_a_password(answering, code, state, post):
    answer, url = answering
    answer["code"] = code
    assert Server("prefect server", url, "/flows/count", post).state() == state


@pytest.mark.parametrize(("code", "state"), [(200, OPEN), (401, CLOSED)])
def test_a_guard_of_host_names_is_no_password(answering, code, state):
    answer, url = answering
    answer.update(code=code, guards_host=True)
    assert Server("mlflow server", url, "/").state() == state


@pytest.mark.parametrize(("word", "judged"), [("right", FINE), ("пароль", FINE), ("wrong", WRONG)])
def test_a_server_says_whether_it_knows_this_machines_user(answering, word, judged):
    answer, url = answering
    answer["code"] = 401
    found = judge_server(Server("mlflow server", url, "/", login=f"me:{word}"))
    assert found.state == judged
    assert "'me'" in found.value
    assert word not in found.value + found.advice.replace("right", "")


def test_nobody_there_is_no_alarm():
    server = Server("mlflow server", "http://127.0.0.1:9", "/")
    assert server.state() == SILENT
    assert judge_server(server).state == FINE


@pytest.mark.parametrize(
    ("code", "judged"), [(200, WRONG), (401, FINE), (None, NOTE)], ids=["open", "closed", "absent"]
)
def test_an_open_server_beyond_loopback_is_wrong(answering, monkeypatch, code, judged):
    answer, url = answering
    answer["code"] = code
    monkeypatch.setattr(servers_module, "is_loopback", lambda host: False)
    found = judge_server(Server("mlflow server", url if code else "http://127.0.0.1:9", "/"))
    assert found.state == judged
    assert ("authentication" in found.advice) == (judged == WRONG)


def test_addresses_come_from_the_environment():
    urls = {server.name: server.url for server in servers({"HMS_HOST": "10.0.0.5"})}
    assert urls == {
        "prefect server": "http://10.0.0.5:4200/api",
        "mlflow server": "http://10.0.0.5:5000",
    }
    env = {
        "PREFECT_API_URL": "http://night:4200/api",
        "MLFLOW_TRACKING_URI": "sqlite:///x.db",
        "HMS_MLFLOW_URL": "http://night:5001/",
    }
    urls = [server.url for server in servers(env)]
    assert urls == ["http://night:4200/api", "http://night:5001"]


@pytest.mark.parametrize(
    ("host", "expected"),
    [("127.0.0.1", True), ("localhost", True), ("::1", True), ("0.0.0.0", False), ("db", False)],
)
def test_loopback(host, expected):
    assert is_loopback(host) is expected


@pytest.fixture
def stack(tmp_path):
    """Writes the record of a server that is this process, and lets it listen somewhere."""
    sockets = []

    def listen(host: str, name: str = "mlflow", born: str = "") -> int:
        found = socket.create_server((host, 0))
        sockets.append(found)
        record = {"pid": os.getpid(), "born": born or birth(os.getpid())}
        (tmp_path / f"{name}.json").write_text(json.dumps(record))
        return found.getsockname()[1]

    yield listen
    for found in sockets:
        found.close()


def test_a_stack_that_listens_for_others_is_seen_from_any_environment(stack, tmp_path, monkeypatch):
    port = stack("0.0.0.0")
    stack("127.0.0.1")
    found = servers({"HMS_MLFLOW_PORT": str(port)}, tmp_path)
    assert {server.url: server.loopback for server in found} == {
        "http://127.0.0.1:4200/api": True,
        f"http://127.0.0.1:{port}": False,
    }
    monkeypatch.setattr(Server, "state", lambda self: OPEN)
    assert [judge_server(server).state for server in found] == [FINE, WRONG]


def test_prefects_sockets_are_asked_at_its_api(stack, tmp_path):
    port = stack("0.0.0.0", "prefect")
    assert f"http://127.0.0.1:{port}/api" in [server.url for server in servers({}, tmp_path)]


def test_records_of_servers_that_ended_say_nothing(stack, tmp_path):
    stack("0.0.0.0", born="earlier")
    (tmp_path / "prefect.json").write_text("cut o")
    assert all(server.loopback for server in servers({}, tmp_path))
    assert all(server.loopback for server in servers({}, tmp_path / "nothing"))
