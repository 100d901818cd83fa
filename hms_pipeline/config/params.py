"""The recipe as one model, and its only reader."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import yaml
from pydantic import Field, ValidationError, model_validator

from ..system.errors import InputError, brief
from .ensemble import EnsembleParams
from .members import STARTER, MemberParams
from .registry import GateParams, RegistryParams
from .retrain import RetrainParams
from .sample import SampleParams
from .scoring import DriftParams, ScoringParams
from .section import Name, Section, explain
from .split import SplitParams
from .student import STUDENT, StudentParams
from .training import TrainingParams
from .validation import ValidationParams

MAX_BYTES = 2**20  # largest size of a recipe's file
MAX_VALUES, MAX_DEPTH = 2**18, 20  # characters and values in it, and levels


class Params(Section):
    """Every number one may tune.

    Parameters
    ----------
    views : dict of str to dict
        View name → its parameters; checked against the view's own signature by ``features``.
    members : dict of str to MemberParams
        Each is trained on ``split.n_folds`` folds.
    student : StudentParams or None
        The small network that learns from the ensemble; None: there is none.
    """

    recipe: Name
    sample: SampleParams
    validation: ValidationParams
    split: SplitParams
    views: dict[Name, dict[Name, Any]] = Field(max_length=64)
    training: TrainingParams
    members: dict[Name, MemberParams] = Field(min_length=1, max_length=64)
    ensemble: EnsembleParams
    student: StudentParams | None = None
    registry: RegistryParams
    gate: GateParams
    retrain: RetrainParams
    scoring: ScoringParams
    drift: DriftParams

    @model_validator(mode="after")
    def _views_exist(self) -> Params:
        networks: dict[str, MemberParams] = {f"members.{m}": p for m, p in self.members.items()}
        if self.student is not None:
            networks["student"] = self.student
        for name, member in networks.items():
            if member.pretrained == STARTER == self.recipe:
                raise ValueError(
                    f"{name}.pretrained must not be {STARTER!r} in the recipe that makes the"
                    " starter. Set it to null."
                )
            for view in member.views:
                if view not in self.views:
                    raise ValueError(
                        f"{name}.views names {view!r}, but views has"
                        f" {sorted(self.views)}. Add the view or correct the name."
                    )
        return self

    @property
    def trainings(self) -> list[tuple[str, int]]:
        """Member and held-out fold of every network of the ensemble."""
        return [(name, fold) for name in self.members for fold in range(self.split.n_folds)]

    def for_student(self) -> Params:
        """The same recipe with the student as the only member, trained as its section says."""
        student = self.student
        if student is None:
            raise InputError("A student is asked for, but the recipe has none. Add its section.")
        own: dict[str, Any] = {"stages": student.stages, "augmentation": student.augmentation}
        own["evaluate_every"] = 1
        return self.model_copy(
            update={
                "members": {STUDENT: student.member},
                "training": self.training.model_copy(update=own),
            }
        )


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
        return Params.model_validate_json(_as_json(data, source))
    except ValidationError as err:
        more = f" ({err.error_count() - 1} more)" if err.error_count() > 1 else ""
        raise InputError(f"{source}: {explain(err)}{more}.") from None


def _as_json(data: Any, source: str) -> str:
    try:
        return json.dumps(data, default=str)
    except (TypeError, ValueError) as err:  # a date as a key; an alias within its own anchor
        raise InputError(
            f"{source} needs keys that are text and no part within itself, but {err}."
            " Quote the key, or write the part out."
        ) from None


class _Loader(yaml.SafeLoader):  # type: ignore[misc]
    """YAML whose mappings have each key once, as text; merge keys could double without end."""

    def compose_mapping_node(self, anchor: str | None) -> yaml.MappingNode:
        node = super().compose_mapping_node(anchor)
        seen = set()
        for key, _ in node.value:
            if not isinstance(key, yaml.ScalarNode) or key.value == "<<":
                raise yaml.MarkedYAMLError(
                    problem="a key that is no text, or <<", problem_mark=key.start_mark
                )
            if key.value in seen:
                raise yaml.MarkedYAMLError(
                    problem=f"key {brief(key.value)!r} stands twice", problem_mark=key.start_mark
                )
            seen.add(key.value)
        return node


def _said(err: yaml.YAMLError | ValueError) -> str:
    problem, mark = getattr(err, "problem", None), getattr(err, "problem_mark", None)
    if problem and mark:
        return f"{problem} in line {mark.line + 1}"
    return str(err).splitlines()[0]


def load_params(path: Path | str = "params.yaml") -> Params:
    """Read a recipe file.

    Raises
    ------
    InputError
        The file is missing, is not YAML, or is not a valid recipe.
    """
    return parse_params(read_yaml(Path(path)), Path(path).name)


def read_yaml(path: Path) -> Any:
    """The content of a YAML file.

    Raises
    ------
    InputError
        The file is missing, or is not YAML.
    """
    if not path.is_file():
        raise InputError(
            f"Recipe file {path} is missing, or is no file. Run in the project's root or give"
            " --params FILE."
        )
    with path.open("rb") as stream:
        content = stream.read(MAX_BYTES + 1)
    try:
        if len(content) > MAX_BYTES:
            raise ValueError(f"it has more than {MAX_BYTES} bytes")
        data = yaml.load(content.decode("utf-8"), _Loader)  # noqa: S506 - a SafeLoader
        _count(data, MAX_VALUES, MAX_DEPTH)
    except RecursionError:
        raise InputError(f"{path} nests too deep. Write it as recipes/ are.") from None
    except (yaml.YAMLError, ValueError) as err:  # ValueError: a date or a number that is not one
        raise InputError(f"{path} is not valid YAML: {_said(err)}. Correct it.") from None
    return data


def _count(value: Any, room: int, depth: int) -> int:
    """What is left of ``room`` after a value, its aliases written out; a text counts by length.

    Raises
    ------
    ValueError
        There is more, or it nests deeper.
    """
    if depth < 0:
        raise ValueError(f"it nests deeper than {MAX_DEPTH} levels")
    room -= 1 + (len(value) if isinstance(value, str) else 0)
    if room < 0:
        raise ValueError(f"it has more than {MAX_VALUES} values, aliases written out")
    parts = (*value, *value.values()) if isinstance(value, dict) else value
    if isinstance(parts, list | tuple | set):
        for part in parts:
            room = _count(part, room, depth - 1)
    return room


def write_params(path: Path, params: Params) -> None:
    """Write a recipe as YAML that ``load_params`` reads back to equal params."""
    path.write_text(
        yaml.safe_dump(params.model_dump(mode="json"), sort_keys=False), encoding="utf-8"
    )


def read_data_hash(pointer: Path) -> str | None:
    """The content hash in a DVC pointer file such as ``data.dvc``; None where there is none."""
    try:
        return yaml.safe_load(pointer.read_text(encoding="utf-8"))["outs"][0]["md5"]
    except (OSError, KeyError, IndexError, TypeError, yaml.YAMLError):
        return None
