"""Runs the graph that DVC states: every ready stage is one Prefect task and one DVC process.

It works on any DVC repository. The engine decides which stage may run, and when. DVC decides
whether the stage has to run, and the stage's command does the work. Where one process is to train
all folds of a member, the stage itself does. Otherwise they are trained before it, each batch as a
task of its own, and the stage finds them finished.
"""

from __future__ import annotations

import contextlib
import json
import time
from collections import Counter, deque
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from queue import SimpleQueue

from prefect import task
from prefect.cache_policies import NO_CACHE
from prefect.futures import PrefectFuture
from prefect.logging import get_run_logger
from prefect.states import Cancelled, Completed, State

from hms_pipeline.config.retrain import RetrainParams, StageNeeds
from hms_pipeline.system.errors import InputError, StaleError
from hms_pipeline.system.progress import Progress, silent

from .dvc_process import (
    ADVICE,
    EXIT,
    OUTPUTS_ALONE,
    RAN,
    UP_TO_DATE,
    order_of,
    order_to_train,
    server,
    verdict_of,
)
from .environment import Log, run_folder, stage_environment
from .graph import Graph, has_keys
from .handout import Batch, Handout
from .processes import Children, mark
from .recovery import clear_up
from .slots import FreeSlots, Slots, hold
from .trainings import Trainings

FAILED, NOT_RUN = "Failed", "Not run"
TAIL = 20
HISTORY = "history.jsonl"  # under .run: what became of every stage that was handed to DVC


class StageError(RuntimeError):
    """A stage failed.

    Parameters
    ----------
    message : str
        What happened.
    permanent : bool
        Whether running it again cannot help.
    """

    def __init__(self, message: str, permanent: bool = False) -> None:
        super().__init__(message)
        self.permanent = permanent


@dataclass(frozen=True)
class Job:
    """What a task needs to run one stage, or a batch of its folds."""

    stage: str
    reason: str | None  # why it runs; None: it is up to date
    force: bool
    needs: StageNeeds
    env: Mapping[str, str] = field(repr=False)
    batch: Batch | None = None
    command: tuple[str, ...] = ()  # the batch's command
    folds: int = 0  # how many it trains
    gpu_slots: tuple[int, ...] = ()  # GPU slots that it holds while it runs

    @property
    def name(self) -> str:
        """The stage's name, or the batch's."""
        return self.batch.name if self.batch else self.stage


@dataclass
class Outcome:
    """How a stage ended."""

    stage: str
    state: str
    seconds: float = 0.0
    message: str = ""
    folds: int = 0  # how many were trained for this


@task(cache_policy=NO_CACHE, persist_result=False)
def run_stage(job: Job, engine: Engine) -> State:
    """Run one stage by DVC, or say that it is up to date."""
    log = get_run_logger()
    if job.reason is None:
        return Completed(name=UP_TO_DATE, message="Nothing that it reads has changed.")
    try:
        state, message = engine.execute(job, log)
    except (StageError, InterruptedError):
        if engine.children.stopping:
            return Cancelled(message=f"{job.name} was stopped with the run.")
        raise
    return Completed(name=state, message=message)


def children_of(root: Path) -> Children:
    """Processes that run a repository's stages; none runs yet."""
    return Children(server(has_keys(root)), root, stage_environment(**mark(root)))


class Engine:
    """Runs stages of one repository in parallel.

    Parameters
    ----------
    root : Path
        The DVC repository.
    params : RetrainParams
        Retries, needs and time limits.
    slots : Slots
        What may be used at the same time.
    children : Children
        What runs the stages.
    later : callable
        Gives variables for the stages, beside this process's; it may wait for them, and raise.
    early : collection of str
        Stages that run without these variables.
    progress : callable
        Called with ``(done, total)`` after every stage.
    """

    stages_train = True  # a stage trains its folds itself where a batch would hold all of them

    def __init__(
        self,
        root: Path,
        params: RetrainParams,
        slots: Slots,
        children: Children,
        *,
        later: Callable[[], Mapping[str, str]] = dict,
        early: Collection[str] = (),
        progress: Progress = silent,
    ) -> None:
        self.root = root
        self.params = params
        self.slots = slots
        self.children = children
        self.leases = run_folder(root) / "leases"
        self.env = mark(root)
        self.later, self.early = later, early
        self.progress = progress
        self.tried: set[str] = set()  # stages handed to DVC in this run

    def run(self, graph: Graph, stages: Sequence[str], forced: Sequence[str] = ()) -> list[Outcome]:
        """Run ``stages`` of the graph; those that wait for a failed one are not run.

        Returns
        -------
        list of Outcome
            One for every stage, in the order of ``stages``.
        """
        trainings = Trainings(self.root, dict(graph.commands), frozenset(forced))
        schedule = _Schedule(self, graph, stages, frozenset(forced), trainings)
        if forced or any(stage in graph.changed for stage in stages):
            self.children.serve()
        try:
            return schedule.run()
        except BaseException:
            self.children.stop()
            schedule.drain()
            raise

    def execute(self, job: Job, log: Log) -> tuple[str, str]:
        """Run one stage where this engine places it; here: on this machine, holding slots.

        Returns
        -------
        state, message : str
            What became of it.
        """
        with hold(job.needs.cpu, job.needs.gpu, self.leases, lambda: self.children.stopping):
            log.info("%s: %s", job.name, job.reason)
            return self.launch(job, log)

    def occupies(self, batch: Batch | None, needs: StageNeeds) -> tuple[int, int]:
        """CPU and GPU slots of this machine that a stage, or a batch of its folds, takes."""
        return needs.cpu, needs.gpu

    def at_once(self, needs: StageNeeds) -> int:
        """How many batches with such needs can run at the same time."""
        by_cpu = self.slots.cpu // needs.cpu
        return min(by_cpu, self.slots.gpu // needs.gpu) if needs.gpu else by_cpu

    def launch(self, job: Job, log: Log) -> tuple[str, str]:
        """Run one stage as a process of this machine.

        Returns
        -------
        state, message : str
            What became of it, by DVC's log.
        """
        env = {**job.env, **self.slots.visible(job.gpu_slots)}
        if job.command:
            order = order_to_train(job.command, env)
        else:
            order = order_of(job.stage, job.force, env)
        tail: deque[str] = deque(maxlen=TAIL)

        verdict: list[tuple[str, str]] = []

        def line(text: str) -> None:
            tail.append(text)
            verdict.extend(filter(None, [verdict_of(job.stage, text)]))
            if not ADVICE.match(text):
                log.info(text)

        again = job.name in self.tried
        self.tried.add(job.name)
        code, late = self.children.run(order, time_limit_s=job.needs.time_limit_s, line=line)
        if code == 0 and job.batch:
            return RAN, "Trained."
        if code == 0:
            if not verdict:
                raise StageError(
                    f"{job.name} ended well, but DVC did not say what became of it. Install the"
                    " release of DVC that requirements.lock names.",
                    permanent=True,
                )
            state, message = verdict[-1]
            if again and state == UP_TO_DATE:  # the stages that read it were run before
                return RAN, "An earlier attempt had finished it."
            return state, message
        for done in clear_up(self.root):
            log.warning(done)
        raise self._error(job, code, late, tail)

    def _error(self, job: Job, code: int, late: bool, tail: Sequence[str]) -> StageError:
        if late:
            return StageError(
                f"{job.name} was ended after its time limit of {job.needs.time_limit_s:.0f} s."
                " Raise retrain.stages in params.yaml if it needs longer."
            )
        last = "\n".join(tail)
        exits = EXIT.findall(last)
        shown = int(exits[-1]) if exits else code
        return StageError(f"{job.name} exited with {shown}:\n{last}", permanent=shown == 2)


class _Schedule:
    """The state of one ``Engine.run``; lives in the flow's main thread."""

    def __init__(
        self,
        engine: Engine,
        graph: Graph,
        stages: Sequence[str],
        forced: frozenset[str],
        trainings: Trainings,
    ) -> None:
        self.engine = engine
        self.graph = graph
        self.stages = tuple(stages)
        self.forced = forced
        self.trainings = trainings
        self.parents = {
            stage: [parent for parent in graph.parents[stage] if parent in set(stages)]
            for stage in stages
        }
        depths = graph.depths()
        readers = Counter(parent for parents in graph.parents.values() for parent in parents)
        self.waiting = sorted(stages, key=lambda stage: (-depths[stage], -readers[stage]))
        self.handout = Handout(1, fold_seconds(engine.root))
        self.folds_open: dict[str, int] = {}  # stage → folds that are not trained yet
        self.outcomes: dict[str, Outcome] = {}
        self.futures: dict[str, PrefectFuture] = {}
        self.jobs: dict[str, Job] = {}
        self.started: dict[str, float] = {}
        self.done: SimpleQueue[str] = SimpleQueue()
        self.free = FreeSlots(engine.slots)

    def run(self) -> list[Outcome]:
        while self.waiting or self.jobs or self.handout.waiting:
            self._give_up()
            self._hand_out_folds()
            for stage in list(self.waiting):
                self._start_if_possible(stage)
            while self._start_batch():
                pass
            if self.jobs:
                self._finish(self.done.get())
        return [self.outcomes[stage] for stage in self.stages]

    def drain(self, wait_s: float = 10.0) -> None:
        """Wait for the tasks of stopped children to end."""
        deadline = time.monotonic() + wait_s
        for name in list(self.jobs):
            self.futures[name].wait(timeout=max(0.0, deadline - time.monotonic()))

    def _ready(self, stage: str) -> bool:
        return all(parent in self.outcomes for parent in self.parents[stage])

    def _hand_out_folds(self) -> None:
        """Queue the folds that ready stages need before they can run themselves."""
        for stage in self.waiting:
            if stage in self.folds_open or not self._ready(stage):
                continue
            reason = self._reason(stage)
            if not reason or OUTPUTS_ALONE.fullmatch(reason):
                continue  # nothing that it reads has changed: DVC restores what is missing
            try:
                folds = self.trainings.missing(stage)
            except (InputError, StaleError, OSError):
                folds = []  # the stage itself says what is wrong
            self.folds_open[stage] = len(folds)
            if folds:
                self.handout.add(stage, folds, self.trainings.assumed_s())

    def _start_if_possible(self, stage: str) -> None:
        if not self._ready(stage) or self.folds_open.get(stage):
            return
        reason, needs = self._reason(stage), self._needs(stage)
        if self.folds_open.get(stage) == 0 and self.trainings.trains(stage):
            needs = needs.model_copy(update={"cpu": 1, "gpu": 0})  # it finds them finished
        engine = self.engine
        job = Job(stage, reason, stage in self.forced, needs, engine.env)
        if reason is None or self._fits(job):
            self.waiting.remove(stage)
            self._start(job, [self.futures[parent] for parent in self.parents[stage]])

    def _start_batch(self) -> bool:
        """Start a batch of folds if there are some and slots for it."""
        waiting = self.handout.waiting
        if not waiting:
            return False
        needs = {stage: self._needs(stage) for stage in waiting}
        fitting = [stage for stage in waiting if self._fits(self._batch_job(stage, needs[stage]))]
        if not fitting:
            return False
        self.handout.slots = max(1, self.engine.at_once(needs[fitting[0]]))
        batch = self.handout.take(fitting)
        if batch is None:
            return False
        job = self._batch_job(batch.stage, needs[batch.stage], batch)
        if self.engine.stages_train and self._is_whole(batch):
            self.waiting.remove(batch.stage)
            job = replace(job, batch=None, command=())
        self._start(job, [self.futures[parent] for parent in self.parents[batch.stage]])
        return True

    def _is_whole(self, batch: Batch) -> bool:
        """Whether a batch is all that its stage has to train, and the stage would train it."""
        first = batch.stage not in self.started and batch.stage not in self.forced
        return first and len(batch.folds) == self.folds_open[batch.stage]

    def _batch_job(self, stage: str, needs: StageNeeds, batch: Batch | None = None) -> Job:
        batch = batch or Batch(stage, ())
        limit = needs.time_limit_s * max(1, len(batch.folds))
        return Job(
            stage,
            self._reason(stage),
            force=False,
            needs=needs.model_copy(update={"time_limit_s": limit}),
            env=self.engine.env,
            batch=batch,
            command=tuple(self.trainings.command(stage, batch.folds)),
            folds=len(batch.folds),
        )

    def _fits(self, job: Job) -> bool:
        return self.free.has(*self.engine.occupies(job.batch, job.needs))

    def _needs(self, stage: str) -> StageNeeds:
        """Reduce needs to the slots that there are, so that no stage waits for ever."""
        needs, slots = self.engine.params.needs(stage), self.engine.slots
        return needs.model_copy(
            update={"cpu": min(needs.cpu, slots.cpu), "gpu": min(needs.gpu, slots.gpu)}
        )

    def _reason(self, stage: str) -> str | None:
        """Say why DVC is asked to run a stage; None: nothing that it reads can have changed."""
        if stage in self.forced:
            return "forced"
        moved = [p for p in self.parents[stage] if self.outcomes[p].state != UP_TO_DATE]
        if moved:
            return f"after {', '.join(moved[:3])}" + (" and others" if len(moved) > 3 else "")
        return self.graph.changed.get(stage)

    def _give_up(self) -> None:
        """Mark the stages that wait for a failed one as not run."""
        for stage in list(self.waiting):
            broken = [
                parent
                for parent in self.parents[stage]
                if parent in self.outcomes and self.outcomes[parent].state in (FAILED, NOT_RUN)
            ]
            if broken:
                self.waiting.remove(stage)
                self._conclude(Outcome(stage, NOT_RUN, message=f"{broken[0]} failed."))

    def _start(self, job: Job, after: Sequence[PrefectFuture]) -> None:
        engine, name = self.engine, job.name
        if job.reason is not None:
            if job.stage not in engine.early:
                engine.env.update(engine.later())  # the job's, too
            taken = self.free.take(*engine.occupies(job.batch, job.needs))
            job = replace(job, gpu_slots=taken)
        self.jobs[name] = job
        for begun in {name, job.stage}:
            self.started.setdefault(begun, time.monotonic())
        self.futures[name] = run_stage.with_options(
            name=job.stage,
            task_run_name=name.replace("{", "{{").replace("}", "}}"),
            retries=engine.params.retries,
            retry_delay_seconds=engine.params.retry_delay_s,
            retry_condition_fn=_worth_retrying,
        ).submit(job, engine, wait_for=after)  # type: ignore[call-overload]
        self.futures[name].add_done_callback(lambda future: self.done.put(name))

    def _finish(self, name: str) -> None:
        job = self.jobs.pop(name)
        if job.reason is not None:
            self.free.give(self.engine.occupies(job.batch, job.needs)[0], job.gpu_slots)
        self.futures[name].wait()
        state = self.futures[name].state
        seconds = time.monotonic() - self.started[name]
        found = (state.name or RAN) if state.is_completed() else FAILED
        if job.batch:
            self._finish_batch(job, found, seconds, state.message or "")
        else:
            self._conclude(Outcome(job.stage, found, seconds, state.message or "", job.folds))

    def _finish_batch(self, job: Job, found: str, seconds: float, message: str) -> None:
        stage = job.stage
        note(self.engine.root, Outcome(job.name, found, seconds, folds=job.folds))
        if found == FAILED:
            self.handout.drop(stage)
            if stage in self.waiting:
                self.waiting.remove(stage)
                self._conclude(Outcome(stage, FAILED, seconds, message))
        else:
            self.folds_open[stage] -= job.folds

    def _conclude(self, outcome: Outcome) -> None:
        self.outcomes[outcome.stage] = outcome
        if outcome.state != UP_TO_DATE:
            note(self.engine.root, outcome)
        self.engine.progress(len(self.outcomes), len(self.stages))


def note(root: Path, outcome: Outcome) -> None:
    """Write down what became of a stage or a batch of folds."""
    record = asdict(outcome) | {"seconds": round(outcome.seconds, 2)}
    del record["message"]
    with (run_folder(root) / HISTORY).open("a", encoding="utf-8") as stream:
        stream.write(json.dumps(record) + "\n")


def fold_seconds(root: Path) -> dict[str, float]:
    """What a fold of each stage took the last time it was trained here."""
    path = run_folder(root) / HISTORY
    seconds = {}
    for line in path.read_text(encoding="utf-8").splitlines() if path.exists() else ():
        with contextlib.suppress(ValueError):  # a kill may have cut it
            record = json.loads(line)
            if record.get("folds") and record["state"] == RAN:
                stage = record["stage"].partition(" ")[0]
                seconds[stage] = record["seconds"] / record["folds"]
    return seconds


def _worth_retrying(_task: object, _run: object, state: State) -> bool:
    """Whether running a stage again can help: not after bad input."""
    error = state.data
    return not (isinstance(error, StageError) and error.permanent)
