"""The folder that is an ensemble: weights, blend, recipe, code; complete in itself.

::

    bundle.json          members, views, blend, hashes
    weights/<member>/fold-<k>.safetensors
    recipe.yaml          the whole recipe it was made by
    drift_reference.json training distribution of views and predictions
    code/<package>/      the rooms that score
    checksums.json       SHA-256 of every other file

It names no patient; with ``registry.with_ids``, and in versions from before that setting, it holds
the tables of its training, too (``write.write_tables``). Nothing here loads torch.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..config import Params, Paths, load_params
from ..config.keys import code_key
from ..config.members import MemberParams
from ..ensemble.blend import Blend
from ..system.errors import InputError
from ..system.files import hash_file, hash_json, read_sealed, write_json
from ..training.finished import read_checked, read_manifest

FORMAT = 1
# The rooms that scoring needs, in the order in which they may import each other.
ROOMS = (
    "schema", "system", "catalogue", "code_keys", "config", "signal", "data", "features",
    "datasets", "models", "training", "ensemble", "inference", "scoring",
)  # fmt: skip
CHECKSUMS = "checksums.json"
TABLES = ("folds.parquet", "oof.parquet")  # tables of the training, which name patients


@dataclass(frozen=True)
class Bundle:
    """A bundle that was read.

    Parameters
    ----------
    folder : Path
    info : dict
        ``bundle.json``.
    params : Params
        The recipe it was made by.
    """

    folder: Path
    info: dict[str, Any]
    params: Params

    @property
    def members(self) -> dict[str, MemberParams]:
        """Members in the order of every table of theirs."""
        return {
            name: MemberParams(
                architecture=member["architecture"],
                views=tuple(member["views"]),
                model=member["model"],
            )
            for name, member in sorted(self.info["members"].items())
        }

    @property
    def folds(self) -> tuple[int, ...]:
        """Folds that every member has a network for."""
        return tuple(range(self.info["n_folds"]))

    @property
    def blend(self) -> Blend:
        """The ensemble's weights and calibration."""
        return Blend.from_dict(self.info["blend"], tuple(self.members))

    @property
    def content_hash(self) -> str:
        """Hash of everything that decides the answers."""
        return self.info["content_hash"]

    def weights(self, member: str, fold: int) -> Path:
        """File of one network's weights."""
        return self.folder / "weights" / member / f"fold-{fold}.safetensors"


@dataclass(frozen=True)
class PresentBundle(Bundle):
    """The present artifacts as a bundle, whose weights lie where their trainings left them.

    Parameters
    ----------
    paths : Paths
    """

    paths: Paths

    @classmethod
    def of(cls, paths: Paths, params: Params) -> PresentBundle:
        """Describe what is there."""
        networks = describe_networks(paths, params)
        n_folds = len(paths.answering(params.split.n_folds))
        info = {**networks, "n_folds": n_folds, "content_hash": hash_json(networks)}
        return cls(paths.members, info, params, paths)

    def weights(self, member: str, fold: int) -> Path:
        """Checked against what its training recorded."""
        answering = self.paths.answering(self.params.split.n_folds)
        folder = self.paths.fold(member, answering[fold])
        read_checked(folder, read_manifest(folder), "weights.safetensors")
        return folder / "weights.safetensors"


def describe_content(paths: Paths, params: Params) -> dict[str, Any]:
    """What a bundle of the present artifacts would be, without writing it.

    Parameters
    ----------
    paths : Paths
    params : Params

    Returns
    -------
    dict
        ``bundle.json`` without the weights' precision. ``content_hash`` covers all that decides an
        answer: members, views, blend, code and the versioned settings, but not, for example, the
        gate's thresholds. ``networks_hash`` is the same without code and settings.

    Raises
    ------
    InputError
        The ensemble or a training is missing.
    """
    networks = describe_networks(paths, params)
    settings = {key: getattr(params.scoring, key) for key in params.scoring.VERSIONED}
    settings["max_cell_mb"] = params.registry.max_cell_mb
    code = code_key(paths, params, "version", paths.model)
    identity = {**networks, "code": code, "settings": settings}
    return {
        **identity,
        "n_folds": len(paths.answering(params.split.n_folds)),
        "content_hash": hash_json(identity),
        "networks_hash": hash_json(networks),
        "hashes": _input_hashes(paths, params, networks["members"]),
    }


def describe_networks(paths: Paths, params: Params) -> dict[str, Any]:
    """The part of ``describe_content`` that trainings and blend made: ``members, views, blend``."""
    ensemble = read_sealed(paths.ensemble / "weights.json", "hms ensemble")
    blend = {key: ensemble[key] for key in ("kind", "weights", "temperature", "offsets")}
    members = {name: _describe_member(paths, params, name) for name in sorted(blend["weights"])}
    views = {
        name: params.views[name]
        for name in sorted({view for member in members.values() for view in member["views"]})
    }
    return {"format": FORMAT, "members": members, "views": views, "blend": blend}


def _describe_member(paths: Paths, params: Params, name: str) -> dict[str, Any]:
    if name not in params.members:
        raise InputError(
            f"The ensemble has member {name!r}, but the recipe has {sorted(params.members)}."
            " Run hms ensemble again."
        )
    member = params.members[name]
    answering = paths.answering(params.split.n_folds)
    return {
        "architecture": member.architecture,
        "views": list(member.views),
        "model": member.model,
        "folds": {
            str(k): read_manifest(paths.fold(name, fold))["content_hash"]
            for k, fold in enumerate(answering)
        },
    }


def _input_hashes(paths: Paths, params: Params, members: Mapping[str, Any]) -> dict[str, Any]:
    views = sorted({view for member in members.values() for view in member["views"]})
    return {
        "windows": hash_file(paths.windows),
        "folds": hash_file(paths.folds),
        "views": {name: hash_file(paths.view(name) / "manifest.json") for name in views},
        "ensemble": hash_file(paths.ensemble / "weights.json"),
        "params": hash_json(params.model_dump(mode="json")),
    }


def _read_json(path: Path, command: str) -> dict[str, Any]:
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise InputError(
            f"{path} is needed, but is not there. Run {command}, or dvc repro."
        ) from None
    except ValueError:
        raise InputError(
            f"{path} needs to be JSON, but cannot be read as such. Run {command} again."
        ) from None


def copy_code(out: Path) -> Path:
    """Copy the rooms of this package that scoring needs into ``out/package``."""
    for name, source in _code_files().items():
        target = out / "package" / name
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(source, target)
    return out / "package"


def with_code(bundle: Path, out: Path) -> Path:
    """Copy a bundle without code, such as the starter, and give it this package's."""
    shutil.copytree(bundle, out)
    copy_code(out / "code")
    write_json(out / CHECKSUMS, checksums(out))
    return out


def _code_files() -> dict[str, Path]:
    """The files of the rooms that scoring needs, by their place in the package."""
    root = Path(__file__).parents[1]
    sources = [root / "__init__.py"]
    for room in ROOMS:
        path = root / room
        sources += sorted(path.rglob("*.py")) if path.is_dir() else [root / f"{room}.py"]
    return {source.relative_to(root).as_posix(): source for source in sources}


def carries_this_code(folder: Path) -> bool:
    """Whether a bundle's code is this package's, byte for byte."""
    listed = _read_json(folder / CHECKSUMS, "hms register")
    prefix = "code/package/"
    carried = {name.removeprefix(prefix): sha for name, sha in listed.items() if prefix in name}
    return carried == {name: hash_file(path) for name, path in _code_files().items()}


def files_below(folder: Path) -> dict[str, Path]:
    """Every file below a folder, by its relative name; the folder holds files and folders alone.

    Raises
    ------
    InputError
        Something below it is a link or no file, or a folder without a file: neither has content
        that a hash could cover.
    """
    found: dict[str, Path] = {}
    for place, folders, names in os.walk(folder):
        inside = [Path(place) / name for name in (*folders, *names)]
        odd = [
            path for path in inside if path.is_symlink() or not (path.is_file() or path.is_dir())
        ]
        if odd or not (inside or Path(place) == folder):
            name = (odd or [Path(place)])[0].relative_to(folder).as_posix()
            raise InputError(
                f"The model's files must be as they were registered, but {name} is a link, an empty"
                " folder or no file. Delete it, use another version, or register again."
            )
        found |= {path.relative_to(folder).as_posix(): path for path in inside if path.is_file()}
    return found


def checksums(folder: Path) -> dict[str, str]:
    """SHA-256 of every file under a bundle but the list itself, byte code included.

    Raises
    ------
    InputError
        There is a link or an empty folder among them.
    """
    return {
        name: hash_file(path)
        for name, path in sorted(files_below(folder).items())
        if name != CHECKSUMS
    }


def check_bundle(folder: Path) -> str:
    """Compare every file with its checksum.

    Returns
    -------
    str
        Hash over all of them.

    Raises
    ------
    InputError
        A file is changed, missing or not listed; it is named.
    """
    listed = _read_json(folder / CHECKSUMS, "hms register")
    different = first_difference(listed, checksums(folder))
    if different:
        raise InputError(
            f"The model's files must be as they were registered, but {different}. Use another"
            " version, or register again."
        )
    return hash_json(listed)


def first_difference(listed: Mapping[str, str], found: Mapping[str, str]) -> str | None:
    """The first file whose hash is not the listed one, and what happened to it."""
    for name in sorted(listed.keys() | found.keys()):
        if name not in found:
            return f"{name} is missing"
        if listed.get(name) != found[name]:
            return f"{name} was {'changed' if name in listed else 'added'}"
    return None


def read_info(folder: Path) -> dict[str, Any]:
    """What ``bundle.json`` says, whatever the bundle's format."""
    return _read_json(folder / "bundle.json", "hms register")


def read_bundle(folder: Path) -> Bundle:
    """Read a bundle's description; weights are read when a Predictor is opened.

    Raises
    ------
    InputError
        This is no bundle, or one of another format.
    """
    info = read_info(Path(folder))
    if info.get("format") != FORMAT:
        raise InputError(
            f"A bundle of format {FORMAT} is needed, but {Path(folder).name} has"
            f" {info.get('format')}. Load it by its own code (mlflow.pyfunc.load_model)."
        )
    return Bundle(Path(folder), info, load_params(Path(folder) / "recipe.yaml"))
