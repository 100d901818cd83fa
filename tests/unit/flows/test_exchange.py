"""A clone goes forward with its branch, and hands back its lock; git is real, DVC stands still."""

from __future__ import annotations

import logging
import subprocess
from pathlib import Path

import pytest

from flows import exchange
from hms_pipeline.system.errors import InputError
from tests.recipes import write

ME = ("-c", "user.name=test", "-c", "user.email=test@localhost")
LOG = logging.getLogger(__name__)


def git(folder: Path, *arguments: str) -> str:
    command = ["git", *ME, *arguments]
    return subprocess.run(
        command, cwd=folder, check=True, capture_output=True, text=True
    ).stdout.strip()


@pytest.fixture
def author(tmp_path: Path) -> Path:
    folder = tmp_path / "author"
    folder.mkdir()
    git(folder, "init", "-q", "-b", "main")
    write(folder / "params.yaml")
    (folder / ".gitignore").write_text("/.run/\n")
    (folder / "dvc.lock").write_text("first\n")
    git(folder, "add", "-A")
    git(folder, "commit", "-q", "-m", "start")
    git(folder, "clone", "-q", "--bare", ".", "../origin.git")
    git(folder, "remote", "add", "origin", "../origin.git")
    return folder


@pytest.fixture
def trainer(author: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    git(author.parent, "clone", "-q", "origin.git", "trainer")
    monkeypatch.setenv(exchange.BRANCH, "main")
    monkeypatch.setattr(exchange, "_dvc", lambda *arguments: ["true", *arguments])
    monkeypatch.setattr(exchange, "WAITS_S", (0.0, 0.0))
    return author.parent / "trainer"


def publish(author: Path, name: str, text: str) -> None:
    git(author, "pull", "-q", "origin", "main")
    (author / name).write_text(text)
    git(author, "add", "-A")
    git(author, "commit", "-q", "-m", name)
    git(author, "push", "-q", "origin", "main")


def test_without_a_branch_nothing_is_asked(tmp_path, monkeypatch):
    monkeypatch.delenv(exchange.BRANCH, raising=False)
    monkeypatch.setattr(exchange, "captured", None)
    exchange.take(tmp_path, LOG)
    exchange.give(tmp_path, LOG)


def test_a_clone_goes_forward_and_its_lock_is_no_obstacle(author, trainer):
    publish(author, "dvc.lock", "second\n")
    (trainer / "dvc.lock").write_text("made here\n")
    exchange.take(trainer, LOG)
    assert (trainer / "dvc.lock").read_text() == "second\n"
    assert git(trainer, "rev-parse", "HEAD") == git(author, "rev-parse", "HEAD")


def test_changed_files_and_commits_of_its_own_are_refused(author, trainer):
    (trainer / "params.yaml").write_text((author / "params.yaml").read_text() + "# mine\n")
    with pytest.raises(InputError, match="needs the files of the commit"):
        exchange.take(trainer, LOG)
    git(trainer, "commit", "-q", "-a", "-m", "mine")
    before = git(trainer, "rev-parse", "HEAD")
    with pytest.raises(InputError, match="without commits of its own"):
        exchange.take(trainer, LOG)
    assert git(trainer, "rev-parse", "HEAD") == before


def test_the_lock_lands_in_the_branch_and_nothing_else_does(author, trainer):
    (trainer / "dvc.lock").write_text("made here\n")
    (trainer / "left.txt").write_text("by hand")
    exchange.give(trainer, LOG)
    git(author, "pull", "-q", "origin", "main")
    assert (author / "dvc.lock").read_text() == "made here\n"
    assert not (author / "left.txt").exists()
    before = git(trainer, "rev-parse", "HEAD")
    exchange.give(trainer, LOG)  # nothing new
    assert git(trainer, "rev-parse", "HEAD") == before


def test_a_branch_that_moved_keeps_its_commits_and_the_clone_stays_usable(author, trainer, caplog):
    publish(author, "README.md", "news\n")
    (trainer / "dvc.lock").write_text("made here\n")
    exchange.give(trainer, LOG)
    assert "dvc.lock stays on this machine" in caplog.text
    exchange.take(trainer, LOG)
    assert (trainer / "README.md").read_text() == "news\n"
    assert (trainer / "dvc.lock").read_text() == "first\n"


def test_what_changed_files_or_own_commits_made_is_not_given(author, trainer, caplog):
    start = git(author.parent / "origin.git", "rev-parse", "main")
    (trainer / "dvc.lock").write_text("made here\n")
    (trainer / "params.yaml").write_text("changed\n")
    exchange.give(trainer, LOG)
    git(trainer, "commit", "-q", "-m", "mine", "params.yaml")
    exchange.give(trainer, LOG)
    assert git(author.parent / "origin.git", "rev-parse", "main") == start
    assert caplog.text.count("dvc.lock stays on this machine") == 2


def test_a_retrain_that_ended_before_its_push_is_no_obstacle(author, trainer):
    (trainer / "dvc.lock").write_text("made here\n")
    git(trainer, *exchange.ROBOT, "commit", "-q", "-m", "dvc.lock of a retrain", "dvc.lock")
    publish(author, "README.md", "news\n")
    exchange.take(trainer, LOG)
    assert git(trainer, "rev-parse", "HEAD") == git(author, "rev-parse", "HEAD")


def test_a_remote_that_comes_back_is_asked_again(trainer, tmp_path, caplog):
    tries = tmp_path / "tries"
    script = (
        f"echo x >> {tries}; echo no answer of s3://me:secret@host; [ $(wc -l < {tries}) -gt 2 ]"
    )
    exchange._remote(trainer, ["bash", "-c", script], LOG, waits=(0.0, 0.0, 0.0))
    assert [record.levelname for record in caplog.records] == ["WARNING"] * 2
    assert "me:***@host" in caplog.text
    assert "secret" not in caplog.records[0].message.replace(script, "")


def test_a_remote_that_stays_away_is_one_line(trainer):
    with pytest.raises(InputError, match="A remote has to answer to") as caught:
        exchange._remote(trainer, ["bash", "-c", "echo gone; exit 1"], LOG, waits=(0.0,))
    assert "\n" not in str(caught.value)


def test_of_what_dvc_says_the_error_is_passed_on(trainer, monkeypatch):
    says = (
        "echo 3 files; echo ERROR: no answer of the store; echo; echo Having any troubles?; exit 1"
    )
    with pytest.raises(InputError, match=r"but: ERROR: no answer of the store\. See whether"):
        exchange._remote(trainer, ["bash", "-c", says], LOG, waits=())
    asked = []
    monkeypatch.setattr(exchange, "_remote", lambda root, command, log: asked.append(command))
    exchange.push(trainer, ["train"], LOG)
    assert "-q" not in asked[0]  # with which DVC does not say it


def test_the_command_says_one_line(trainer, monkeypatch, capsys):
    monkeypatch.setenv("HMS_ROOT", str(trainer))
    (trainer / "params.yaml").unlink()
    assert exchange.main() == 2
    assert capsys.readouterr().err.count("\n") == 1
