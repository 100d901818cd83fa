"""`hms serve` with the champion: the schema, what it refuses, and that it survives."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import requests
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from benchmarks.bombs import page_bomb
from benchmarks.fuzz_server import (
    Answer,
    Request,
    findings,
    frame,
    fuzz,
    malformed,
    post,
    probabilities,
)
from hms_pipeline.config import Paths
from hms_pipeline.data.competition import read_test
from hms_pipeline.data.encode import eeg_to_parquet
from hms_pipeline.data.window import Window, WindowReader
from hms_pipeline.ensemble.blend import apply_blend
from hms_pipeline.features.compute import compute
from hms_pipeline.features.store import FeatureStore
from hms_pipeline.features.windows import prepare
from hms_pipeline.inference.client import JSON, PARQUET, encode_json, encode_request
from hms_pipeline.inference.predictor import Predictor
from hms_pipeline.registry.api import bundle_of
from hms_pipeline.schema import VOTE_COLUMNS

from .conftest import Project

pytestmark = pytest.mark.slow
START_S = 180
BY_SERVER = settings(
    max_examples=60,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def start(project: Project, model: str, port: int, plain: bool = False) -> subprocess.Popen:
    command = ["hms", "serve", "--model", model, "--port", str(port)]
    environment = project.environment()
    if plain:
        command = ["mlflow", "models", "serve", "-m", model, "--env-manager", "local"]
        command += ["-h", "127.0.0.1", "-p", str(port)]
        store = project.root / "mlruns" / "mlflow.db"
        environment["MLFLOW_TRACKING_URI"] = f"sqlite:///{store}"
    with log_of(project, port).open("wb") as stream:
        return subprocess.Popen(
            command,
            cwd=project.root,
            env=environment,
            stdout=stream,
            stderr=stream,
            start_new_session=True,
        )


def log_of(project: Project, port: int) -> Path:
    return project.root / f"server-{port}.log"


def wait(process: subprocess.Popen, url: str) -> None:
    until = time.monotonic() + START_S
    while time.monotonic() < until:
        if process.poll() is not None:
            pytest.fail(f"The server ended with {process.returncode}.")
        try:
            requests.get(f"{url}/ping", timeout=2)
            return
        except requests.RequestException:
            time.sleep(0.5)
    pytest.fail(f"The server did not answer within {START_S} s.")


def kill(process: subprocess.Popen) -> None:
    # The session is the server's own, workers included.
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()


@contextmanager
def served(project: Project, model: str, port: int, plain: bool = False) -> Iterator[str]:
    process = start(project, model, port, plain)
    try:
        url = f"http://127.0.0.1:{port}"
        wait(process, url)
        yield url
    finally:
        kill(process)


def model_uri(project: Project) -> str:
    # The tiny recipe's network may not beat the prior; then its version is served all the same.
    registration = json.loads((project.root / "artifacts" / "registration.json").read_text())
    return f"models:/{registration['model']}/{registration['version']}"


class Server:
    """``hms serve`` of a project, which may be started again at its address."""

    def __init__(self, project: Project) -> None:
        self.project, self.port = project, free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.begin()

    def begin(self) -> None:
        self.process = start(self.project, model_uri(self.project), self.port)

    def end(self) -> None:
        if self.process.poll() is None:
            kill(self.process)


@pytest.fixture(scope="module")
def server(tiny_project: Project) -> Iterator[Server]:
    server = Server(tiny_project)
    try:
        wait(server.process, server.url)
        lines = log_of(tiny_project, server.port).read_text(encoding="utf-8").splitlines()
        assert lines[-1] == f"Serving on {server.url}"  # as soon as it answers
        assert not [line for line in lines if "INFO" in line]
        yield server
    finally:
        server.end()


@pytest.fixture(scope="module")
def url(server: Server) -> str:
    return server.url


@pytest.fixture(scope="module")
def windows(tiny_project: Project) -> list[Window]:
    data = tiny_project.root / "data"
    reader = WindowReader(data, "test")
    return [reader.read(row) for row in read_test(data).to_dict("records")]


def probs_of(answer: Answer) -> np.ndarray:
    assert answer.status == 200, answer.text[:500]
    return pd.DataFrame(json.loads(answer.text)["predictions"])[list(VOTE_COLUMNS)].to_numpy(float)


def test_parquet_json_and_hms_score_agree(
    tiny_project: Project, url: str, windows: list[Window], tmp_path: Path
) -> None:
    session = requests.Session()
    by_parquet = probs_of(post(session, url, Request("", PARQUET, encode_request(windows))))
    by_json = probs_of(post(session, url, Request("", JSON, encode_json(windows).encode())))
    np.testing.assert_allclose(by_parquet, by_json, atol=1e-5)
    out = tmp_path / "scores.parquet"
    tiny_project.run("hms", "score", "data", "--out", str(out), "--model",
                     model_uri(tiny_project))  # fmt: skip
    ids = read_test(tiny_project.root / "data")["eeg_id"].astype(str)
    scores = pd.read_parquet(out).set_index("id").loc[ids, list(VOTE_COLUMNS)]
    np.testing.assert_allclose(scores, by_parquet, atol=1e-5)


def test_store_predictor_and_server_see_the_same_values(tiny_project: Project, url: str) -> None:
    root = tiny_project.root
    paths = Paths(root / "data", root / "artifacts", root / "params.yaml")
    _, bundle = bundle_of(paths, model_uri(tiny_project))
    predictor = Predictor.open(bundle, device="cpu")
    rows = pd.read_parquet(paths.windows).iloc[::5].head(6)
    stored = {
        view: np.array(FeatureStore.open(paths.view(view))[rows["label_id"].to_numpy()])
        for view in predictor.views
    }
    reader = WindowReader(paths.data)
    windows = [reader.read(row) for row in rows.to_dict("records")]
    for view, values in compute(predictor.views, prepare(windows)).items():
        np.testing.assert_array_equal(values.numpy(), stored[view])
    # The networks on the store's values answer what the server answers to the windows' bytes.
    with torch.inference_mode():
        member_probs = np.stack([
            group([torch.from_numpy(stored[v]).float() for v in predictor.inputs[name]])
            .mean(0).double().numpy()
            for name, group in predictor.groups.items()
        ])  # fmt: skip
    answer = post(requests.Session(), url, Request("", PARQUET, encode_request(windows)))
    expected = apply_blend(member_probs, predictor.bundle.blend)
    np.testing.assert_allclose(probs_of(answer), expected, atol=1e-6)


def test_details_say_what_was_left_out(url: str, windows: list[Window]) -> None:
    body = json.loads(encode_json([Window(windows[0].eeg, None), windows[0]]))
    body["params"] = {"details": True}
    answer = post(requests.Session(), url, Request("", JSON, json.dumps(body).encode()))
    without, whole = json.loads(answer.text)["predictions"]
    assert without["members_used"] == "eegnet"
    assert "v2s-spec" in whole["members_used"]
    assert "spectrogram" in without["warnings"]


def test_a_fault_names_row_and_column(url: str, windows: list[Window]) -> None:
    eeg = windows[0].eeg.copy()
    eeg[3, 100] = np.inf
    body = frame([eeg_to_parquet(windows[0].eeg), eeg_to_parquet(eeg)])
    answer = post(requests.Session(), url, Request("", PARQUET, body))
    assert answer.status == 400
    assert "Row 1, column eeg, P3" in answer.text


@given(seed=st.integers(0, 10**6))
@BY_SERVER
def test_malformed_requests_by_seed(url: str, seed: int) -> None:
    request = malformed(seed)
    assert not findings(request, post(requests.Session(), url, request))


json_values = st.recursive(
    st.none() | st.booleans() | st.floats() | st.integers() | st.text(max_size=30),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(
            st.sampled_from(["dataframe_split", "columns", "data", "eeg", "inputs", "params"])
            | st.text(max_size=8),
            inner,
            max_size=4,
        )
    ),
    max_leaves=12,
)


@given(value=json_values)
@BY_SERVER
def test_any_json(url: str, value: object) -> None:
    request = Request("any JSON", JSON, json.dumps(value).encode())
    assert not findings(request, post(requests.Session(), url, request))


@given(cells=st.lists(st.binary(max_size=200), min_size=1, max_size=4))
@BY_SERVER
def test_any_cells(url: str, cells: list[bytes]) -> None:
    request = Request("any cells", PARQUET, frame(cells))
    answer = post(requests.Session(), url, request)
    assert answer.status == 400
    assert not findings(request, answer)


def test_it_answers_as_before_after_fuzzing(url: str) -> None:
    before = probabilities(url)
    _, wrong = fuzz(url, range(120))
    assert not wrong, wrong[:3]
    np.testing.assert_allclose(probabilities(url), before, atol=1e-5)


@pytest.mark.parametrize("codec", ["zstd", "gzip", "brotli"])
def test_a_bomb_is_refused_as_a_cell_and_as_a_body(url: str, codec: str) -> None:
    for body in (frame([page_bomb(codec=codec)]), page_bomb(codec=codec)):
        answer = post(requests.Session(), url, Request("bomb", PARQUET, body))
        assert answer.status == 400


def test_plain_mlflow_keeps_the_limits_of_the_cells(
    tiny_project: Project, url: str, windows: list[Window]
) -> None:
    project = tiny_project
    with served(project, model_uri(project), free_port(), plain=True) as plain:
        good = Request("", PARQUET, encode_request(windows[:2]))
        expected = probs_of(post(requests.Session(), url, good))
        np.testing.assert_allclose(
            probs_of(post(requests.Session(), plain, good)), expected, atol=1e-5
        )
        for codec in ("zstd", "gzip", "brotli"):
            body = frame([page_bomb(codec=codec)])
            answer = post(requests.Session(), plain, Request("", PARQUET, body))
            assert answer.status == 400
            assert "unpack to more than its numbers" in answer.text
        long = post(requests.Session(), plain, Request("", PARQUET, frame([b""] * 65)))
        assert long.status == 400
        assert "needs 1 to 64 windows" in long.text


def test_killed_and_restarted_under_load(server: Server, windows: list[Window]) -> None:
    body = encode_request(windows[:2])
    answers: list[Answer] = []
    stop = threading.Event()

    def client() -> None:
        while not stop.is_set():
            answers.append(post(requests.Session(), server.url, Request("", PARQUET, body)))
            time.sleep(0.02 if answers[-1].status else 0.2)

    expected = probs_of(post(requests.Session(), server.url, Request("", PARQUET, body)))
    threads = [threading.Thread(target=client) for _ in range(3)]
    for thread in threads:
        thread.start()
    try:
        time.sleep(2)
        server.end()
        server.begin()
        wait(server.process, server.url)
        time.sleep(2)
    finally:
        stop.set()
        for thread in threads:
            thread.join()
    assert {answer.status for answer in answers} == {0, 200}
    for answer in answers:
        if answer.status == 200:
            np.testing.assert_allclose(probs_of(answer), expected, atol=1e-5)
    assert answers[-1].status == 200
