"""A client of a server that keeps its files in a bucket asks the server for them."""

from __future__ import annotations

import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from hms_pipeline.config import Paths
from hms_pipeline.tracking.store import read_store

CONTENT = b"weights"


@pytest.fixture
def offering():
    """An MLflow server that would send its clients to the bucket; what was asked of it."""
    asked: list[str] = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.append(self.path)
            info = {"multipart_downloads_enabled": True, "multipart_uploads_enabled": True}
            bucket = {"url": "http://127.0.0.1:9/x", "headers": {}, "file_size": len(CONTENT)}
            body = (
                json.dumps(info).encode() if "server-info" in self.path
                else json.dumps(bucket).encode() if "presigned" in self.path
                else CONTENT
            )  # fmt: skip
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *args: object) -> None: ...

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield asked, f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


def test_files_come_through_the_server(offering, tmp_path: Path, monkeypatch) -> None:
    from mlflow.store.artifact.mlflow_artifacts_repo import MlflowArtifactsRepository

    asked, url = offering
    monkeypatch.setenv("MLFLOW_TRACKING_URI", url)
    for way in ("DOWNLOAD", "UPLOAD"):
        monkeypatch.delenv(f"MLFLOW_ENABLE_PROXY_MULTIPART_{way}", raising=False)
    root = tmp_path / "clone"
    assert read_store(Paths(root / "data", root / "artifacts", root / "params.yaml")) == url
    repository = MlflowArtifactsRepository("mlflow-artifacts:/1/run/artifacts", tracking_uri=url)
    repository._download_file("model", str(tmp_path / "model"))
    assert (tmp_path / "model").read_bytes() == CONTENT
    assert not [path for path in asked if "presigned" in path]
