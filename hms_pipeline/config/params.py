"""The recipe as one model, and its only reader."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import yaml
from pydantic import Field, ValidationError, model_validator

from ..schema import InputError
from .ensemble import EnsembleParams
from .members import MemberParams, RunParams
from .registry import GateParams, RegistryParams
from .retrain import RetrainParams
from .sample import SampleParams
from .scoring import DriftParams, ScoringParams
from .section import Section
from .split import SplitParams
from .training import TrainingParams
from .validation import ValidationParams


class Params(Section):
    """Every number one may tune. ``runs`` repeats members × folds in the form that DVC reads.

    Parameters
    ----------
    views : dict of str to dict
        View name → its parameters; checked against the view's own signature by ``features``.
    runs : dict of str to RunParams
        ``"<member>-<fold>"`` → member, fold and its views in the slots ``a`` and ``b``.
    """

    recipe: str
    sample: SampleParams
    validation: ValidationParams
    split: SplitParams
    views: dict[str, dict[str, Any]]
    training: TrainingParams
    members: dict[str, MemberParams] = Field(min_length=1)
    runs: dict[str, RunParams]
    ensemble: EnsembleParams
    registry: RegistryParams
    gate: GateParams
    retrain: RetrainParams
    scoring: ScoringParams
    drift: DriftParams

    @model_validator(mode="after")
    def _views_exist(self) -> Params:
        for name, member in self.members.items():
            for view in member.views:
                if view not in self.views:
                    raise ValueError(
                        f"members.{name}.views names {view!r}, but views has"
                        f" {sorted(self.views)}. Add the view or correct the name."
                    )
        return self

    @model_validator(mode="after")
    def _runs_match(self) -> Params:
        expected = {
            f"{name}-{fold}": RunParams(name=name, fold=fold, a=member.views[0], b=member.views[-1])
            for name, member in self.members.items()
            for fold in range(self.split.n_folds)
        }
        for key in sorted(expected.keys() | self.runs.keys()):
            if self.runs.get(key) != expected.get(key):
                raise ValueError(
                    f"runs.{key} must be {_brief(expected.get(key))} by members and"
                    f" split.n_folds, but is {_brief(self.runs.get(key))}. Correct runs."
                )
        return self


def _brief(run: RunParams | None) -> str:
    return "absent" if run is None else json.dumps(run.model_dump())


def parse_params(data: Any, source: str = "params.yaml") -> Params:
    """Validate a recipe.

    Parameters
    ----------
    data : object
        What YAML gave.
    source : str
        The file's name, for the error sentence.

    Raises
    ------
    InputError
        Unknown or missing key, wrong type or range: one sentence with the key's path.
    """
    try:
        return Params.model_validate_json(json.dumps(data, default=str))
    except ValidationError as err:
        first = err.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        message = {
            "extra_forbidden": f"unknown key {where!r}. Remove it or correct its name",
            "missing": f"missing key {where!r}. Add it (see recipes/)",
        }.get(first["type"])
        if message is None:
            value = json.dumps(first["input"], default=str) if where else ""
            message = f"{where}: {first['msg']}" + (f", but is {value[:80]}" if value else "")
        more = f" ({err.error_count() - 1} more)" if err.error_count() > 1 else ""
        raise InputError(f"{source}: {message}{more}.") from None


def load_params(path: Path | str = "params.yaml") -> Params:
    """Read a recipe file.

    Raises
    ------
    InputError
        The file is missing, is not YAML, or is not a valid recipe.
    """
    path = Path(path)
    try:
        data = yaml.safe_load(path.read_text())
    except FileNotFoundError:
        raise InputError(
            f"Recipe file {path} is missing. Run in the project's root or give --params FILE."
        ) from None
    except (yaml.YAMLError, UnicodeDecodeError) as err:
        line = str(err).splitlines()[-1].strip()
        raise InputError(f"{path} is not valid YAML: {line}. Correct it.") from None
    return parse_params(data, path.name)


def write_params(path: Path, params: Params) -> None:
    """Write a recipe as YAML that ``load_params`` reads back to equal params."""
    path.write_text(yaml.safe_dump(params.model_dump(mode="json"), sort_keys=False))


def read_data_hash(pointer: Path) -> str | None:
    """The content hash in a DVC pointer file such as ``data.dvc``; None where there is none."""
    try:
        return yaml.safe_load(pointer.read_text())["outs"][0]["md5"]
    except (OSError, KeyError, IndexError, TypeError, yaml.YAMLError):
        return None
