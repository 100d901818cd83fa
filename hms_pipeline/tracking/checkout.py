"""The git checkout a retrain runs in: its commit, and what differs from it, as a patch."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

from ..config import Paths

CODE = ("hms_pipeline", "flows")  # where a new file changes what runs, known to git or not
# Whatever the user's own settings are, `git apply` reads it.
PLAIN = ("--binary", "--no-color", "--no-ext-diff", "--src-prefix=a/", "--dst-prefix=b/")
UNKNOWN = "unknown"
REASONS = {  # what git says, in English, to what is wrong
    "dubious ownership": "git refuses another user's repository: git config --global --add"
    " safe.directory FOLDER",
    "not a git repository": "no git repository",
    "Needed a single revision": "the repository has no commit yet",
}
FAILURES = (OSError, subprocess.CalledProcessError, subprocess.TimeoutExpired)


def git_commit(paths: Paths) -> str:
    """The checkout's commit, ``+changes`` where files differ from it, or ``unknown (why)``.

    ``dvc.lock`` does not count: every retrain writes it before anyone can commit it.
    """
    folder = _folder(paths)
    try:
        _git(folder, "rev-parse", "--git-dir")
        commit = _git(folder, "rev-parse", "--verify", "HEAD").decode().strip()
        compared = ("--", ":/", ":(top,exclude,glob)**/dvc.lock")
        changed = _git(folder, "status", "--porcelain", "--untracked-files=no", *compared)
        return commit + ("+changes" if changed or _untracked(folder, *CODE) else "")
    except FAILURES as err:
        return f"{UNKNOWN} ({_why(err)})"


def is_known(commit: str) -> bool:
    """Whether ``git_commit`` gave a commit."""
    return not commit.startswith(UNKNOWN)


def _why(err: Exception) -> str:
    if isinstance(err, OSError):
        return "git is not installed" if isinstance(err, FileNotFoundError) else str(err)
    if not isinstance(err, subprocess.CalledProcessError):
        return "git did not answer"
    said = err.stderr.decode(errors="replace")
    for sign, reason in REASONS.items():
        if sign in said:
            return reason
    return " ".join(said.split())[:120] or f"git ended with {err.returncode}"


def git_changes(paths: Paths, *names: str) -> bytes:
    """The difference of some files and folders from the commit, new files included.

    Returns
    -------
    bytes
        A patch as git wrote it, for `git apply`; empty where there is no difference.
    """
    folder = _folder(paths)
    try:
        parts = [_git(folder, "diff", *PLAIN, "HEAD", "--", *names)]
        for name in _untracked(folder, *names):
            pair = ("--", "/dev/null", name)
            parts.append(_git(folder, "diff", "--no-index", *PLAIN, *pair, differs=1))
    except FAILURES:
        return b""
    return b"".join(parts)


def _folder(paths: Paths) -> Path:
    return paths.params.absolute().parent


def _untracked(folder: Path, *names: str) -> list[str]:
    """Files that git neither tracks nor ignores."""
    listed = _git(folder, "ls-files", "--others", "--exclude-standard", "-z", "--", *names)
    found = listed.decode(errors="surrogateescape").split("\0")
    return [name for name in found if name and not name.endswith("/")]  # "/": a repository


def _git(folder: Path, *arguments: str, differs: int = 0) -> bytes:
    command = ["git", "-C", str(folder), *arguments]
    english = {**os.environ, "LC_ALL": "C"}
    done = subprocess.run(command, capture_output=True, timeout=30, env=english)
    if done.returncode not in (0, differs):
        raise subprocess.CalledProcessError(done.returncode, command, done.stdout, done.stderr)
    return done.stdout
