"""What the store of a view is to hold, and what of it is there."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path

import pandas as pd

from ..config import Params, Paths
from ..config.keys import code_key
from ..system.errors import InputError, StaleError
from ..system.processes import cores
from .plan import plan_rows
from .shards import Known, Source, Target, are_noted, find_known, targets
from .store import shard_name
from .view import BuiltView
from .views import build_view


@dataclass
class Update:
    """A view's rows, planned and found.

    Parameters
    ----------
    view : BuiltView
    code : str
        Key of the code that its values depend on.
    plan : DataFrame
        See ``plan_rows``.
    store, staging : Path
        Where it is read, and where new shards are made.
    known : list of Known
        Shards that rows may be copied from.
    ready : list of Known
        Shards that are finished: under their name and with exactly their rows.
    waiting : list of Target
        Shards to write.
    """

    view: BuiltView
    code: str
    plan: pd.DataFrame
    store: Path
    staging: Path
    known: list[Known] = field(default_factory=list)
    ready: list[Known] = field(default_factory=list)
    waiting: list[Target] = field(default_factory=list)

    @classmethod
    def of(cls, paths: Paths, params: Params, name: str, *, verify: bool = True) -> Update:
        """Look at a view.

        Parameters
        ----------
        paths : Paths
        params : Params
        name : str
        verify : bool
            Compare the bytes of its shards with their hashes; False: nothing waits where notes
            name them all.

        Raises
        ------
        InputError
            Unknown view, wrong parameters, or no kept windows.
        StaleError
            DVC was given the key of other code.
        """
        view = build_view(params, name)
        code_key(paths, params, "views", name)  # refuses if DVC was given the key of other code
        code = code_key(paths, params, "rows", name)
        staging = paths.checkpoints / "features" / name
        update = cls(view, code, plan_rows(paths, view, code), paths.view(name), staging)
        wanted = targets(update.plan)
        if verify or not are_noted(wanted, update.store, staging):
            update._sort_out(wanted)
        return update

    def _sort_out(self, wanted: list[Target]) -> None:
        self.known = find_known(self.store, self.staging, cores())
        by_rows = {(shard.path.name, shard.keys): shard for shard in self.known}
        for target in wanted:
            found = by_rows.get((shard_name(target.number), target.keys))
            if found is None:
                self.waiting.append(target)
            else:
                self.ready.append(found)
        others = {shard.path for shard in self.known} - {shard.path for shard in self.ready}
        put_by = {path: self._put_by(path) for path in others if path.parent == self.staging}
        self.known = [replace(s, path=put_by.get(s.path, s.path)) for s in self.known]

    @staticmethod
    def _put_by(path: Path) -> Path:
        """Rename a shard of other rows, which are copied while one of its name is written."""
        return path.rename(path.with_name(f"earlier-{path.name}"))

    @property
    def source(self) -> Source:
        """Where its shards are written, and rows copied from."""
        return Source(self.staging, self.known, self.view.shape)


def stale_others(paths: Paths, params: Params, own: str) -> Iterator[Update]:
    """Other views of the recipe that lack rows; if one cannot be read, its own stage says why."""
    for name in params.views:
        with suppress(InputError, StaleError):
            if name != own:
                update = Update.of(paths, params, name, verify=False)
                if update.waiting:
                    yield update
