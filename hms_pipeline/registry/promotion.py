"""Moving the champion: verified first, written down before and after, undone by rollback."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from ..system.errors import InputError, StaleError
from ..tracking.store import CHAMPION
from .versions import Registry, facts_of

if TYPE_CHECKING:
    from mlflow.entities.model_registry import ModelVersion

log = logging.getLogger(__name__)


def promote(registry: Registry, version: ModelVersion, reason: str, kind: str) -> None:
    """Make a version the champion.

    Everything that can refuse is checked first: the store and the ledger by ``Registry.changing``,
    the files here. Then the intent is written down, and the alias moves in one transaction. If it
    does not move, the ledger says so. Once it has moved, no later failure undoes the promotion.

    Parameters
    ----------
    registry : Registry
        From ``Registry.changing``.
    version : ModelVersion
    reason : str
    kind : str
        ``gate``, ``manual`` or ``rollback``.

    Raises
    ------
    InputError
        The version does not verify, or no reason is given.
    """
    if not reason.strip():
        raise InputError("A promotion needs a reason, but got none. Give --reason.")
    registry.verify(version)
    before = registry.champion()
    facts = {
        "kind": kind,
        "from": before,
        "to": int(version.version),
        "reason": reason,
        "content_hash": version.tags.get("content_hash"),
        "from_networks": registry.networks(before),
        "files_sha256": version.tags.get("files_sha256"),
    }
    registry.ledger.append("intent", **facts)
    _move(registry, facts)
    _commit(registry, facts)


def _move(registry: Registry, facts: Mapping[str, Any]) -> None:
    registry.decisions.check()
    try:
        registry.client.set_registered_model_alias(registry.model, CHAMPION, str(facts["to"]))
    except Exception:  # every store has its own errors, and the alias may have moved before
        if registry.champion() != facts["to"]:
            registry.ledger.append("abort", **facts, note="the alias could not be moved")
            raise


def _commit(registry: Registry, facts: Mapping[str, Any]) -> None:
    """Write the commit; if it cannot be written, the registry's next change writes it."""
    try:
        registry.decisions.check()
        registry.mark(facts)
        registry.ledger.append("commit", **facts)
    except StaleError:
        _put_right(registry, facts)
    except Exception as err:  # errors of the store or the disk
        log.warning(
            "Version %s is the champion, but that could not be written down everywhere (%s). The"
            " next command that changes the registry does it.", facts["to"], err,
        )  # fmt: skip


def _put_right(registry: Registry, facts: Mapping[str, Any]) -> None:
    """Undo an alias' move that came after the lock was lost, unless the ledger has it by now.

    Raises
    ------
    StaleError
        Others decided meanwhile; the champion is the one that the ledger names.
    """
    with Registry.of(registry.paths, registry.client).held() as present:
        champions = present.ledger.champions()
        if champions[-1:] == [facts["to"]]:
            return
        if present.champion() == facts["to"] and champions:
            present.client.set_registered_model_alias(present.model, CHAMPION, str(champions[-1]))
        elif present.champion() == facts["to"]:
            present.client.delete_registered_model_alias(present.model, CHAMPION)
        raise StaleError(
            f"Version {facts['to']} is not the champion, for another process decided meanwhile; the"
            f" champion is {present.champion()}. Run the command again."
        )


def refuse(
    registry: Registry, version: ModelVersion, reasons: Sequence[str], judged_by: str
) -> None:
    """Write down that a version did not become champion, and by which thresholds."""
    registry.ledger.append(
        "refuse",
        **facts_of(version),
        champion=registry.champion(),
        reasons=list(reasons),
        judged_by=judged_by,
    )


def predecessor(registry: Registry) -> int:
    """The version that ``rollback`` would go to.

    Raises
    ------
    InputError
        There is none left.
    """
    current = registry.champion()
    there = {int(version.version) for version in registry.versions()}
    for version in reversed(registry.ledger.succession()):
        if version != current and version in there:
            return version
    raise InputError(
        f"A rollback needs an earlier champion, but {registry.model} has none left. Promote a"
        " version by hand: hms promote VERSION."
    )


def rollback(registry: Registry, reason: str) -> int:
    """Move the champion back to its predecessor and give that version."""
    version = registry.get(predecessor(registry))
    promote(registry, version, reason, "rollback")
    return int(version.version)
