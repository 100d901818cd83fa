"""Pull before a retrain and push after it, on a machine without shared folders.

``python -m flows.exchange`` pulls.
With ``HMS_BRANCH`` set, `retrain/nightly` starts from that branch of the git remote ``origin`` and
from DVC's remote; at its end outputs go to DVC's remote and ``dvc.lock`` to the branch. Without it
neither happens.
"""

from __future__ import annotations

import logging
import os
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from hms_pipeline.config import load_params
from hms_pipeline.system.errors import InputError, hide_passwords
from hms_pipeline.system.locks import locked

from .environment import Log, captured, prepare, project_root, run_folder, stage_environment

BRANCH = "HMS_BRANCH"
LOCK = "dvc.lock"
WAITS_S = (5.0, 15.0, 30.0, 60.0)  # pauses before a remote is asked again
EMAIL = "hms@localhost"
PROMPTLESS = {"GIT_TERMINAL_PROMPT": "0"}
ROBOT = ("-c", "user.name=hms retrain", "-c", f"user.email={EMAIL}")


def take(root: Path, log: Log) -> None:
    """Bring code, recipe, data and recorded outputs to the remotes' state.

    The present ``dvc.lock`` is dropped: its outputs are in DVC's run cache, where the next run
    finds them. Outputs that the remote lacks are left for the run to make.

    Raises
    ------
    InputError
        Files differ from the commit, the clone has commits of its own, a retrain is at work, or
        a remote does not answer.
    """
    branch = os.environ.get(BRANCH)
    if not branch:
        return
    params = load_params(root / "params.yaml").retrain
    wait_s = params.queue_limit_s if params.when_busy == "queue" else 0.0
    busy = "A retrain takes new code before it starts, but another one runs in this folder."
    run_folder(root).mkdir(parents=True, exist_ok=True)
    with locked(run_folder(root) / "retrain.lock", wait_s, f"{busy} Wait for it or cancel it."):
        _take_commit(root, branch, log)
        if (root / "data.dvc").exists():
            _remote(root, _dvc("pull", "data.dvc"), log)
        # What a killed run left in an output is not worth a refusal: finished folds lie elsewhere.
        pull = _dvc("pull", "--run-cache", "--allow-missing", "--force", "dvc.yaml")
        _remote(root, pull, log)


def _take_commit(root: Path, branch: str, log: Log) -> None:
    _fetch(root, branch, log)
    git(root, "checkout", "-q", "HEAD", "--", LOCK, may_fail=True)
    git(root, "merge", "-q", "--ff-only", "FETCH_HEAD")


def _fetch(root: Path, branch: str, log: Log) -> None:
    """Ask for the branch; this clone must have no change of its own but ``dvc.lock``."""
    if changed(root):
        raise InputError(
            f"A machine with {BRANCH} set needs the files of the commit, but some of {root}"
            " differ. Commit and push them, or unset it."
        )
    _remote(root, ["git", "fetch", "-q", "origin", branch], log)
    own = git(root, "log", "--format=%ae", "FETCH_HEAD..HEAD").split()
    if own == [EMAIL]:  # commits of a retrain that ended before it could push
        git(root, "reset", "-q", "--soft", "HEAD~1")
    elif own:
        raise InputError(
            f"A machine with {BRANCH} set needs a clone without commits of its own, but {root} has"
            f" some that {branch} lacks. Push them, or unset it."
        )


def give(root: Path, log: Log) -> None:
    """Hand outputs to DVC's remote, then ``dvc.lock`` to the branch.

    Where the branch moved meanwhile the lock stays here: the outputs are in the remote's run
    cache, and the next retrain, on this machine or another, finds and records them.

    Raises
    ------
    InputError
        A remote does not answer.
    """
    branch = os.environ.get(BRANCH)
    if not branch:
        return
    push(root, ["--run-cache"], log)
    if not git(root, "status", "--porcelain", "--", LOCK):
        return
    try:
        _fetch(root, branch, log)  # refuses a clone with changed files: what it made is not pushed
    except InputError as err:
        log.warning("%s stays on this machine. %s", LOCK, err)
        return
    git(root, "add", LOCK)
    git(root, *ROBOT, "commit", "-q", "-m", f"{LOCK} of a retrain", "--", LOCK)
    try:
        _remote(
            root, ["git", "push", "-q", "origin", f"HEAD:refs/heads/{branch}"], log, WAITS_S[:2]
        )
    except InputError as err:
        log.warning("%s stays on this machine. %s", LOCK, err)
        git(root, "reset", "-q", "--soft", "HEAD~1")


def push(root: Path, targets: Sequence[str], log: Log) -> None:
    """Hand outputs of stages, or of all, to DVC's remote.

    Raises
    ------
    InputError
        It does not answer.
    """
    _remote(root, _dvc("push", *targets), log)


def _remote(root: Path, command: Sequence[str], log: Log, waits: Sequence[float] = WAITS_S) -> None:
    """Run a command that uses a remote; if it fails, say so, wait and try again."""
    name = " ".join(["dvc", *command[4:]] if command[0] == sys.executable else command)
    for wait_s in (*waits, None):
        done = captured(command, root, stage_environment(**PROMPTLESS))
        if not done.returncode:
            return
        said = (done.stderr + done.stdout).splitlines()
        lines = [line for line in said if line.startswith("ERROR")][:1] or filter(str.strip, said)
        why = hide_passwords(" ".join(lines))[-300:] or f"it ended with {done.returncode}"
        if wait_s is not None:
            log.warning("%s: %s. Again in %.0f s.", name, why, wait_s)
            time.sleep(wait_s)
    raise InputError(
        f"A remote has to answer to {name}, but: {why}. See whether it can be reached from here"
        " (hms doctor), and run the retrain again: it goes on where it stopped."
    )


def changed(root: Path) -> str:
    """Tracked files that differ from the commit, but ``dvc.lock``."""
    return git(root, "status", "--porcelain", "--untracked-files=no", "--", f":!{LOCK}")


def git(root: Path, *arguments: str, may_fail: bool = False) -> str:
    """What a command of git prints, or InputError where it fails."""
    done = captured(["git", *arguments], root, stage_environment(**PROMPTLESS))
    if done.returncode and not may_fail:
        raise InputError(f"git {' '.join(arguments[:2])} failed: {' '.join(done.stderr.split())}")
    return done.stdout.strip()


def _dvc(*arguments: str) -> list[str]:
    return [sys.executable, "-m", "dvc", "--wait-for-lock", *arguments]


def main() -> int:
    """Pull; print one line and return 2 if that is not possible."""
    logging.basicConfig(level=logging.WARNING, format="%(message)s")
    root = project_root()
    prepare(root)
    try:
        take(root, logging.getLogger(__name__))
    except InputError as err:
        print(err, file=sys.stderr)  # noqa: T201
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
