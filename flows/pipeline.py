"""The flows that bring the graph, or a part of it, up to date; prefect.yaml deploys them."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, replace
from functools import partial
from importlib import import_module
from pathlib import Path
from typing import Any, Literal

from prefect import flow
from prefect.client.orchestration import get_client
from prefect.logging import get_run_logger
from prefect.runtime import flow_run
from prefect.settings import PREFECT_API_URL
from prefect.states import Completed, Crashed, Failed, State

import hms_pipeline
from hms_pipeline.config import Paths, load_params
from hms_pipeline.config.keys import keys_stand
from hms_pipeline.config.retrain import RetrainParams
from hms_pipeline.system.errors import InputError
from hms_pipeline.tracking.runs import RETRAIN_RUN

from . import artifacts, exchange, notify
from .dashboard import show_dashboard
from .engine import FAILED, NOT_RUN, UP_TO_DATE, Engine, Outcome, children_of
from .environment import Log, paths_of, prepare, project_root, run_folder, uncollected
from .graph import KEYS, Graph, has_keys, match, read_graph, select, write_keys
from .lock import Held, exclusive
from .processes import Children, end_orphans
from .recovery import clear_up
from .slots import ensure_limits, machine_slots, release_left
from .trainings import HMS

REFUSED = "Refused"
ALWAYS = "always changed"
LEAVE_S = 10.0  # how long a cancelled run waits for what it began in MLflow
EARLY = ("data.dvc", "validate")  # need no such run, and little disk
HOOKS: Any = {"on_failure": [notify.on_failure], "on_crashed": [notify.on_failure]}


Where = Literal["local", "ray"]


# Prefect shows the descriptions in its form for a run, where they stand in Google's style.
@flow(name="retrain", **HOOKS)
def retrain(
    only: list[str] | None = None,
    until: list[str] | None = None,
    force: list[str] | bool | None = None,
    engine: Where = "local",
) -> State:
    """Bring the pipeline's graph up to date.

    Args:
        only: These stages alone: names, groups such as train, or patterns.
        until: These stages and everything that they depend on.
        force: These even if they are up to date; true: all that are chosen.
        engine: Where trainings run: here, or on the nodes of a Ray cluster.
    """
    return run_graph(project_root(), only, until, force, engine)


@flow(name="validate", **HOOKS)
def validate(force: bool = False) -> State:
    """Bring the validated data up to date.

    Args:
        force: Validate even if nothing changed.
    """
    return run_graph(project_root(), None, ["validate"], ["validate"] if force else None)


@flow(name="features", **HOOKS)
def features(views: list[str] | None = None, force: bool = False) -> State:
    """Bring the features of some or all views up to date, with what they depend on.

    Args:
        views: Names of views; none: all.
        force: Compute them even if they are up to date.
    """
    stages = [f"features@{view}" for view in views] if views else ["features"]
    return run_graph(project_root(), None, stages, stages if force else None)


@flow(name="train", **HOOKS)
def train(members: list[str] | None = None, force: bool = False, engine: Where = "local") -> State:
    """Bring trainings of some or all members up to date, with what they depend on.

    Args:
        members: Names of members; none: all.
        force: Train them even if they are up to date.
        engine: Where trainings run: here, or on the nodes of a Ray cluster.
    """
    stages = [f"train@{member}" for member in members] if members else ["train"]
    return run_graph(project_root(), None, stages, stages if force else None, engine)


@flow(name="ensemble", **HOOKS)
def ensemble(force: bool = False) -> State:
    """Bring the ensemble up to date, with what it depends on.

    Args:
        force: Fit it even if it is up to date.
    """
    return run_graph(project_root(), None, ["ensemble"], ["ensemble"] if force else None)


@flow(name="register", **HOOKS)
def register() -> State:
    """Register the ensemble and let the gate decide, after bringing it up to date."""
    return run_graph(project_root(), None, ["register"], None)


@dataclass(frozen=True)
class Plan:
    """What a run was asked for."""

    graph: Graph
    stages: list[str]
    forced: list[str]

    @property
    def stale(self) -> list[str]:
        """Stages that have something to do, leaving out those that run always."""
        changed = self.graph.changed
        return [
            stage
            for stage in self.stages
            if stage in self.forced or changed.get(stage, ALWAYS) != ALWAYS
        ]

    @property
    def touched(self) -> list[str]:
        """Stale stages and those that wait for one: they may have to run as well."""
        found = set(self.stale)
        for stage in self.graph.stages:
            if found.intersection(self.graph.parents[stage]):
                found.add(stage)
        return [stage for stage in self.stages if stage in found]


def run_graph(
    root: Path,
    only: Sequence[str] | None,
    until: Sequence[str] | None,
    force: Sequence[str] | bool | None,
    engine: str = "local",
) -> State:
    """Run a part of the graph, as the only one in this folder.

    Returns
    -------
    State
        ``Completed``, ``Failed``, or ``Refused`` where the input was wrong or another one runs.
    """
    root = root.resolve()
    log = get_run_logger()
    prepare(root)
    try:
        params = load_params(root / "params.yaml").retrain
        wait_s = params.queue_limit_s if params.when_busy == "queue" else 0.0
        with (
            exclusive(run_folder(root) / "retrain.lock", wait_s=wait_s, waiting=log.info) as held,
            children_of(root) as children,
        ):
            recover(root, held, log)
            held.record(flow_run=str(flow_run.get_id()))
            with uncollected():  # which loads DVC, and MLflow
                plan = make_plan(root, only, until, force, children.serve)
                plan = leave_out_register(paths_of(root), plan)
            state = run_plan(root, params, plan, engine, held, children)
            try:
                exchange.give(root, log)
            except InputError as err:
                log.error("%s", err)
                if state.is_completed():
                    return Failed(message=f"{state.message} But: {err}")
            return state
    except InputError as err:
        return Failed(name=REFUSED, message=str(err))


def make_plan(
    root: Path,
    only: Sequence[str] | None,
    until: Sequence[str] | None,
    force: Sequence[str] | bool | None,
    ahead: Callable[[], None] = lambda: None,
) -> Plan:
    """Read the graph and choose what is asked for; call ``ahead`` as soon as stages will run."""
    graph = read_present_graph(root, ahead)
    stages = [stage for stage in select(graph, only, until) if stage != KEYS]
    forced = stages if force is True else match(stages, list(force or []))
    return Plan(graph, stages, [stage for stage in forced if graph.commands[stage]])


def read_present_graph(root: Path, ahead: Callable[[], None] = lambda: None) -> Graph:
    """Read the graph, with the keys of the code as it is now.

    The stage that writes them goes first where they are others than ``keys.yaml`` states: DVC
    would compare those of an earlier run.
    """
    if not has_keys(root):
        return read_graph(root)
    paths = paths_of(root)
    if _runs_code_of(root) and keys_stand(paths, load_params(paths.params)):
        graph = read_graph(root)
        if graph.changed.get(KEYS, ALWAYS) == ALWAYS:
            return graph
    ahead()
    write_keys(root)
    return read_graph(root)


def _runs_code_of(root: Path) -> bool:
    """Whether this process has the code of the folder that it works in."""
    return Path(hms_pipeline.__file__).resolve().parents[1] == root


def leave_out_register(paths: Paths, plan: Plan) -> Plan:
    """Count stage `register` as up to date where it alone would run, and would change nothing.

    It always runs by DVC's word, for it has effects that DVC does not see.
    """
    stage = "register"
    alone = stage in plan.stages and not plan.stale and plan.graph.changed.get(stage) == ALWAYS
    if not (alone and plan.graph.commands[stage] == f"{HMS}{stage}"):
        return plan
    from hms_pipeline.registry.stage import is_up_to_date

    try:
        if not is_up_to_date(paths, load_params(paths.params)):
            return plan
    except Exception as err:  # the store's own among them; the stage will say it in its words
        get_run_logger().info("Stage %s has to look for itself: %s", stage, err)
        return plan
    changed = {name: why for name, why in plan.graph.changed.items() if name != stage}
    return replace(plan, graph=replace(plan.graph, changed=changed))


def run_plan(
    root: Path, params: RetrainParams, plan: Plan, engine_name: str, held: Held, children: Children
) -> State:
    """Run the chosen stages and show what came out."""
    log = get_run_logger()
    start = time.monotonic()
    paths = paths_of(root)
    slots, remarks = ensure_limits(machine_slots(params), private=not PREFECT_API_URL.value())
    for remark in remarks:
        log.warning(remark)
    log.info(
        "%d stages, %d out of date; %d CPU and %d GPU slots.",
        *(len(plan.stages), len(plan.stale), slots.cpu, slots.gpu),
    )
    outcomes: list[Outcome] = []
    beside = ThreadPoolExecutor(1)  # for what loads torch and MLflow, while the first stages run
    tracking = beside.submit(start_tracking, paths, plan, held, log)
    if plan.stale and "ensemble" in plan.stages:
        beside.submit(import_module, "hms_pipeline.report.retrain")  # for the end
    engine = make_engine(engine_name)(
        root,
        params,
        slots,
        children,
        later=lambda: {RETRAIN_RUN: run} if (run := tracking.result()) else {},
        early=() if paths.windows.exists() else EARLY,  # the disk's check reads validated windows
        progress=artifacts.progress_bar(len(plan.stages)),
    )
    tracking.add_done_callback(partial(_stop_if_refused, engine))
    try:
        outcomes = engine.run(plan.graph, plan.stages, plan.forced)
        run = tracking.result()
    finally:
        wait([tracking], timeout=LEAVE_S)  # a cancelled run does not wait for servers for long
        known = tracking.done() and not tracking.exception()
        finish_tracking(paths, tracking.result() if known else None, outcomes)
        beside.shutdown(wait=False, cancel_futures=True)
    artifacts.show_stages(outcomes)
    artifacts.show_results(paths)
    if "register" in plan.stages:
        show_dashboard(paths)
    artifacts.show_links(paths, run)
    if worth_a_report(plan, outcomes):
        artifacts.show_report(paths, run)
    return conclude(plan, outcomes, params, artifacts.read_registration(paths), start)


def _stop_if_refused(engine: Engine, tracking: Future) -> None:
    if tracking.exception():
        engine.children.stop()


def make_engine(name: str) -> type[Engine]:
    """The engine that places trainings as asked."""
    if name == "ray":
        from .ray_engine import RayEngine

        return RayEngine
    return Engine


def what_moved(plan: Plan, outcomes: Sequence[Outcome]) -> tuple[list[str], list[str]]:
    """Stages that were not up to date, and those among them that run always."""
    moved = [outcome.stage for outcome in outcomes if outcome.state != UP_TO_DATE]
    return moved, [stage for stage in moved if plan.graph.changed.get(stage) == ALWAYS]


def worth_a_report(plan: Plan, outcomes: Sequence[Outcome]) -> bool:
    """Whether the run brought the ensemble up to date and did more than what runs always."""
    moved, always = what_moved(plan, outcomes)
    whole = not any(outcome.state in (FAILED, NOT_RUN) for outcome in outcomes)
    return whole and set(moved) > set(always) and "ensemble" in plan.stages


def conclude(
    plan: Plan,
    outcomes: Sequence[Outcome],
    params: RetrainParams,
    registration: dict[str, Any],
    start: float,
) -> State:
    """Say in one sentence how the run ended, and send it as a message where one is wanted."""
    seconds = time.monotonic() - start
    failed = [outcome for outcome in outcomes if outcome.state == FAILED]
    left = [outcome for outcome in outcomes if outcome.state == NOT_RUN]
    if failed:
        first = " ".join(failed[0].message.split())[:400]
        return Failed(
            message=f"{len(failed)} of {len(outcomes)} stages failed, {len(left)} were not run."
            f" First {failed[0].stage}: {first}"
        )
    moved, always = what_moved(plan, outcomes)
    gate = str(registration.get("verdict", ""))
    said = f" The gate says: {gate}." if gate and "register" in moved else ""
    if set(moved) <= set(always):
        ran = f" Only {', '.join(always)} ran, as always." if always else ""
        message = f"Nothing to do: {len(outcomes)} stages are up to date.{ran}{said}"
    else:
        message = f"{len(moved)} of {len(outcomes)} stages ran or were restored.{said}"
        if said:
            notify.send(
                params.notify, "Retrain: the gate's verdict", artifacts.verdict(registration)
            )
    get_run_logger().info("%s (%.1f s)", message, seconds)
    return Completed(message=message)


def recover(root: Path, held: Held, log: Log) -> None:
    """Clear up after a run that was killed. Nobody else works here: the lock is held."""
    for orphan in end_orphans(root):
        log.warning("Ended a process that a killed run had left: %s", orphan)
    if released := release_left(run_folder(root) / "leases"):
        log.warning("Gave back %d slots of a killed run.", released)
    for done in clear_up(root):
        log.warning(done)
    if held.previous:
        close_killed(held.previous, log)
        finish_tracking(paths_of(root), held.previous.get("mlflow_run"), [])


def close_killed(previous: dict[str, Any], log: Log) -> None:
    """Tell Prefect that a killed flow run is no longer running."""
    from uuid import UUID

    from prefect.exceptions import PrefectException

    if not previous.get("flow_run"):
        return
    identity = UUID(previous["flow_run"])
    try:
        with get_client(sync_client=True) as client:
            state = client.read_flow_run(identity).state
            if state is None or not state.is_final():
                message = "Its process was killed; the next run cleared up after it."
                client.set_flow_run_state(identity, Crashed(message=message), force=True)
                log.warning("Flow run %s had been killed and counts as crashed now.", identity)
    except PrefectException as err:
        log.warning("Killed flow run %s is not known to this server: %s", identity, err)


def start_tracking(paths: Paths, plan: Plan, held: Held, log: Log) -> str | None:
    """Start the retrain's parent run in MLflow where a stage of this project has work to do.

    It runs in a thread beside the flow's own, which has no logger of Prefect's.

    Returns
    -------
    str or None
        The run's id; None where nothing is tracked or MLflow does not answer.
    """
    if not any(plan.graph.commands[stage].startswith(HMS) for stage in plan.stale):
        return None
    from hms_pipeline.registry.disk import check_disk
    from hms_pipeline.tracking.runs import start_retrain

    params = load_params(paths.params)
    check_disk(paths, params, plan.touched)
    try:
        run = start_retrain(paths, params)
    except Exception as err:
        log.warning("No parent run in MLflow: %s", err)
        return None
    held.record(mlflow_run=run)
    return run


def finish_tracking(paths: Paths, run: str | None, outcomes: Sequence[Outcome]) -> None:
    """Finish the parent run with what became of every stage; without any it was killed."""
    if not run:
        return
    from hms_pipeline.tracking.runs import finish_retrain

    try:
        finish_retrain(paths, run, summarise(outcomes))
    except Exception as err:
        get_run_logger().warning("Parent run in MLflow not finished: %s", err)


def summarise(outcomes: Sequence[Outcome]) -> dict[str, Any]:
    """Outcomes as plain values; without any the run was killed."""
    failed = any(outcome.state in (FAILED, NOT_RUN) for outcome in outcomes)
    status = "killed" if not outcomes else "failed" if failed else "finished"
    return {
        "status": status,
        "stages": {outcome.stage: outcome.state for outcome in outcomes},
        "seconds": {outcome.stage: round(outcome.seconds, 1) for outcome in outcomes},
    }
