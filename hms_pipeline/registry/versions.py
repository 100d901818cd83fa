"""Versions of the registered model: found by content, created whole, verified by hash."""

from __future__ import annotations

import json
import logging
import re
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

from ..config import Paths
from ..system.errors import InputError
from ..system.files import atomic, flush
from ..system.locks import locked
from ..tracking.store import CHAMPION, experiment_id, folder_of, is_own, open_client, open_to_write
from .decisions import Decisions, create_model, search, unless_absent
from .ledger import Ledger
from .package import check_model

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities.model_registry import ModelVersion

log = logging.getLogger(__name__)

LOCK, TICKET = "registry.lock", "registry.ticket"
ABOUT = "Six probabilities for a 50 s window of ICU EEG. Research use."
STAGING = ".staging"
ROLLED_BACK = "rolled_back"  # a version's tag: why it was rolled back


@dataclass(frozen=True)
class Registry:
    """The registered model in one MLflow store.

    Parameters
    ----------
    paths : Paths
    client : MlflowClient
    decisions : Decisions
        The lock that all machines see; ``decisions.check()`` goes before every step that a process
        without it must not take.
    ledger : Ledger
    """

    paths: Paths
    client: MlflowClient
    decisions: Decisions
    ledger: Ledger

    @property
    def model(self) -> str:
        """Name of the registered model."""
        return self.paths.model

    @classmethod
    def open(cls, paths: Paths) -> Registry:
        """For reading; change things only inside ``changing``."""
        return cls.of(paths, open_client(paths))

    @classmethod
    def of(cls, paths: Paths, client: MlflowClient) -> Registry:
        """As ``open``, with a client that is there."""
        store = Decisions(client)
        file = paths.ledger if is_own(paths) else None
        return cls(paths, client, store, Ledger(file, paths.model, store))

    @classmethod
    @contextmanager
    def changing(cls, paths: Paths) -> Iterator[Registry]:
        """Under the registry's lock, with what a killed process left finished first.

        A file lock lets in one process of the checkout, the lock in the store one checkout.

        Raises
        ------
        InputError, OSError
            The store or the ledger takes no changes; nothing was changed.
        StaleError
            The lock was lost on the way; what the ledger does not name by then is not done.
        """
        with locked(paths.mlruns / LOCK), cls.of(paths, open_to_write(paths)).held() as registry:
            yield registry

    @contextmanager
    def held(self) -> Iterator[Registry]:
        """The store's part of ``changing``; call it under the checkout's lock."""
        with self.decisions.alone(self.paths.mlruns / TICKET):
            if not is_own(self.paths) and not self.ledger.lines:
                self.ledger.lines.extend(self._former_lines())
            self.ledger.catch_up()
            self._create_model()
            self._recover()
            try:
                yield self
            finally:
                shutil.rmtree(self.staging, ignore_errors=True)

    def _former_lines(self) -> list[bytes]:
        """A server's ledger as an earlier release kept it: a file of the run of its name."""
        name = self.paths.ledger.stem
        experiment = experiment_id(self.client, self.paths)
        runs = self.client.search_runs(
            [experiment], f"tags.`hms.kind` = '{name}'", order_by=["attributes.start_time ASC"]
        )
        for run in (run.info.run_id for run in runs):
            if any(file.path == f"{name}.jsonl" for file in self.client.list_artifacts(run)):
                with TemporaryDirectory() as folder:
                    file = self.client.download_artifacts(run, f"{name}.jsonl", folder)
                    data = Path(file).read_bytes()
                # A line that was cut off does not count.
                return data[: data.rfind(b"\n") + 1].splitlines()
        return []

    @property
    def staging(self) -> Path:
        """Where a version is put together, on the disk where it will lie."""
        return self.paths.mlruns / STAGING

    @property
    def fetched(self) -> Path:
        """Copies of versions whose files lie on another machine."""
        return self.paths.mlruns / "fetched"

    def _create_model(self) -> None:
        with unless_absent():
            self.client.get_registered_model(self.model)
            return
        create_model(self.client, self.model, ABOUT)

    def _recover(self) -> None:
        """Finish an intent of a killed process: commit it if the alias has moved, else abort it."""
        shutil.rmtree(self.staging, ignore_errors=True)
        intent = self.ledger.pending()
        if intent is None:
            return
        done = self.champion() == intent["to"]
        facts = {
            key: intent[key]
            for key in ("kind", "from", "to", "reason", "content_hash", "from_networks")
        }
        if done:
            self.mark(facts)
        self.ledger.append(
            "commit" if done else "abort",
            **facts,
            note="finished after a kill" if done else "a kill came before the alias moved",
        )

    def mark(self, facts: Mapping[str, Any]) -> None:
        """Tag the version that a rollback left, and remove this tag from one that is champion."""
        if facts["kind"] == "rollback" and facts["from"] is not None:
            self.client.set_model_version_tag(
                self.model, str(facts["from"]), ROLLED_BACK, facts["reason"]
            )
        if ROLLED_BACK in self.get(facts["to"]).tags:
            self.client.delete_model_version_tag(self.model, str(facts["to"]), ROLLED_BACK)

    def versions(self, model: str | None = None) -> list[ModelVersion]:
        """All versions of the model, or of another, newest first."""
        return search(self.client, f"name = '{model or self.model}'")[::-1]

    def find(self, content_hash: str) -> ModelVersion | None:
        """The newest version with this content."""
        found = (v for v in self.versions() if v.tags.get("content_hash") == content_hash)
        return next(found, None)

    def get(self, version: int | str) -> ModelVersion:
        """One version.

        Raises
        ------
        InputError
            There is none of that number.
        """
        with unless_absent():
            return self.client.get_model_version(self.model, str(version))
        numbers = sorted(int(v.version) for v in self.versions())
        choice = f"Choose one of {numbers}" if numbers else "Register one first: dvc repro"
        raise InputError(f"{self.model} has no version {version}. {choice}.")

    def named(self, name: int | str | None) -> ModelVersion:
        """The version that a user names; the champion where that is None.

        Parameters
        ----------
        name : int, str or None
            ``3``, ``"3"``, ``models:/hms-ensemble/3`` or ``models:/hms-ensemble@champion``.

        Raises
        ------
        InputError
            It names no version of this model.
        """
        uri = f"models:/{self.model}"
        found = re.fullmatch(
            rf"({uri}/)?(?P<number>[0-9]{{1,9}})|{uri}@(?P<alias>.+)",
            f"{uri}@{CHAMPION}" if name is None else str(name),
        )
        if found is None:
            raise InputError(
                f"A version of {self.model} is needed, but got {str(name)!r}. Give its number,"
                f" {uri}/NUMBER or {uri}@{CHAMPION}."
            )
        if found["number"]:
            return self.get(int(found["number"]))
        aliases = self.aliases()
        if found["alias"] not in aliases:
            raise InputError(
                f"{self.model} has no alias {found['alias']!r}, but {sorted(aliases)}. Register a"
                " model first: dvc repro."
            )
        return self.get(aliases[found["alias"]])

    def aliases(self) -> dict[str, int]:
        """Alias → version; a store that cannot answer raises, so that no champion seems absent."""
        found: Mapping[str, str] = {}
        with unless_absent():
            found = self.client.get_registered_model(self.model).aliases
        return {alias: int(version) for alias, version in found.items()}

    def champion(self) -> int | None:
        """The champion's version."""
        return self.aliases().get(CHAMPION)

    def networks(self, version: int | None) -> str | None:
        """Hash of a version's networks, whatever code runs them."""
        return None if version is None else self.get(version).tags.get("networks_hash")

    def folder(self, version: ModelVersion) -> Path:
        """The version's model folder; fetched where the store is elsewhere."""
        found = folder_of(self.paths, version.run_id, version.source)
        if found is not None:
            return found / "model" if is_own(self.paths) else found
        copy = self.fetched / fetched_as(version)
        if not copy.exists():
            with locked(self.fetched / f"{copy.name}.lock"):
                if not copy.exists():
                    _fetch(version.source, copy)
        return copy / "model"

    def verify(self, version: ModelVersion) -> Path:
        """The version's model folder, every file as it was registered.

        The hash comes from the ledger, so that files, lists and tags that were rewritten together
        are noticed, too.

        Raises
        ------
        InputError
            Something is missing or was changed.
        """
        try:
            return self._verified(version)
        except InputError as err:
            raise InputError(
                f"{self.model} version {version.version} does not verify. {err}"
            ) from None

    def _verified(self, version: ModelVersion) -> Path:
        self.ledger.need_whole()
        recorded = self.ledger.files_hash(int(version.version))
        if recorded is None:
            raise InputError(
                "The ledger holds the hash of every version's files, but not of this one's: it was"
                " registered by other means. Use another version, or register again."
            )
        if version.tags.get("files_sha256") != recorded:
            raise InputError(
                "Its tag files_sha256 needs to be the one that the ledger holds, but it was"
                " changed. Use another version, or register again."
            )
        folder = self.folder(version)
        try:
            check_model(folder, recorded)
        except (InputError, FileNotFoundError):
            copy = self.fetched / fetched_as(version)
            if folder.parent != copy:
                raise
            with locked(self.fetched / f"{copy.name}.lock"):
                self._fetch_again(version, copy, recorded)
        return folder

    def _fetch_again(self, version: ModelVersion, copy: Path, recorded: str) -> None:
        """Replace a damaged copy, unless another process has done so meanwhile."""
        try:
            check_model(copy / "model", recorded)
        except (InputError, FileNotFoundError) as err:
            log.warning("The copy %s is damaged and fetched again. %s", copy, err)
            _fetch(version.source, copy)
            check_model(copy / "model", recorded)

    def create(
        self, run_id: str, model: Path, tags: Mapping[str, str], description: str = ""
    ) -> ModelVersion:
        """Move a finished model folder into a run's artifacts and register it.

        The version appears with all its tags at once, after its files are in place.
        """
        artifacts = self.client.get_run(run_id).info.artifact_uri
        target = folder_of(self.paths, run_id, artifacts)
        if target is None:
            self.client.log_artifacts(run_id, str(model), "model")
        else:
            target.mkdir(parents=True, exist_ok=True)
            shutil.move(model, target / "model")  # copies where the store is on another disk
            flush(target)
        self.decisions.check()
        return self.client.create_model_version(
            self.model,
            f"{artifacts}/model",
            run_id=run_id,
            tags=dict(tags),
            description=description,
        )

    def twins(self, version: ModelVersion) -> list[ModelVersion]:
        """Other versions of its run; a request that is repeated after a lost answer makes them."""
        found = search(self.client, f"name = '{self.model}' and run_id = '{version.run_id}'")
        return [other for other in found if int(other.version) != int(version.version)]


def _fetch(source: str, copy: Path) -> None:
    from mlflow.artifacts import download_artifacts

    with atomic(copy) as temporary:
        temporary.mkdir()
        download_artifacts(artifact_uri=source, dst_path=str(temporary))


def fetched_as(version: ModelVersion) -> str:
    """Name of a version's copy; two servers count alike, but no run has another's id."""
    return f"{version.name}-{version.version}-{version.run_id}"


def names(aliases: Mapping[str, int], version: int) -> list[str]:
    """A version's aliases."""
    return sorted(alias for alias, to in aliases.items() if to == version)


def facts_of(version: ModelVersion) -> dict[str, Any]:
    """What every line of the ledger says of a version."""
    return {"version": int(version.version), "content_hash": version.tags.get("content_hash")}


def reasons_of(tags: Mapping[str, str]) -> list[str]:
    """The verdict's reasons from a version's tags."""
    return json.loads(tags.get("reasons", "[]"))
