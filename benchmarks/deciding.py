"""A machine of a team for the faults: a process that registers and promotes what it is told."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hms_pipeline.config import Paths
from hms_pipeline.system.errors import InputError, StaleError

from .team import HERE, environment

if TYPE_CHECKING:
    from mlflow.entities.model_registry import ModelVersion

    from hms_pipeline.registry.versions import Registry

BEAT_S, DEAD_S = 2.0, 20.0  # so that a lock of a machine that is gone frees itself sooner
MB = 1_000_000
SERVE = "from benchmarks import deciding; deciding.serve()"


def serve() -> None:
    """Decide what each line of stdin names, and say what came of it.

    A line holds the content's name, how many seconds the clock is off, and whether a whole ensemble
    is to be registered by the stage, rather than a small version.
    """
    from hms_pipeline.cli.app import STORES
    from hms_pipeline.registry import decisions

    decisions.BEAT_S, decisions.DEAD_S = BEAT_S, DEAD_S
    decider = Decider(Path(sys.argv[1]))
    honest = time.time
    print("ready", flush=True)
    for note, clock_off_s, whole in map(json.loads, sys.stdin):
        time.time = lambda off=clock_off_s: honest() + off
        print("begins", flush=True)
        try:
            said = {"content": decider.whole(note) if whole else decider.small(note)}
        except Exception as err:
            store = type(err).__module__.partition(".")[0] in STORES
            said = {
                "ended": f"{type(err).__name__}: {' '.join(str(err).split())[:160]}",
                "line": store or isinstance(err, InputError | StaleError | OSError),
            }
        print(json.dumps(said), flush=True)


class Decider:
    """Registers and promotes; asked once more for what ended, it goes on.

    Parameters
    ----------
    root : Path
        The machine's folder.
    """

    def __init__(self, root: Path) -> None:
        self.paths = Paths(root / "data", root / "artifacts", root / "params.yaml")
        self.maker: Any = None

    def small(self, content: str) -> str:
        """Register and promote a version without networks; its content."""
        from hms_pipeline.registry.promotion import promote
        from hms_pipeline.registry.stage import note_registered
        from hms_pipeline.registry.versions import Registry

        with Registry.changing(self.paths) as registry:
            version = registry.find(content) or _created(registry, content)
            note_registered(registry, version)
            if registry.champion() != int(version.version):
                promote(registry, version, "it is better", "manual")
        return content

    def whole(self, note: str) -> str:
        """Register and promote an ensemble by the stage; its content's hash."""
        import torch

        from hms_pipeline.registry import api, stage
        from hms_pipeline.tracking.store import CHAMPION
        from tests.ensembles import Maker

        torch.set_num_threads(1)
        if self.maker is None:
            self.maker = Maker(self.paths.params.parent, n_patients=6)
            self.maker.vote(self.maker.train(1))
        self.maker.ensemble(1, note)
        found = stage.run(self.maker.paths, self.maker.with_gate())
        if CHAMPION not in found["aliases"]:
            try:
                api.promote(self.maker.paths, found["version"], note)
            except InputError as err:
                if "is the champion already" not in str(err):
                    raise
        return found["content_hash"]


def _created(registry: Registry, content: str) -> ModelVersion:
    from hms_pipeline.registry.package import BUNDLE, model_hashes
    from hms_pipeline.tracking.store import experiment_id
    from tests.unit.registry.conftest import write_small_model

    client = registry.client
    run = client.create_run(
        experiment_id(client, registry.paths), tags={"hms.kind": "register"}
    ).info.run_id
    model = write_small_model(registry.staging / "model", content)
    (model / BUNDLE / "weights").write_bytes(content.encode() * (MB // len(content)))
    facts = {"content_hash": content, "networks_hash": content, **model_hashes(model)}
    version = registry.create(run, model, facts)
    client.set_terminated(run)
    return version


class Machine:
    """A process in a folder of its own that decides as ``serve`` does.

    Parameters
    ----------
    root : Path
    uri : str
        By which it reaches MLflow.
    """

    def __init__(self, root: Path, uri: str) -> None:
        self.root, self.uri, self.note = root, uri, ""
        with root.with_suffix(".log").open("ab") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-W", "ignore", "-c", SERVE, str(root)],
                cwd=HERE, env=environment({"MLFLOW_TRACKING_URI": uri}), start_new_session=True,
                stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=log, text=True,
            )  # fmt: skip
        self._line()

    def _line(self) -> str:
        line = self.process.stdout.readline() if self.process.stdout else ""
        if not line:
            raise SystemExit(f"{self.root.name} ended; see {self.root.with_suffix('.log')}")
        return line

    def begin(self, note: str, clock_off_s: float = 0.0, whole: bool = False) -> None:
        """Let it decide; returns when it begins."""
        self.note = note
        if self.process.stdin:
            self.process.stdin.write(json.dumps([note, clock_off_s, whole]) + "\n")
            self.process.stdin.flush()
        self._line()

    def said(self) -> dict[str, Any]:
        """What came of it."""
        while not (line := self._line()).startswith("{"):
            pass  # what MLflow says of a run
        return json.loads(line)

    def end(self) -> None:
        """Kill it as a machine dies, with its folder."""
        self.process.kill()
        self.process.wait()
        shutil.rmtree(self.root, ignore_errors=True)
