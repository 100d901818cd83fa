"""Databases and buckets: what is asked, and what is said where none answers."""

from __future__ import annotations

import re

import pytest

from hms_pipeline.system.errors import InputError, hide_passwords
from hms_pipeline.tracking import backends as module
from hms_pipeline.tracking.backends import Bucket, Database, backends, dvc_remote


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("postgresql+psycopg://hms:se:c@ret@db:1/x", "postgresql+psycopg://hms:***@db:1/x"),
        ("http://a:b@c and http://d:e@f/g", "http://a:***@c and http://d:***@f/g"),
        ("http://host:5000/path@2", "http://host:5000/path@2"),
        ("sqlite:////x/y.db", "sqlite:////x/y.db"),
        ("s3://bucket/key", "s3://bucket/key"),
    ],
)
def test_passwords_in_addresses_are_hidden(text, said):
    assert hide_passwords(text) == said


def test_only_what_is_named_is_asked():
    assert list(backends({})) == []
    assert list(backends({module.MLFLOW_STORE: "sqlite:///x.db", module.MLFLOW_FILES: "f"})) == []
    env = {
        module.MLFLOW_STORE: "postgresql://hms@db/mlflow",
        module.MLFLOW_FILES: "s3://bucket/mlflow",
        module.PREFECT_STORE: "postgresql+asyncpg://hms@db/prefect",
        module.S3_ADDRESS: "http://store:8333",
    }
    first, files, second = backends(env)
    assert (first.extension, second.extension) == ("", "pg_trgm")
    assert files == Bucket("MLflow's files", "s3://bucket/mlflow", "http://store:8333")


def test_a_driver_that_is_absent_is_named(monkeypatch):
    monkeypatch.setattr(module, "find_spec", lambda name: None)
    for backend in (Database("A", "postgresql://db/a"), Bucket("B", "s3://bucket")):
        with pytest.raises(
            InputError, match=r"not installed. Run pip install 'hms-pipeline\[team\]'"
        ):
            backend.state()


def test_a_database_that_is_away_is_one_line_without_its_password():
    pytest.importorskip("psycopg")
    with pytest.raises(InputError, match="A has to answer, but 127.0.0.1:9/a does not") as caught:
        Database("A", "postgresql+asyncpg://hms:secret@127.0.0.1:9/a").state()
    assert "secret" not in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("begins", ["postgres", "postgresql", "postgresql+none"])
def test_an_address_that_its_server_cannot_use_is_named(begins):
    pytest.importorskip("psycopg")
    database, usable = backends(
        {
            module.MLFLOW_STORE: f"{begins}://hms:secret@127.0.0.1:9/a",
            module.PREFECT_STORE: "postgresql+asyncpg://127.0.0.1:9/b",
        }
    )
    said = rf"begins with {re.escape(begins)}://. Begin it with postgresql\+psycopg://"
    with pytest.raises(InputError, match=said) as caught:
        database.check_driver()
    usable.check_driver()
    assert "secret" not in str(caught.value)


def test_a_profile_that_is_unknown_is_one_line(monkeypatch):
    pytest.importorskip("boto3")
    monkeypatch.setenv("AWS_PROFILE", "nobody's")
    with pytest.raises(InputError, match="B has to answer, but .*nobody's"):
        Bucket("B", "s3://bucket/b").state()


def test_a_bucket_that_is_away_is_one_line_without_its_secret():
    pytest.importorskip("boto3")
    with pytest.raises(InputError, match="B has to answer, but s3://bucket/b does not") as caught:
        Bucket("B", "s3://bucket/b", "http://127.0.0.1:9", "key", "secret-word").state()
    assert "secret-word" not in str(caught.value)


def test_dvcs_remote_is_the_default_one(tmp_path):
    folder = tmp_path / ".dvc"
    folder.mkdir()
    (folder / "config").write_text(
        "[core]\n    remote = team\n    no_scm = true\n"
        "['remote \"team\"']\n    url = s3://bucket/dvc\n    endpointurl = http://store:1\n"
        "['remote \"other\"']\n    url = s3://elsewhere\n"
    )
    (folder / "config.local").write_text(
        "['remote \"team\"']\n    access_key_id = me\n    secret_access_key = secret\n"
    )
    found = dvc_remote(tmp_path)
    assert found == Bucket("DVC's remote", "s3://bucket/dvc", "http://store:1", "me", "secret")
    assert "secret" not in repr(found)
    (folder / "config").write_text("[core]\n    no_scm = true\n")
    assert dvc_remote(tmp_path) is None
