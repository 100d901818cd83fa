"""CPU and GPU slots: Prefect's global concurrency limits, held by leases that a crash frees.

``prefect.concurrency.sync.concurrency`` does not tell which lease it holds. Here the leases are
written down, so that the run after a killed one gives them back at once instead of waiting until
they expire.
"""

from __future__ import annotations

import itertools
import logging
import os
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from uuid import UUID

import httpx
from prefect.client.orchestration import SyncPrefectClient, get_client
from prefect.client.schemas.actions import (
    GlobalConcurrencyLimitCreate,
    GlobalConcurrencyLimitUpdate,
)
from prefect.exceptions import ObjectAlreadyExists, ObjectNotFound
from prefect.settings import PREFECT_CLIENT_MAX_RETRIES, temporary_settings

from hms_pipeline.config.retrain import RetrainParams
from hms_pipeline.system.errors import InputError

log = logging.getLogger(__name__)

LIMITS = {"cpu": "hms-cpu", "gpu": "hms-gpu"}
LEASE_S = 60.0
AWAY_S = 300.0  # how long a server may be away while a stage waits for a slot
POLL_S = (0.1, 2.0)  # first and longest pause between two attempts to get a slot


@dataclass(frozen=True)
class Slots:
    """How many slots this machine offers, and its GPUs as CUDA_VISIBLE_DEVICES names them."""

    cpu: int
    gpu: int
    gpus: tuple[str, ...] = ()

    def visible(self, taken: Sequence[int]) -> dict[str, str]:
        """Variables that show a process the GPUs behind the GPU slots that it took."""
        if not taken or not self.gpus:
            return {}
        chosen = sorted({self.gpus[slot % len(self.gpus)] for slot in taken})
        return {"CUDA_VISIBLE_DEVICES": ",".join(chosen)}


class FreeSlots:
    """The free slots of one engine; GPU slots are numbered, so that each belongs to one GPU."""

    def __init__(self, slots: Slots) -> None:
        self._cpu, self._gpu = slots.cpu, deque(range(slots.gpu))

    def has(self, cpu: int, gpu: int) -> bool:
        """Whether so many are free."""
        return cpu <= self._cpu and gpu <= len(self._gpu)

    def take(self, cpu: int, gpu: int) -> tuple[int, ...]:
        """Take so many; return the numbers of the GPU slots."""
        self._cpu -= cpu
        return tuple(self._gpu.popleft() for _ in range(gpu))

    def give(self, cpu: int, gpu: Sequence[int]) -> None:
        """Give back what ``take`` took."""
        self._cpu += cpu
        self._gpu.extend(gpu)


def machine_slots(params: RetrainParams) -> Slots:
    """Slots by the recipe, or by what the machine has."""
    cpu = params.cpu_slots or len(os.sched_getaffinity(0))
    gpus = find_gpus()
    return Slots(cpu, len(gpus) if params.gpu_slots is None else params.gpu_slots, gpus)


def find_gpus() -> tuple[str, ...]:
    """GPUs that stages may use, found without loading a framework."""
    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    if visible is not None:
        return tuple(name.strip() for name in visible.split(",") if name.strip() not in ("", "-1"))
    devices = Path("/proc/driver/nvidia/gpus")
    count = len(list(devices.iterdir())) if devices.is_dir() else 0
    return tuple(str(index) for index in range(count))


def ensure_limits(slots: Slots, *, private: bool) -> tuple[Slots, list[str]]:
    """Create the limits on the Prefect server where they are missing.

    Parameters
    ----------
    slots : Slots
        Limits to create. An existing limit stays as an operator set it, and counts.
    private : bool
        The server is this process's own temporary one, over a database of earlier temporary
        ones: the limits are set, and slots that killed runs kept are freed.

    Returns
    -------
    slots : Slots
        What may be used: the lower of ``slots`` and the limits.
    remarks : list of str
        Sentences about limits that differ from ``slots``.

    Raises
    ------
    InputError
        An existing limit is too low or switched off.
    """
    remarks = []
    usable = {}
    with get_client(sync_client=True) as client:
        for kind, name in LIMITS.items():
            wanted = usable[kind] = getattr(slots, kind)
            try:
                limit = client.read_global_concurrency_limit_by_name(name)
            except ObjectNotFound:
                _create(client, name, wanted)
                continue
            if private:
                client.update_global_concurrency_limit(
                    name, GlobalConcurrencyLimitUpdate(limit=wanted, active_slots=0, active=True)
                )
                continue
            if wanted and (limit.limit < 1 or not limit.active):
                raise InputError(
                    f"An active concurrency limit {name!r} of at least 1 is needed, but the Prefect"
                    f" server has {limit.limit} (active: {limit.active}). Set it: prefect gcl"
                    f" update {name} --limit {wanted} --enable."
                )
            usable[kind] = min(wanted, limit.limit)
            if limit.limit != wanted:
                remarks.append(
                    f"Limit {name!r} is {limit.limit} on the Prefect server and {wanted} by the"
                    " recipe or machine; the lower one counts."
                )
    return Slots(**usable, gpus=slots.gpus), remarks


def _create(client: SyncPrefectClient, name: str, limit: int) -> None:
    try:
        client.create_global_concurrency_limit(GlobalConcurrencyLimitCreate(name=name, limit=limit))
    except ObjectAlreadyExists:
        return


@contextmanager
def hold(cpu: int, gpu: int, leases: Path, stopping: Callable[[], bool]) -> Iterator[None]:
    """Hold slots of the limits, waiting for them; CPU first, so that no two holders block.

    Parameters
    ----------
    cpu, gpu : int
        Numbers of slots.
    leases : Path
        Folder where held leases are written down.
    stopping : callable
        Ends the wait when true.
    """
    with ExitStack() as stack:
        for kind, count in (("cpu", cpu), ("gpu", gpu)):
            if count:
                stack.enter_context(_hold_one(LIMITS[kind], count, leases, stopping))
        yield


@contextmanager
def _hold_one(name: str, count: int, leases: Path, stopping: Callable[[], bool]) -> Iterator[None]:
    with (
        temporary_settings({PREFECT_CLIENT_MAX_RETRIES: 0}),
        get_client(sync_client=True) as client,
    ):
        lease = _acquire(client, name, count, stopping)
        note = leases / str(lease)
        leases.mkdir(parents=True, exist_ok=True)
        note.touch()
        done = threading.Event()
        renewer = threading.Thread(target=_renew, args=(lease, done), daemon=True)
        renewer.start()
        try:
            yield
        finally:
            done.set()
            _release(client, lease)
            note.unlink(missing_ok=True)


def _acquire(
    client: SyncPrefectClient, name: str, count: int, stopping: Callable[[], bool]
) -> UUID:
    """Wait for slots. A server on sqlite answers "busy" to calls that meet: ask again soon."""
    away_since = None
    for pause in _pauses():
        if stopping():
            raise InterruptedError(f"Stopped while waiting for {name}.")
        try:
            answer = client.increment_concurrency_slots_with_lease(
                names=[name], slots=count, mode="concurrency", lease_duration=LEASE_S
            ).json()
        except httpx.HTTPError as err:
            code = err.response.status_code if isinstance(err, httpx.HTTPStatusError) else None
            if code not in (None, httpx.codes.LOCKED, httpx.codes.SERVICE_UNAVAILABLE):
                raise
            away_since = (away_since or time.monotonic()) if code is None else None
            if away_since and time.monotonic() - away_since > AWAY_S:
                raise
            time.sleep(pause)
            continue
        if not answer["limits"]:
            raise InputError(
                f"The concurrency limit {name!r} is needed, but the Prefect server has none."
                f" Create it: prefect gcl create {name} --limit {count}."
            )
        return UUID(answer["lease_id"])
    raise RuntimeError("unreachable: pauses never end")


def _pauses() -> Iterator[float]:
    pause = POLL_S[0]
    while True:
        yield pause
        pause = min(2 * pause, POLL_S[1])


def _renew(lease: UUID, done: threading.Event) -> None:
    """Renew until done. A server that is away for longer than a lease does not end the stage."""
    with get_client(sync_client=True) as client:
        while not done.wait(LEASE_S / 3):
            try:
                client.renew_concurrency_lease(lease, LEASE_S)
            except Exception as err:
                log.warning("Lease of a slot not renewed: %s", err)


def _release(client: SyncPrefectClient, lease: UUID) -> None:
    """Give slots back; where the server stays away, the lease expires by itself."""
    for pause in (*itertools.islice(_pauses(), 8), None):
        try:
            client.release_concurrency_slots_with_lease(lease)
            return
        except Exception as err:
            if pause is None:
                log.warning("Slot not given back, it frees itself in %.0f s: %s", LEASE_S, err)
            else:
                time.sleep(pause)


def release_left(leases: Path) -> int:
    """Give back the slots of a run that was killed; returns how many."""
    notes = list(leases.glob("*-*")) if leases.is_dir() else []
    if notes:
        with get_client(sync_client=True) as client:
            for note in notes:
                _release(client, UUID(note.name))
                note.unlink(missing_ok=True)
    return len(notes)
