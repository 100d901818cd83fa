"""The commands of README and docs, run in a project that has a champion, in the pages' order."""

from __future__ import annotations

import contextlib
import re
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import typer
import yaml

from hms_pipeline.catalogue import discover
from hms_pipeline.cli import commands
from hms_pipeline.cli.app import app
from hms_pipeline.config.recipes import merge_patch
from tests import warm
from tests.commands import PAGES, ROOT, Block, blocks, inline, run_hms, split
from tests.forked import forked
from tests.own_recordings import write_edf_plus
from tests.recordings import noise

from .conftest import Project

pytestmark = pytest.mark.slow
# What stands in the place of a page's placeholders.
VALUES = {
    "FILE.edf": "rec.edf", "INPUT...": "rec.edf", "VERSION": "1", "N": "1", "ID": "1",
    "NAME": "tiny", "MEMBER": "eegnet", "VIEW": "bipolar", "[FOLD...]": "0", "FOLD...": "0",
    "DATA": "data", "OUT.zip": "out.zip", "RECORDINGS": "recordings", "LABELS": "labels.csv",
    "REPOSITORY": ".", "COMMAND": "results", "train@MEMBER": "train@eegnet",
}  # fmt: skip
STACK = "tests/pipeline/test_flows.py::test_scheduled_deployment_runs_through_the_worker"
RETRAIN = "tests/pipeline/test_flows.py::test_same_artifacts_as_dvc_and_nothing_to_do_afterwards"
SERVED = "tests/pipeline/test_serving.py::test_parquet_json_and_hms_score_agree"
RAY = "tests/team/test_ray.py::test_a_dead_node_costs_its_folds_alone"
NIGHT = "tests/team/test_retrain.py::test_a_night_without_shared_folders"
VIEWS = "tests/contract/test_views.py::test_values_have_the_stated_shape_and_are_finite"
MODELS = "tests/contract/test_models.py"
# Beginnings of commands that are not run here: the test that runs them, or why none does. The
# parser of their program reads them in tests/architecture/test_commands.py.
ELSEWHERE = {
    "make": "sets up .venv from a package index, then runs what `make -n` shows",
    "source .venv/bin/activate": "the tests run in the environment already",
    "pip install": "needs a package index",
    "python -m pytest": "runs the tests",
    "python -m flows.retrain": RETRAIN,
    "python -m flows.retrain --engine ray": RAY,
    "python -m flows.stack": STACK,
    "prefect deployment run": STACK,
    "prefect gcl": "needs a Prefect server that stands",
    "prefect flow-run": "needs a Prefect server that stands",
    "prefect work-pool": "needs Kubernetes",
    "prefect worker": "needs Kubernetes",
    "prefect deploy": "needs Kubernetes",
    "mlflow models serve": "tests/pipeline/test_serving.py::"
    "test_plain_mlflow_keeps_the_limits_of_the_cells",
    "mlflow models predict": "needs windows in JSON",
    "mlflow models generate-dockerfile": "is of use with docker only",
    "ray start": RAY,
    "dvc repro --single-item": RETRAIN,
    "dvc repro student": "trains the starter's teachers, for hours",
    "hms student --starter": "tests/unit/student/test_starter.py",
    "dvc exp run": "tests/pipeline/test_edits.py::test_an_experiment_leaves_the_registry_as_it_was",
    "dvc queue start": "trains what was queued, for minutes",
    "dvc exp apply": "needs an experiment",
    "dvc gc --workspace": "asks before it deletes",
    "dvc pull": NIGHT,
    "dvc push": NIGHT,
    "git commit": NIGHT,
    "git push": NIGHT,
    "docs/champion.sh": "tests/pipeline/test_tour.py::"
    "test_the_script_of_the_docs_prints_the_champion",
    "hms serve": SERVED,
    "hms score /archive": "tests/unit/cli/test_score.py::"
    "test_an_archive_is_scored_with_the_model_that_was_named",
    "hms sample --defects": "tests/unit/validation/test_stage.py",
    "hms --install-completion": "tests/unit/cli/test_tables.py::test_a_shell_completes",
    "hms --data DIR": "stands for any command",
    "hms features stft": VIEWS,
    "hms features mosaic": VIEWS,
    "hms features differential": VIEWS,
    "hms train b4-mosaic": MODELS,
    "hms train multi": MODELS,
    "hms student --device cuda:0": "needs a GPU",
    "python -m benchmarks": "measures, for minutes to hours",
    "python benchmarks/": "measures, for minutes to hours",
    "python -m tests": "draws files, for hours",
    "python -m docs.make_simulator_plots": "needs the competition's data",
    "python docs/make_simulator_stats.py": "needs the competition's data",
    "python docs/make_feature_plots.py": "draws the pictures of the pages, for minutes",
    "python docs/make_api.py": "tests/unit/cli/test_documents.py::"
    "test_the_api_page_is_what_the_code_says",
    "mkdir -p W/medium": "is a step of a measurement",
    "cp -r W/full/validated": "is a step of a measurement",
    "hms --data W/data": "is a step of a measurement",
}
# What a page says that one sees, where it is more than the exit code.
SAYS = {
    "hms results": "ensemble (",
    "hms models": "champion",
    "hms models 1": "history:",
    "hms doctor": "verified",
    "hms --version": "hms_pipeline",
    "hms members": "eegnet-wide",
    "dvc status": "train@eegnet-wide",
    "hms register": "already registered",
    "hms keys --why train.eegnet": "models.eegnet",
    "hms promote 2 --reason ...": "champion is version 2",
    "hms promote 1 --reason ...": "champion is version 1",
    "hms rollback --reason ...": "champion is version 2",
    "hms gc --keep 1000": "Removed versions: none",
    "hms validate --report": "Quarantine:",
    "hms train eegnet": "Trained 0 of 2 folds",
    "hms train eegnet 0 --again": "Trained 1 of 1 folds",
    "dvc repro": "already registered",
}
# Files that pages promise.
WRITES = {
    "hms score rec.edf --report reports --explain": ("scores.csv", "reports/index.html"),
    "hms submission data --out submission.csv": ("submission.csv",),
    "hms import recordings labels.csv --out data": ("data/train.csv", "data-import.csv"),
}


@dataclass
class Shell:
    """Runs a page's lines as a shell of the project would; forks processes of ``hms`` and ``dvc``.

    Parameters
    ----------
    project : Project
    folder : Path
        The current one.
    variables : dict
        Those that the lines set.
    """

    project: Project
    folder: Path
    variables: dict[str, str] = field(default_factory=dict)

    def run(self, words: tuple[str, ...]) -> str:
        """Run one command; fails unless it exits with 0 and shows and writes what pages say."""
        words = filled(words)
        if words[0] == "cd":
            self.folder /= words[1]
            return ""
        if words[0] == "export":
            self.variables |= dict(word.split("=", 1) for word in words[1:])
            return ""
        folder = self.fresh() if is_made_new(words) else self.folder
        log = self.project.root.with_name("said.txt")
        environment = self.project.environment() | self.variables
        environment["PRE_COMMIT_HOME"] = str(self.project.root.with_name("pre-commit"))
        if words[0] == "hms":
            words += ("--workers", "1") if words[1] == "sample" else ()  # starts no others
            process = forked().Process(target=run_hms, args=(words[1:], folder, environment, log))
            process.start()
            process.join(300)
            code = process.exitcode
            process.kill()
        elif words[0] == "dvc":
            done = warm.run(words, folder, environment)
            log.write_text(done.stdout + done.stderr, encoding="utf-8")
            code = done.returncode
        else:
            with log.open("w") as stream:
                code = subprocess.run(
                    words, cwd=folder, env=environment, stdin=subprocess.DEVNULL, stdout=stream,
                    stderr=stream, timeout=300,
                ).returncode  # fmt: skip
        said, line = log.read_text(), " ".join(words)
        assert code == 0, f"{line} gave {code}:\n{said}"
        assert SAYS.get(line, "") in said, f"{line} said:\n{said}"
        for name in WRITES.get(line, ()):
            assert (folder / name).is_file(), f"{line} wrote no {name}."
        return said

    def fresh(self) -> Path:
        """A folder without data, with a recipe and recordings with labels."""
        folder = self.project.root.with_name("fresh")
        shutil.rmtree(folder, ignore_errors=True)
        write_recordings(folder)
        recipe = yaml.safe_load((ROOT / "params.yaml").read_text())
        recipe["sample"] |= {"patients": 6, "test_windows": 1}
        (folder / "params.yaml").write_text(yaml.safe_dump(recipe))
        return folder


def is_made_new(words: tuple[str, ...]) -> bool:
    """Whether a command writes a data set, for which pages want a new folder."""
    return words[:2] in (("hms", "sample"), ("hms", "import"))


def write_recordings(folder: Path) -> None:
    """What docs/how-to/own_data.md starts with: recordings, and the tables that it shows."""
    page = ROOT / "docs/how-to/own_data.md"
    tables = [block.text for block in blocks(page) if "," in block.text.partition("\n")[0]]
    (folder / "recordings/ward1").mkdir(parents=True)
    marks = [(300.0, 10.0, text) for text in ("PLEDs (AB)", "PLEDs (CD)", "Sz (AB)")]
    write_edf_plus(folder / "recordings/ward1/rec01.edf", noise(seconds=660), marks)
    write_edf_plus(folder / "rec.edf", noise(seconds=80))
    (folder / "labels.csv").write_text(tables[0].replace(",1820,", ",300,"))
    (folder / "texts.csv").write_text(tables[1])
    (folder / "patients.csv").write_text("file,patient\nward1/rec01.edf,P01\n")


@pytest.fixture(scope="module")
def project(tiny_project: Project, tmp_path_factory: pytest.TempPathFactory) -> Project:
    """A project with a champion, a version that was refused, and recordings.

    Pages change its registry one after another, as a reader would: they are tested in order.
    """
    made = tiny_project.copy(tmp_path_factory.mktemp("pages") / "project")
    write_recordings(made.root)
    (made.root / "inbox").mkdir()
    shutil.copy(made.root / "rec.edf", made.root / "inbox")
    recipe = yaml.safe_load((made.root / "params.yaml").read_text())
    recipe["scoring"]["max_interpolated"] += 1
    with kept(made):
        (made.root / "params.yaml").write_text(yaml.safe_dump(recipe, sort_keys=False))
        said = Shell(made, made.root).run(("hms", "--quiet", "register"))
    assert "version 2: refused" in said
    return made


@contextlib.contextmanager
def kept(project: Project) -> Iterator[None]:
    """Afterwards the recipes are as they were."""
    names = ("params.yaml", "recipes/tiny.yaml", "data.dvc", "artifacts/keys.yaml", ".dvc/config")
    before = {name: (project.root / name).read_bytes() for name in names}
    try:
        yield
    finally:
        for name, content in before.items():
            (project.root / name).write_bytes(content)


def edit(project: Project, block: Block) -> None:
    """Put what a page's block of YAML shows into the recipe that the text above it names."""
    named = re.findall(r"`([\w/]+\.yaml)`", block.before[-200:])
    if block.kind == "yaml" and named:
        path = project.root / named[-1]
        changed = merge_patch(yaml.safe_load(path.read_text()), yaml.safe_load(block.text))
        path.write_text(yaml.safe_dump(changed, sort_keys=False))


def elsewhere(words: tuple[str, ...]) -> str | None:
    """The longest beginning of a command that ``ELSEWHERE`` has."""
    line = " ".join(words)
    return max((key for key in ELSEWHERE if line.startswith(key)), key=len, default=None)


def filled(words: tuple[str, ...]) -> tuple[str, ...]:
    """A command with values in its placeholders' places."""
    return tuple(VALUES.get(word, word) for word in words)


@cache
def parser() -> Any:
    """The command line as typer builds it."""
    discover(commands.__name__, list(commands.__path__))
    return typer.main.get_command(app)


def is_whole(words: tuple[str, ...]) -> bool:
    """Whether a command inside a sentence has all that it needs; the others are names."""
    if words[0] != "hms" or words[1].startswith("-"):
        return True
    if words[1] in ("promote", "rollback"):
        return "--reason" in words
    try:
        parser().commands[words[1]].make_context(words[1], list(filled(words)[2:]))
    except typer.TyperException:
        return False
    return True


def in_blocks(page: Path) -> list[tuple[str, ...]]:
    """Commands in a page's blocks."""
    return [words for block in blocks(page) for line, _ in block.lines for words in split(line)]


def in_sentences() -> dict[Path, list[tuple[str, ...]]]:
    """Whole commands that stand in sentences alone, at the first page that has them."""
    seen = {words for page in PAGES for words in in_blocks(page)}
    found: dict[Path, list[tuple[str, ...]]] = {page: [] for page in PAGES}
    for page in PAGES:
        for words in (words for line in inline(page) for words in split(line)):
            if words not in seen and is_whole(words):
                seen.add(words)
                found[page].append(words)
    return found


SENTENCES = in_sentences()
EVERYTHING = [words for page in PAGES for words in in_blocks(page) + SENTENCES[page]]


@pytest.mark.parametrize(
    "page",
    [page for page in PAGES if not all(map(elsewhere, in_blocks(page) + SENTENCES[page]))],
    ids=lambda page: page.relative_to(ROOT).as_posix(),
)
def test_commands_of_the_page_run(page: Path, project: Project) -> None:
    with kept(project):
        for block in blocks(page):
            edit(project, block)
            shell = Shell(project, project.root)
            for words in (words for line, _ in block.lines for words in split(line)):
                if elsewhere(words) is None:
                    shell.run(words)
    for words in SENTENCES[page]:
        if elsewhere(words) is None:
            with kept(project):
                Shell(project, project.root).run(words)


def test_what_is_listed_stands_on_a_page() -> None:
    assert set(map(elsewhere, EVERYTHING)) - {None} == set(ELSEWHERE)
    run = {" ".join(filled(words)) for words in EVERYTHING if elsewhere(words) is None}
    assert len(run) > 60
    assert not (SAYS.keys() | WRITES.keys()) - run
    assert not VALUES.keys() - {word for words in EVERYTHING for word in words}


@pytest.mark.parametrize("place", sorted({who for who in ELSEWHERE.values() if ".py" in who}))
def test_the_test_that_runs_it_is_there(place: str) -> None:
    file, _, name = place.partition("::")
    text = (ROOT / file).read_text(encoding="utf-8")
    assert re.search(rf"^def {name or 'test_'}", text, re.M)
