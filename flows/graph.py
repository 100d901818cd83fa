"""The pipeline's graph as DVC states it, what of it is out of date, and which part is asked for."""

from __future__ import annotations

import os
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

from hms_pipeline.system.errors import InputError
from hms_pipeline.system.quiet import keep_quiet

from .dvc_process import COMMAND, repro
from .environment import captured, stage_environment

KEYS = "keys"  # the stage whose output tells DVC of the code


@dataclass(frozen=True)
class Graph:
    """Stages in an order in which every stage follows its parents.

    Parameters
    ----------
    parents : dict of str to tuple of str
        Stage → the stages that it reads from, all of them keys.
    changed : dict of str to str
        Stage that is out of date → why, judged by the files that are there now.
    commands : dict of str to str
        Stage → its command; empty for data.
    """

    parents: Mapping[str, tuple[str, ...]]
    changed: Mapping[str, str]
    commands: Mapping[str, str]

    @property
    def stages(self) -> tuple[str, ...]:
        """Names of the graph's stages."""
        return tuple(self.parents)

    def ancestors(self, stage: str) -> set[str]:
        """All stages that ``stage`` depends on, directly or not."""
        found: set[str] = set()
        waiting = list(self.parents[stage])
        while waiting:
            parent = waiting.pop()
            if parent not in found:
                found.add(parent)
                waiting += self.parents[parent]
        return found

    def depths(self) -> dict[str, int]:
        """Length of the longest chain of stages that waits for each stage."""
        depths = dict.fromkeys(self.parents, 0)
        for stage in reversed(self.stages):
            for parent in self.parents[stage]:
                depths[parent] = max(depths[parent], depths[stage] + 1)
        return depths


def has_keys(root: Path) -> bool:
    """Whether the graph has a stage that writes the keys of the code."""
    path = root / "dvc.yaml"
    return path.exists() and f"\n  {KEYS}:\n" in path.read_text(encoding="utf-8")


def write_keys(root: Path) -> None:
    """Run the stage that writes the keys of the code.

    Raises
    ------
    InputError
        It fails.
    """
    done = captured([*COMMAND, *repro(KEYS)], root, stage_environment())
    if done.returncode:
        last = " ".join((done.stderr.strip() or done.stdout.strip()).splitlines()[-1:])
        raise InputError(f"Stage {KEYS!r} failed: {last}")


def read_graph(root: Path) -> Graph:
    """Read the graph and its status from the DVC repository at ``root``.

    Raises
    ------
    InputError
        There is no DVC repository, or dvc.yaml or dvc.lock is not valid.
    """
    keep_quiet()
    import networkx
    from dvc.exceptions import DvcException
    from dvc.repo import Repo

    try:
        with Repo(str(root), _wait_for_lock=True) as repo:
            edges = repo.index.graph  # A -> B: A depends on B
            names = {stage: _name(stage, root) for stage in edges}
            order = list(
                networkx.lexicographical_topological_sort(edges.reverse(copy=False), key=names.get)
            )
            parents = {
                names[stage]: tuple(sorted(names[parent] for parent in edges.successors(stage)))
                for stage in order
            }
            commands = {names[stage]: str(stage.cmd or "") for stage in order}
            status = repo.status()
            changed = {
                names[stage]: describe(status[stage.addressing])
                for stage in order
                if stage.addressing in status
            }
    except DvcException as err:
        found = " ".join(str(err).split()).rstrip(".")
        advice = "Correct it, or run in the project's root."
        if "dvc.lock" in found:
            advice = "Take the last commit's: git checkout dvc.lock"
        raise InputError(
            f"A DVC repository with a valid dvc.yaml and dvc.lock is needed in {root.name}/, but:"
            f" {found}. {advice}"
        ) from None
    return Graph(parents, changed, commands)


def _name(stage: Any, root: Path) -> str:
    """A stage's name as `dvc repro` takes it in the repository's root."""
    file = os.path.relpath(stage.path, root)
    name = getattr(stage, "name", None)
    if name is None:
        return file
    return name if file == "dvc.yaml" else f"{file}:{name}"


def describe(reasons: Sequence[str | Mapping[str, Mapping[str, str]]]) -> str:
    """DVC's reasons for a stage being out of date, on one line."""
    parts = []
    for reason in reasons:
        if isinstance(reason, str):
            parts.append(reason)
            continue
        for what, entries in reason.items():
            parts.append(f"{what}: {', '.join(str(name) for name in entries)}")
    return "; ".join(parts)


def match(stages: Collection[str], wanted: Sequence[str]) -> list[str]:
    """Stages named by names, groups (``train``) or patterns (``train@*-0``), in graph order.

    Raises
    ------
    InputError
        A name fits no stage.

    Examples
    --------
    >>> match(["split", "train@a-0", "train@b-0"], ["train"])
    ['train@a-0', 'train@b-0']
    """
    chosen = set()
    for name in wanted:
        fits = {s for s in stages if name in (s, s.partition("@")[0]) or fnmatchcase(s, name)}
        if not fits:
            raise InputError(
                f"Unknown stage {name!r}. Choose one of {sorted(stages)}, a group such as 'train',"
                " or a pattern such as 'train@*-0'."
            )
        chosen |= fits
    return [stage for stage in stages if stage in chosen]


def select(
    graph: Graph, only: Sequence[str] | None = None, until: Sequence[str] | None = None
) -> list[str]:
    """Part of the graph to run: all, ``only`` these, or these with everything before them."""
    if only and until:
        raise InputError(
            f"Either only or until is needed, but both came: {only}, {until}. Leave one out."
        )
    if only:
        return match(graph.stages, only)
    if not until:
        return list(graph.stages)
    ends = match(graph.stages, until)
    chosen = set(ends).union(*(graph.ancestors(stage) for stage in ends))
    return [stage for stage in graph.stages if stage in chosen]
