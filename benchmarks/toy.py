"""A small DVC repository shaped like the real graph, to try the engine on in seconds.

``python benchmarks/toy.py FOLDER [--folds 4] [--seconds 0.3]`` writes it. Stages
sleep, write a digest of their inputs, and append a line to ``runs.log``; ``failures.json``
(``{stage: [exit codes]}``) makes them fail.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
from datetime import datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import yaml

from hms_pipeline.config.recipes import compose, write_recipe

STAGE = '''"""Sleep, then write a digest of the inputs; log the finished run."""
import hashlib, json, os, pathlib, sys, time

name, seconds, out, *deps = sys.argv[1:]
started = time.time()
print(f"{name}: {len(deps)} inputs", flush=True)
planned = pathlib.Path("failures.json")
failures = json.loads(planned.read_text(encoding="utf-8")) if planned.exists() else {}
if failures.get(name):
    code = failures[name].pop(0)
    planned.write_text(json.dumps(failures), encoding="utf-8")
    print(f"{name}: failing with {code}", flush=True)
    sys.exit(code)
time.sleep(float(seconds))
digest = hashlib.sha256(name.encode())
for dep in map(pathlib.Path, deps):
    for path in sorted(p for p in [dep, *dep.rglob("*")] if p.is_file()):
        digest.update(path.read_bytes())
target = pathlib.Path(out)
target.parent.mkdir(parents=True, exist_ok=True)
target.write_text(digest.hexdigest() + "\\n", encoding="utf-8")
with open("runs.log", "a") as log:
    log.write(f"{name} {started:.3f} {time.time():.3f} {os.environ.get('CUDA_VISIBLE_DEVICES')}\\n")
'''


def graph(folds: int, seconds: float) -> str:
    """dvc.yaml of a graph validate → split, features → train → ensemble → register."""
    runs = "".join(
        f"      {member}-{fold}: {{view: {view}, fold: {fold}}}\n"
        for member, view in (("eegnet", "bipolar"), ("v2s", "spec"))
        for fold in range(folds)
    )
    trained = [f"artifacts/{m}-{f}.txt" for m in ("eegnet", "v2s") for f in range(folds)]
    deps = "".join(f"      - {path}\n" for path in trained)
    run = f"python stage.py {{name}} {seconds} {{out}} {{deps}}"
    end = "artifacts/ensemble.txt"
    return f"""stages:
  validate:
    cmd: {run.format(name="validate", out="artifacts/validated.txt", deps="data")}
    deps: [data]
    outs: [artifacts/validated.txt]
  split:
    cmd: {run.format(name="split", out="artifacts/folds.txt", deps="artifacts/validated.txt")}
    deps: [artifacts/validated.txt]
    outs: [artifacts/folds.txt]
  features:
    foreach: [bipolar, spec]
    do:
      cmd: >-
        {run.format(name="features@${item}", out="artifacts/${item}.txt", deps="data")}
        artifacts/validated.txt
      deps: [data, artifacts/validated.txt]
      outs: ["artifacts/${{item}}.txt"]
  train:
    foreach:
{runs}    do:
      cmd: >-
        {run.format(name="train@${key}", out="artifacts/${key}.txt", deps="artifacts/folds.txt")}
        artifacts/${{item.view}}.txt
      deps: [artifacts/folds.txt, "artifacts/${{item.view}}.txt"]
      outs: ["artifacts/${{key}}.txt"]
  ensemble:
    cmd: >-
      {run.format(name="ensemble", out="artifacts/ensemble.txt", deps=" ".join(trained))}
    deps:
{deps}    outs: [artifacts/ensemble.txt]
  register:
    cmd: {run.format(name="register", out="artifacts/registration.txt", deps=end)}
    always_changed: true
    deps: [artifacts/ensemble.txt]
    outs:
      - artifacts/registration.txt: {{cache: false}}
"""


def postpone(folder: Path) -> None:
    """Move the schedules in prefect.yaml half a day away: only what is asked for shall run."""
    path = folder / "prefect.yaml"
    settings = yaml.safe_load(path.read_text(encoding="utf-8"))
    for deployment in settings["deployments"]:
        for schedule in deployment.get("schedules", ()):
            due = datetime.now(ZoneInfo(schedule["timezone"])) + timedelta(hours=12)
            schedule["cron"] = f"{due.minute} {due.hour} * * *"
    path.write_text(yaml.safe_dump(settings, sort_keys=False), encoding="utf-8")


def write(folder: Path, folds: int, seconds: float) -> None:
    """Write the repository, its data and its DVC configuration."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "data").mkdir()
    (folder / "data" / "train.csv").write_text("label_id\n1\n2\n", encoding="utf-8")
    (folder / "stage.py").write_text(STAGE, encoding="utf-8")
    (folder / "dvc.yaml").write_text(graph(folds, seconds), encoding="utf-8")
    (folder / ".gitignore").write_text(
        "/artifacts/\n/data\n/.run/\n/runs.log\n/failures.json\n", encoding="utf-8"
    )
    write_recipe(folder / "params.yaml", compose(Path(__file__).parents[1] / "recipes", "tiny"))
    shutil.copy(Path(__file__).parents[1] / "prefect.yaml", folder)
    postpone(folder)
    env = {**os.environ, "DVC_NO_ANALYTICS": "true"}
    for command in (["git", "init", "-q"], ["init", "-q"], ["add", "-q", "data"]):
        dvc = [] if command[0] == "git" else [sys.executable, "-m", "dvc"]
        subprocess.run([*dvc, *command], cwd=folder, env=env, check=True, capture_output=True)


def main() -> None:
    """Read the arguments and write the repository."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--folds", type=int, default=4)
    parser.add_argument("--seconds", type=float, default=0.3)
    args = parser.parse_args()
    write(args.folder, args.folds, args.seconds)


if __name__ == "__main__":
    main()
