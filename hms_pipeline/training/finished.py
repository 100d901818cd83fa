"""Finished folds: each in a folder named by the hash of what its training read.

They lie outside every stage's outputs, so that going back to an earlier parameter finds them
again, and are linked into ``members/<member>/fold-<k>``, which DVC records. Nothing here loads
PyTorch: linking what is finished takes a moment.
"""

from __future__ import annotations

import hashlib
import logging
import os
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ..config import Params, Paths
from ..config.keys import code_key
from ..system.errors import InputError
from ..system.files import atomic, hash_file, hash_json, read_sealed, write_sealed

log = logging.getLogger(__name__)

MANIFEST = "manifest.json"
FILES = ("weights.safetensors", "oof.parquet", "history.csv")


def check_training(params: Params, member: str, folds: Sequence[int]) -> None:
    """Refuse a member or folds that the recipe does not have."""
    if member not in params.members:
        raise InputError(f"Unknown member {member!r}. Choose one of {sorted(params.members)}.")
    for fold in folds:
        if not 0 <= fold < params.split.n_folds:
            raise InputError(
                f"fold must be 0..{params.split.n_folds - 1}, got {fold}."
                " Choose one of these, or raise split.n_folds."
            )


def member_inputs(paths: Paths, params: Params, member: str) -> dict[str, Any]:
    """Hashes of everything that a member's trainings depend on, the same for all its folds.

    Raises
    ------
    InputError
        Something is missing; the sentence names the command that makes it.
    """
    for path, command in ((paths.windows, "hms validate"), (paths.folds, "hms split")):
        if not path.is_file():
            raise InputError(f"{path} is missing. Run `{command}` first.")
    return {
        "views": {name: view_hash(paths, member, name) for name in params.members[member].views},
        "windows": hash_file(paths.windows),
        "folds": hash_file(paths.folds),
        "params": hash_json(
            {
                "training": params.training.model_dump(mode="json"),
                "member": params.members[member].model_dump(mode="json"),
            }
        ),
        "code": code_key(paths, params, "train", member),
    }


def view_hash(paths: Paths, member: str, view: str) -> str:
    """Hash of a view's stored features, which a member reads."""
    path = paths.view(view) / MANIFEST
    if not path.is_file():
        raise InputError(
            f"Member {member} reads view {view!r}, but {path.parent} has no features."
            f" Run `hms features {view}` first."
        )
    return hash_json(read_sealed(path, f"hms features {view}"))


def fold_key(inputs: dict[str, Any], member: str, fold: int | str) -> str:
    """Name of a fold's folder and of its checkpoint's: hash of what its training reads."""
    return hash_json([f"{member}-{fold}", inputs])


def missing_folds(paths: Paths, params: Params, member: str) -> list[int]:
    """Folds of a member for which there is no finished training with the present inputs."""
    inputs = member_inputs(paths, params, member)
    return [
        fold
        for fold in range(params.split.n_folds)
        if not (paths.finished / fold_key(inputs, member, fold) / MANIFEST).is_file()
    ]


def write_manifest(folder: Path, manifest: dict[str, Any]) -> None:
    """Write a fold's manifest."""
    write_sealed(folder / MANIFEST, manifest)


def read_manifest(folder: Path) -> dict[str, Any]:
    """A fold's manifest.

    Raises
    ------
    InputError
        It is missing, damaged or not as it was written.
    """
    return read_sealed(folder / MANIFEST, "hms train, or dvc checkout")


def read_checked(folder: Path, manifest: Mapping[str, Any], name: str) -> bytes:
    """The bytes of a fold's file, which are the ones that its manifest names.

    Parameters
    ----------
    folder : Path
    manifest : mapping
    name : str
        One of ``FILES``.

    Raises
    ------
    InputError
        The file is missing or changed; it is named.
    """
    path = folder / name
    content = path.read_bytes() if path.is_file() else None
    if content is None or hashlib.sha256(content).hexdigest() != manifest["files"][name]:
        what = "is missing" if content is None else "is not as its training wrote it"
        raise InputError(f"{path} {what}. Run dvc checkout, or hms train again.")
    return content


def find_finished(folder: Path, inputs: dict[str, Any]) -> dict[str, Any] | None:
    """The manifest of a finished fold; warn of a damaged one and remove it.

    Parameters
    ----------
    folder : Path
    inputs : dict
        From ``member_inputs``.
    """
    if not folder.exists():
        return None
    try:
        manifest = read_manifest(folder)
        for name in FILES:
            read_checked(folder, manifest, name)
        if manifest["inputs"] != inputs:
            raise InputError(f"{folder / MANIFEST} names other inputs.")
    except InputError as err:
        log.warning("A finished fold is damaged and trained again: %s", err)
        shutil.rmtree(folder)
        return None
    return manifest


def link_fold(finished: Path, target: Path) -> None:
    """Put a finished fold's files at ``target``: links where the disk has them, else copies."""
    with atomic(target) as temporary:
        temporary.mkdir()
        for name in (*FILES, MANIFEST):
            _link(finished / name, temporary / name)


def share_recorded(paths: Paths) -> None:
    """Let finished folds share the bytes that DVC has recorded, so that weights lie once.

    DVC copies an output's files into its cache and links the output to the cache; the finished
    fold would keep the first copy.
    """
    for target in [*paths.members.glob("*/fold-*"), *paths.student.ensemble.glob("f*")]:
        try:
            manifest = read_manifest(target)
            key = fold_key(manifest["inputs"], manifest["member"], manifest["fold"])
        except (InputError, KeyError):
            continue
        finished = paths.finished / key
        for name in (*FILES, MANIFEST):
            ours, theirs = finished / name, target / name
            if not (ours.is_file() and theirs.is_file()) or ours.samefile(theirs):
                continue
            if hash_file(ours) == hash_file(theirs):
                with atomic(ours) as temporary:
                    _link(theirs, temporary)


def _link(source: Path, target: Path) -> None:
    try:
        os.link(source, target)
    except OSError:  # another file system, or one without links
        shutil.copyfile(source, target)
