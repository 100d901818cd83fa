"""Section `retrain`: how the flow runs the graph."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from .section import Few, Name, Seconds, Section, Text


class StageNeeds(Section):
    """What one run of a stage takes from its machine.

    Parameters
    ----------
    cpu : int
        CPU slots.
    gpu : int
        GPU slots; counts only where there are any.
    time_limit_s : float
        A stage that runs longer is ended, with everything it started.
    """

    cpu: Few
    gpu: int = Field(ge=0, le=1000)
    time_limit_s: float = Field(gt=0, le=30 * 86400)


class RayParams(Section):
    """Where ``--engine ray`` trains folds.

    Parameters
    ----------
    address : str
        Of the cluster's head, as ``ray.init`` takes it; ``"auto"`` finds one on this machine.
    exchange : {"shared", "remote"}
        How code and features reach the nodes: a folder that all see at the same path, or git and
        the DVC remote. Finished folds come back through Ray.
    scratch : str
        Folder on every node for a batch's workspace.
    retries : int
        How often a batch whose node died is placed again; -1: without end.
    """

    address: Text
    exchange: Literal["shared", "remote"]
    scratch: Text
    retries: int = Field(ge=-1, le=1000)


class RetrainParams(Section):
    """Parallelism, retries and time limits of stages.

    Parameters
    ----------
    cpu_slots, gpu_slots : int or None
        How many slots this machine offers; None: its cores, its GPUs. More GPU slots than GPUs
        let several stages share one.
    when_busy : {"queue", "refuse"}
        What a second retrain does while one runs.
    queue_limit_s : float
        A queued retrain gives up after this time.
    retries : int
        How often a failed stage is run again; never after bad input (exit code 2).
    retry_delay_s : float
        Pause before that.
    default : StageNeeds
        Needs of the stages that ``stages`` does not name.
    stages : dict of str to StageNeeds
        Name of a stage or of its group (``train`` for ``train@eegnet-0``) → its needs.
    notify : str or None
        Prefect notification block, ``"<type>/<name>"``, that sends messages about failures, the
        gate's verdicts and drift; None: off.
    ray : RayParams
        Where ``--engine ray`` trains folds.
    """

    cpu_slots: Few | None
    gpu_slots: int | None = Field(ge=0, le=1000)
    when_busy: Literal["queue", "refuse"]
    queue_limit_s: Seconds
    retries: int = Field(ge=0, le=1000)
    retry_delay_s: Seconds
    default: StageNeeds
    stages: dict[Name, StageNeeds] = Field(max_length=32)
    notify: Text | None
    ray: RayParams

    def needs(self, stage: str) -> StageNeeds:
        """Needs of a stage by its own name, its group's, or the default."""
        group = stage.partition("@")[0]
        return self.stages.get(stage) or self.stages.get(group) or self.default
