"""From a version back to its data, features, code, parameters and runs."""

from __future__ import annotations

import contextlib
import shutil
from collections.abc import Mapping
from pathlib import Path
from shlex import quote
from typing import Any

import pandas as pd
import pyarrow as pa

from ..config import Params, Paths
from ..data.write import is_simulated
from ..system.packages import package_versions
from ..tracking.checkout import CODE, git_changes, git_commit, is_known
from ..tracking.retrain import data_hash

STATE, PATCH = "state", "changes.patch"
LOOKED_AT = 200


def lineage(
    paths: Paths, params: Params, content: Mapping[str, Any], links: Mapping[str, Any], run_id: str
) -> dict[str, Any]:
    """Everything a version was made from.

    Parameters
    ----------
    paths : Paths
    params : Params
    content : mapping
        From ``inference.bundle.describe_content``.
    links : mapping
        From ``tracking.link_folds``.
    run_id : str
        The retrain's run.
    """
    return {
        "content_hash": content["content_hash"],
        "git_commit": git_commit(paths),
        "data": data_hash(paths),
        "data_origin": data_origin(paths),
        "code": content["code"],
        "packages": package_versions(),
        "recipe": params.recipe,
        **content["hashes"],
        "retrain_run": run_id,
        "runs": dict(links),
    }


def data_origin(paths: Paths) -> str:
    """What the recordings say of themselves: ``simulated`` by `hms sample`, whatever its seed.

    Returns
    -------
    str
        A key of ``card.ORIGIN``. Of a large data set ``LOOKED_AT`` recordings are asked.
    """
    try:
        eegs = pd.read_csv(paths.data / "train.csv", usecols=["eeg_id"])["eeg_id"].unique()
    except (OSError, ValueError):
        return "unknown"
    said = []
    for eeg in eegs[:: -(-len(eegs) // LOOKED_AT) or 1]:
        with contextlib.suppress(OSError, pa.ArrowException):  # validation names such files
            said.append(is_simulated(paths.data / "train_eegs" / f"{eeg}.parquet"))
    if not said:
        return "unknown"
    share = sum(said) / len(said)
    return "given" if share == 0 else "simulated" if share > 0.9 else "partly simulated"


def write_state(paths: Paths, out: Path) -> None:
    """Keep the files that name data, outputs and parameters, and changes git does not hold yet.

    A retrain rewrites ``dvc.lock`` before anyone can commit it, so the commit is not enough.
    """
    root = paths.params.absolute().parent
    out.mkdir(parents=True)
    for source in (paths.params, root / "dvc.lock", Path(f"{paths.data}.dvc")):
        if source.exists():
            shutil.copyfile(source, out / source.name)
    patch = git_changes(paths, *CODE, "dvc.yaml")
    if patch:
        (out / PATCH).write_bytes(patch)


def restore_commands(found: Mapping[str, Any], model: Path) -> list[str]:
    """Shell commands that bring a version's state back into a checkout.

    Parameters
    ----------
    found : mapping
        The version's ``lineage.json``.
    model : Path
        Its model folder.

    Returns
    -------
    list of str
        None where the version's commit is not known: its code is in no repository.
    """
    if not is_known(str(found["git_commit"])):
        return []
    state = model / STATE
    commands = [f"git checkout {str(found['git_commit']).removesuffix('+changes')}"]
    if (state / PATCH).exists():
        commands.append(f"git apply {quote(str(state / PATCH))}")
    names = [path.name for path in sorted(state.glob("*")) if path.name != PATCH]
    commands += [f"cp {quote(str(state / name))} ." for name in names]
    return [*commands, "dvc checkout"]
