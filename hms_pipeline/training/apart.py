"""Train one fold to look at it, without changing what the pipeline keeps."""

from __future__ import annotations

import shutil
from pathlib import Path
from tempfile import TemporaryDirectory

from ..config import Params, Paths
from .stage import run


def train_apart(
    paths: Paths, params: Params, member: str, fold: int, out: Path, *, device: str = "auto"
) -> dict:
    """Train one fold into a folder of its own; what the pipeline keeps is read, never changed.

    Parameters
    ----------
    paths, params
        Stages `split` and the member's `features` have run.
    member : str
    fold : int
        Held out.
    out : Path
        Gets ``weights.safetensors``, ``oof.parquet``, ``history.csv``, ``manifest.json``; what is
        there is replaced.
    device : str
        ``"auto"``, ``"cpu"`` or ``"cuda[:N]"``.

    Returns
    -------
    dict
        The manifest.

    Raises
    ------
    InputError
        See ``stage.run``.
    """
    own = {path.name for path in (paths.members, paths.finished, paths.checkpoints)}
    with TemporaryDirectory() as scratch:
        apart = Paths(paths.data, Path(scratch), paths.params)
        for path in paths.artifacts.absolute().iterdir():
            if path.name not in own:
                (apart.artifacts / path.name).symlink_to(path)
        manifest = run(apart, params, member, [fold], device=device)[fold]
        shutil.rmtree(out, ignore_errors=True)
        shutil.copytree(apart.fold(member, fold), out)
    return manifest
