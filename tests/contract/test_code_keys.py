"""Code keys of this package: each edit, made in a copy of it, changes just the keys it should."""

from __future__ import annotations

import ast
import shutil
import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from functools import cache, partial
from pathlib import Path
from typing import Any

import pytest
import yaml

from hms_pipeline.code_keys import code_keys, explain
from hms_pipeline.code_keys.known import COMPUTED_IMPORTS, DECORATORS, DISCOVER, RECIPE, SETTLED
from hms_pipeline.code_keys.roots import STARTER, Keys
from hms_pipeline.config import Params, Paths, load_params
from hms_pipeline.config.keys import code_key, present_keys
from hms_pipeline.config.members import weights_file
from hms_pipeline.datasets.augmentations import AUGMENTATIONS
from hms_pipeline.features.views import VIEWS
from hms_pipeline.models import MODELS
from hms_pipeline.system.errors import InputError
from hms_pipeline.validation import expectations, rules  # noqa: F401 - register their entries
from hms_pipeline.validation.expectation import EXPECTATIONS
from hms_pipeline.validation.rule import RULES
from tests import recipes
from tests.unit.code_keys import interpreters

ROOT = Path(__file__).parents[2]
RECIPE_FILE = yaml.safe_load((ROOT / "params.yaml").read_text())
MEMBERS = RECIPE_FILE["members"]
TRAINED = {f"train.{member}" for member in MEMBERS}
VIEWED = {f"views.{view}" for view in RECIPE_FILE["views"]}
Edit = Callable[[], set[str]]


def flat(keys: dict[str, Any]) -> dict[str, str]:
    """``{"views": {"mel": …}}`` as ``{"views.mel": …}``."""
    return {
        f"{stage}.{name}" if name else stage: key
        for stage, found in keys.items()
        for name, key in (found.items() if isinstance(found, dict) else [("", found)])
    }


@pytest.fixture(scope="module", autouse=True)
def parse_once() -> Iterator[None]:
    """Files that are not edited are parsed once for all tests."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ast, "parse", cache(ast.parse))
        yield


@pytest.fixture(scope="module")
def before() -> dict[str, str]:
    return flat(code_keys(RECIPE_FILE))


def test_a_stage_computes_the_key_that_is_written_for_it(
    before: dict[str, str], tmp_path: Path
) -> None:
    paths, params = Paths(tmp_path, tmp_path, tmp_path), load_params(ROOT / "params.yaml")
    for name, key in before.items():
        stage, _, item = name.partition(".")
        assert code_key(paths, params, stage, item or None) == key
    assert flat(present_keys(params)) == before


class Copy:
    """A copy of the package that may be edited."""

    def __init__(self, folder: Path, before: dict[str, str]) -> None:
        self.folder = folder / "hms_pipeline"
        self._before = before
        no_code = shutil.ignore_patterns("__pycache__")
        shutil.copytree(ROOT / "hms_pipeline", self.folder, ignore=no_code)

    def changed(self) -> set[str]:
        """Keys that are not as they were."""
        now = flat(code_keys(RECIPE_FILE, self.folder))
        assert now.keys() == self._before.keys()
        return {name for name, key in now.items() if key != self._before[name]}

    @contextmanager
    def file(self, name: str, edit: Callable[[str], str]) -> Iterator[None]:
        """One file, edited as long as the block lasts; a new one is removed again."""
        path = self.folder / name
        text = path.read_text() if path.exists() else None
        path.write_text(edit(text or ""))
        assert path.read_text() != text
        try:
            yield
        finally:
            path.unlink() if text is None else path.write_text(text)

    def edited(self, identity: str) -> AbstractContextManager[None]:
        """One more statement in a definition."""
        module, _, name = identity.partition(":")
        return self.file(self.place(module), lambda text: with_statement(text, name))

    def place(self, module: str) -> str:
        base = module.replace(".", "/")
        return f"{base}.py" if (self.folder / f"{base}.py").exists() else f"{base}/__init__.py"


@pytest.fixture(scope="module")
def copy(tmp_path_factory: pytest.TempPathFactory, before: dict[str, str]) -> Copy:
    return Copy(tmp_path_factory.mktemp("package"), before)


def with_statement(text: str, name: str) -> str:
    """Add ``edited = 1`` to the end of a function or a class; ``"Class.method"`` is one, too."""
    body = ast.parse(text).body
    for part in name.split("."):
        (node,) = (n for n in body if getattr(n, "name", None) == part)
        body = node.body
    lines = text.splitlines(keepends=True)
    if body[-1].lineno == node.lineno:  # def f(): ...
        lines[node.lineno - 1] = lines[node.lineno - 1].rstrip() + "; edited = 1\n"
    else:
        lines.insert(node.end_lineno, " " * body[-1].col_offset + "edited = 1\n")
    return "".join(lines)


# ---------------------------------------------------------------- the catalogues


PACKAGED = {"register", "version.hms-ensemble"}
TAUGHT = {"student", "distil"}
STUDENT = {*TAUGHT, "register", "version.hms-student"}
EVERY_VERSION = {*PACKAGED, *STUDENT}


def of_view(*views: str) -> set[str]:
    """Keys that a view's code is in."""
    readers = {f"train.{name}" for name, member in MEMBERS.items() if {*views} & {*member["views"]}}
    own = {f"{stage}.{view}" for view in views for stage in ("views", "rows")}
    own |= STUDENT if {*views} & {*RECIPE_FILE["student"]["views"]} else set()
    return own | readers | ({*PACKAGED, *TAUGHT} if readers else set())


def of_architecture(*architectures: str) -> set[str]:
    """Keys that an architecture's code is in."""
    members = {
        f"train.{name}"
        for name, member in MEMBERS.items()
        if member["architecture"] in architectures
    }
    student = STUDENT if RECIPE_FILE["student"]["architecture"] in architectures else set()
    return members | student | ({*PACKAGED, *TAUGHT} if members else set())


def definition(kind: str, name: str) -> str:
    return Keys(RECIPE_FILE).entry(kind, name)


def where(names: dict[str, set[str]], identity: str) -> set[str]:
    """Stages whose key covers a definition."""
    return {work for work, found in names.items() if identity in found}


@pytest.fixture(scope="module")
def names(before: dict[str, str]) -> dict[str, set[str]]:
    keys = Keys(RECIPE_FILE)
    roots = keys.roots()
    return {work: set(keys.code.closure(roots[work]).names) for work in before}


def test_a_views_code_is_the_views_and_its_readers(names: dict[str, set[str]]) -> None:
    for view in VIEWS:
        assert where(names, definition("view", view)) == of_view(view)


def test_an_architectures_code_is_its_members(names: dict[str, set[str]]) -> None:
    for name in MODELS:
        assert where(names, definition("architecture", name)) == of_architecture(name)


def test_an_augmentations_code_is_all_trainings_of_a_recipe_that_names_it(
    names: dict[str, set[str]],
) -> None:
    used = RECIPE_FILE["training"]["augmentation"]
    for name in AUGMENTATIONS:
        trained = TRAINED if name in used else set()
        taught = TAUGHT if name in RECIPE_FILE["student"]["augmentation"] else set()
        assert where(names, definition("augmentation", name)) == trained | taught
    without = {name: options for name, options in used.items() if name != "mixup"}
    recipe = RECIPE_FILE | {"training": {"augmentation": without}}
    left = set(explain(recipe, "train.eegnet"))
    gone = names["train.eegnet"] - left
    assert {name.split(":")[0] for name in gone} == {"datasets.augmentations.mixup"}
    assert left < names["train.eegnet"]


@pytest.mark.parametrize("catalogue", [RULES, EXPECTATIONS], ids=lambda found: found.kind)
def test_all_rules_and_expectations_are_the_validations(
    names: dict[str, set[str]], catalogue: Any
) -> None:
    """The recipe does not choose among them: all run."""
    for made in catalogue.values():
        function = getattr(made, "find", None) or made.build
        if isinstance(function, partial):  # of a rule that consists of limits
            function, _ = function.args
        outer, _, inner = function.__qualname__.partition(".<locals>.")
        module = function.__module__.removeprefix("hms_pipeline.")
        assert where(names, f"{module}:{outer}") == {"validate"}
        assert not inner or where(names, f"{module}:<import>") == {"validate"}


def test_every_entry_is_found_where_it_is_decorated() -> None:
    for kind, catalogue in (
        ("view", VIEWS),
        ("architecture", MODELS),
        ("augmentation", AUGMENTATIONS),
    ):
        for name, made in catalogue.items():
            function = getattr(made, "function", made)
            module = function.__module__.removeprefix("hms_pipeline.")
            assert definition(kind, name) == f"{module}:{function.__qualname__}"


# ---------------------------------------------------------------- what changes no key


def documented(text: str) -> str:
    """Other docstrings, comments and blank lines."""
    lines = text.splitlines(keepends=True)
    places = [
        node.body[0]
        for node in ast.walk(ast.parse(text))
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef)
        and node.body
        and isinstance(node.body[0], ast.Expr)
        and isinstance(node.body[0].value, ast.Constant)
        and isinstance(node.body[0].value.value, str)
    ]
    for node in places:
        line = lines[node.lineno - 1]
        assert '"""' in line
        lines[node.lineno - 1] = line.replace('"""', '"""Edited. ', 1)
    return "\n# edited\n\n" + "".join(lines) + "\n\n# edited\n"


def test_comments_docstrings_and_blank_lines_change_no_key(
    tmp_path: Path, before: dict[str, str]
) -> None:
    copy = Copy(tmp_path, before)
    for path in copy.folder.rglob("*.py"):
        path.write_text(documented(path.read_text()))
    assert copy.changed() == set()


NEW = {
    "features/views/new.py": "from ..view import view\n\n\n"
    '@view("new", inputs=("eeg",), kind="waves")\ndef new(batch):\n    return batch.eeg\n',
    "datasets/augmentations/new.py": "from .augmenter import AUGMENTATIONS, Augmentation\n\n\n"
    '@AUGMENTATIONS.register("new")\nclass New(Augmentation):\n    shared = True\n',
    "models/new.py": "from .build import MODELS\n\n\n"
    '@MODELS.register("new")\ndef new(shapes, *, width=1): ...\n',
    "signal/new.py": "def new(x):\n    return x\n",
}


def test_new_files_that_nothing_names_change_no_key(copy: Copy) -> None:
    with ExitStack() as files:
        for name, text in NEW.items():
            files.enter_context(copy.file(name, lambda _, text=text: text))
        assert copy.changed() == set()


def test_a_new_rule_is_the_validations(copy: Copy) -> None:
    text = (
        'from ..rule import rule\n\n\n@rule("new", "it is new")\ndef new(evidence, params): ...\n'
    )
    with copy.file("validation/rules/new.py", lambda _: text):
        assert copy.changed() == {"validate"}


# ---------------------------------------------------------------- what changes which

ROWS = {f"rows.{view}" for view in RECIPE_FILE["views"]}
WAVES = of_view("bipolar", "differential")
EDITS = {
    "features.views.mel:mel": of_view("mel"),
    "features.views.spec_multi:spec_multi": of_view("spec_multi"),
    "features.views.spec_multi:spectrogram_pictures": of_view("spec_multi", "mosaic"),
    "features.views.multitaper:multitaper": {"views.multitaper", "rows.multitaper"},
    "features.waves:filtered_waves": WAVES,
    "signal.filters:band_pass": WAVES,
    "signal.spectral:mel_power": of_view("mel"),
    "features.produce:Producer.values": VIEWED | ROWS | TAUGHT,
    "features.windows:fill_eeg": VIEWED | ROWS | EVERY_VERSION,
    "features.shards:write_shards": VIEWED | TAUGHT,
    "models.multi:multi": of_architecture("multi"),
    "models.eegnet:WaveEncoder": of_architecture("eegnet", "multi"),
    "models.image_encoder:ImageEncoder.forward": TRAINED - {"train.eegnet"} | PACKAGED | TAUGHT,
    "datasets.augmentations.mixup:Mixup": TRAINED | TAUGHT,
    "datasets.targets:votes_to_target": TRAINED | TAUGHT,
    "datasets.folds:assign_folds": {"split"},
    "training.step:PlainStep": TRAINED | TAUGHT,
    "training.schedule:learning_rates": TRAINED | TAUGHT,
    "training.finished:link_fold": {"student"},
    "student.compare:Comparison": {"student", "register"},
    "student.windows:overlapping": TAUGHT,
    "student.teacher:Teacher": TAUGHT | {"register"},
    "validation.stage:run": {"validate"},
    "validation.rules.overlap:overlap": {"validate"},
    "validation.expectations.outcome:_expect_readable": {"validate"},
    "ensemble.blend:fit_blend": {"ensemble", "register", *TAUGHT},
    "ensemble.blend:apply_blend": {"ensemble", *EVERY_VERSION},
    "report.plots:plot_weights": {"ensemble"},
    "registry.gate:compare": {"register"},
    "inference.serving:score_frame": EVERY_VERSION - TAUGHT,
    "registry.serving.model_code:check_files": EVERY_VERSION - TAUGHT,
    "config.registry:GateParams": {"register"},
    "config.scoring:ScoringParams": EVERY_VERSION,
    "config.training:TrainingParams": {*TRAINED, *TAUGHT, "register"},
    "config.ensemble:EnsembleParams": {"ensemble", "register", *TAUGHT},
}  # fmt: skip
OF_NO_STAGE = (
    "models.efficientnet_lite0:efficientnet_lite0",
    "report.recording:write_recording_report",
    "tracking.runs:FoldRun",
    "simulator.sample:write_sample",
    "scoring.batch:score_inputs",
    "cli.commands.stages:train",
    "code_keys.digest:spell",
    "config.keys:code_key",
)


@pytest.mark.parametrize("identity", EDITS)
def test_an_edit_changes_just_what_it_touches(copy: Copy, identity: str) -> None:
    with copy.edited(identity):
        assert copy.changed() == EDITS[identity]


def test_edits_of_what_no_stage_runs_change_no_key(copy: Copy) -> None:
    with ExitStack() as edits:
        for identity in OF_NO_STAGE:
            edits.enter_context(copy.edited(identity))
        assert copy.changed() == set()


def test_a_page_that_validation_writes_is_the_validations(copy: Copy) -> None:
    with copy.file("validation/pages.css", lambda text: f"{text}\np {{color: red}}\n"):
        assert copy.changed() == {"validate"}


def test_a_renewed_starter_changes_no_key_of_a_recipe_that_does_not_name_it(copy: Copy) -> None:
    files = [path for path in (copy.folder / "starter").rglob("*") if path.is_file()]
    before = {path: path.read_bytes() for path in files}
    for path in files:
        path.write_bytes(before[path] + b" ")
    assert copy.changed() == set()
    for path in files:
        path.write_bytes(before[path])


@pytest.mark.parametrize("source", ["starter", "trunk.safetensors"])
def test_weights_that_a_member_starts_from_are_its_trainings(
    source: str, copy: Copy, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    path = copy.folder / STARTER if source == "starter" else tmp_path / source
    before = path.read_bytes() if path.exists() else b"one"
    path.write_bytes(before)
    member = MEMBERS["eegnet"] | {"pretrained": source}
    recipe = RECIPE_FILE | {"members": MEMBERS | {"eegnet": member}}
    one = flat(code_keys(recipe, copy.folder))
    path.write_bytes(before + b" ")
    two = flat(code_keys(recipe, copy.folder))
    path.write_bytes(before)
    assert {name for name in one if one[name] != two[name]} == {"train.eegnet"}
    assert weights_file("starter") == ROOT / "hms_pipeline" / STARTER


def starting_from(pretrained: str | None) -> Keys:
    """Keys where one member starts from other weights."""
    member = MEMBERS["eegnet"] | {"pretrained": pretrained}
    return Keys(RECIPE_FILE | {"members": MEMBERS | {"eegnet": member}})


@pytest.mark.parametrize(
    "pretrained", [None, "hub", "lite", "starter", STARTER, "a:b", "features", "cli.app", "absent"]
)
def test_the_weights_that_count_are_those_that_are_loaded(
    pretrained: str | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for name in {pretrained or "hub", "hub", "starter"} - {"absent"}:
        path = Path("starter-file" if name == "starter" else name)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"one")
    keys, loaded = starting_from(pretrained), weights_file(pretrained)
    added = {*keys.roots()["train.eegnet"]} - {*Keys(RECIPE_FILE).roots()["train.eegnet"]}
    counted = {path.resolve() for name in added if (path := keys.code.package.file(name))}
    assert counted == ({loaded.resolve()} if loaded and loaded.is_file() else set())
    before = keys.closure("train.eegnet").digest
    if loaded and tmp_path in loaded.resolve().parents and loaded.is_file():
        loaded.write_bytes(b"two")
        assert starting_from(pretrained).closure("train.eegnet").digest != before


def test_a_path_of_weights_that_cannot_be_looked_up_is_one_sentence() -> None:
    with pytest.raises(InputError, match="pretrained needs the path of a weights file, but 'xx"):
        starting_from("x" * 300).roots()


def test_an_editors_own_files_change_no_key(copy: Copy) -> None:
    views = copy.folder / "features" / "views"
    lock, kept = views / ".#mel.py", views / ".ipynb_checkpoints" / "mel-checkpoint.py"
    lock.symlink_to("someone@machine.1")  # an open file, by Emacs
    kept.parent.mkdir()
    kept.write_text((views / "mel.py").read_text(encoding="utf-8"), encoding="utf-8")
    try:
        assert copy.changed() == set()
    finally:
        lock.unlink()
        shutil.rmtree(kept.parent)


# What a stage reads of the recipe beside what dvc.yaml lists for it, and why it may.
BESIDE = {
    "train": {"views": "shapes and mirrors; in the manifests of the features, which it reads"},
    "student": {
        "members": "in the manifests of the folds",
        "views": "as above",
        "scoring": "of a Predictor, which the teacher asks for networks' answers alone",
        "validation": "as above",
    },
    "ensemble": {},
    "validate": {},
    "split": {},
    "features": {},
}


@pytest.mark.parametrize("stage", BESIDE)
def test_a_stages_code_reads_no_section_that_dvc_does_not_compare(
    stage: str, names: dict[str, set[str]]
) -> None:
    graph = yaml.safe_load((ROOT / "dvc.yaml").read_text())["stages"][stage]
    listed = [entry for entry in graph.get("do", graph)["params"] if isinstance(entry, str)]
    works = {"features": VIEWED, "train": TRAINED}.get(stage, {stage})
    field = f"{RECIPE}."
    read = {n.removeprefix(field) for w in works for n in names[w] if n.startswith(field)}
    sections = read & Params.model_fields.keys()
    assert sections - BESIDE[stage].keys() <= {entry.partition(".")[0] for entry in listed}
    assert BESIDE[stage].keys() <= sections


# ---------------------------------------------------------------- the tables, the clock, Python


def test_every_definition_that_the_tables_name_is_there() -> None:
    code = Keys(RECIPE_FILE).code
    package = code.package
    for module in SETTLED:
        assert module in package.modules, module
    for identity in (RECIPE, *DISCOVER, *DECORATORS, *COMPUTED_IMPORTS):
        module, _, own = identity.partition(":")
        outer, _, member = own.partition(".")
        assert package.definition(f"{module}:{outer}"), identity
        assert not member or member in code.members(f"{module}:{outer}"), identity


@pytest.mark.parametrize("name", recipes.NAMES)
def test_every_recipe_names_what_is_there(name: str) -> None:
    recipe = recipes.recipe(name).model_dump(mode="json")
    works = Keys(recipe).roots().keys()
    assert {f"views.{view}" for view in recipe["views"]} <= works
    assert {f"train.{member}" for member in recipe["members"]} <= works


PROGRAM = """
import json
from hms_pipeline.code_keys import code_keys
keys = code_keys(json.load(sys.stdin))
heavy = sorted({"torch", "mlflow", "pydantic", "numpy", "yaml"} & sys.modules.keys())
print(json.dumps({"keys": keys, "heavy": heavy}))
"""


def test_keys_need_no_framework() -> None:
    assert interpreters.run(sys.executable, PROGRAM, RECIPE_FILE)["heavy"] == []


@pytest.mark.parametrize("version", interpreters.VERSIONS)
def test_another_python_gives_the_same_keys(version: str, before: dict[str, str]) -> None:
    found = interpreters.others()
    if version not in found:
        pytest.skip(f"no other Python {version} starts here")
    assert flat(interpreters.run(found[version], PROGRAM, RECIPE_FILE)["keys"]) == before


def test_what_a_recipe_lacks_or_names_wrongly_is_one_sentence() -> None:
    for recipe, message in (
        ({}, "lacks 'views'"),
        (RECIPE_FILE | {"members": {"a": {"views": ["mel"]}}}, "lacks 'architecture'"),
        (
            RECIPE_FILE | {"views": {"wrong": {}}},
            r"Unknown view 'wrong'. Choose one of \['bipolar'",
        ),
    ):
        with pytest.raises(ValueError, match=message):
            code_keys(recipe)
    with pytest.raises(ValueError, match="Unknown piece of work 'train.x'. Choose one of"):
        explain(RECIPE_FILE, "train.x")
