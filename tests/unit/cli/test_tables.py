"""What commands print fits 80 columns, is one line a row in a pipe, and is JSON where asked."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from rich.console import Console

from hms_pipeline import __version__
from hms_pipeline.catalogue import discover
from hms_pipeline.cli import commands, tables
from hms_pipeline.cli.app import err, notes, out, run
from hms_pipeline.cli.progress import progress_bar
from hms_pipeline.ensemble import stage
from tests.recipes import recipe

from ..ensemble.panel import make_panel, write_artifacts

ROOT = Path(__file__).parents[3]
ROWS = [
    {"name": "a", "n": 1, "share": 0.25, "why": "It [is] longer than a terminal is wide. " * 4},
    {"name": "bcd", "n": 200, "share": None, "why": "two\nlines"},
]


@pytest.fixture(autouse=True)
def all_commands(monkeypatch: pytest.MonkeyPatch) -> None:
    discover(commands.__name__, list(commands.__path__))
    monkeypatch.chdir(ROOT)
    monkeypatch.setattr(out, "quiet", False)  # a command of another test may have asked for JSON


@pytest.fixture
def judged(tmp_path: Path) -> list[str]:
    """Global options that point to an ensemble's artifacts."""
    tiny = recipe("tiny")
    stage.run(write_artifacts(tmp_path, tiny, make_panel(60, 2, (0.6, 0.9))), tiny)
    return ["--artifacts", str(tmp_path / "artifacts")]


def test_a_pipe_gets_one_line_a_row(capsys: pytest.CaptureFixture[str]) -> None:
    tables.print_table("Title", ROWS)
    head, first, second = capsys.readouterr().out.splitlines()
    assert head.split() == ["name", "n", "share", "why"]
    assert first.split()[:4] == ["a", "1", "0.2500", "It"]
    assert first.index("It [is] longer") == second.index("two lines") == head.index("why")


def test_a_line_in_a_pipe_is_one_line_as_it_stands(capsys: pytest.CaptureFixture[str]) -> None:
    line = f"Scores: [b]/:x:/{'x' * 200}/scores.csv"
    tables.out.print(line)
    assert capsys.readouterr().out == f"{line}\n"


def test_a_terminal_of_80_columns_is_not_exceeded(monkeypatch: pytest.MonkeyPatch) -> None:
    screen = Console(
        markup=False, soft_wrap=True, force_terminal=True, width=80, color_system=None, record=True
    )
    monkeypatch.setattr(tables, "out", screen)
    tables.print_table("Title of many words " * 7, ROWS)
    text = screen.export_text()
    assert max(map(len, text.splitlines())) <= 80
    assert "Title" in text
    assert "[is]" in text


def test_facts_are_words(capsys: pytest.CaptureFixture[str]) -> None:
    reasons = ["It gains 0.1 nats on the windows that count.", "It is small."]
    tables.print_facts({"aliases": ["a", "b"], "reasons": reasons, "from": {"run": {"id": 1}}})
    assert capsys.readouterr().out.splitlines() == [
        "aliases: a, b", "reasons:", f"  1: {reasons[0]}", f"  2: {reasons[1]}",
        "from:", "  run: id 1",
    ]  # fmt: skip


def test_facts_show_twelve_digits_of_a_hash(capsys: pytest.CaptureFixture[str]) -> None:
    sha, back = 32 * "ab", f"git checkout {20 * 'cd'}"
    tables.print_facts({"code": sha, "from": {"views": {"mel": sha}}, "back": [back]})
    shown = capsys.readouterr().out
    assert sha not in shown
    assert "code: abababababab\n" in shown
    assert "  views: mel abababababab\n" in shown
    assert back in shown


@pytest.mark.parametrize("command", ["views", "views mel", "members", "models", "results"])
def test_json_is_one_document_and_a_listing_writes_nothing(
    command: str, judged: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    params = tmp_path / "params.yaml"
    params.write_bytes((ROOT / "params.yaml").read_bytes())
    before = sorted(tmp_path.rglob("*"))
    assert run([*judged, "--params", str(params), *command.split(), "--json"]) == 0
    shown = capsys.readouterr()
    assert json.loads(shown.out) is not None
    assert shown.err == ""
    assert sorted(tmp_path.rglob("*")) == before


def test_results_as_json_are_numbers(judged: list[str], capsys) -> None:
    assert run([*judged, "results", "--json"]) == 0
    rows = json.loads(capsys.readouterr().out)
    low, high = rows[0]["interval"]
    assert low < rows[0][">=10"] < high


def test_json_of_a_refusal_is_empty(tmp_path: Path, capsys) -> None:
    assert run(["--artifacts", str(tmp_path), "results", "--json"]) == 2
    shown = capsys.readouterr()
    assert shown.out == ""
    assert "metrics.json" in shown.err
    assert run(["--artifacts", str(tmp_path), "--version"]) == 0
    assert capsys.readouterr().out == f"hms_pipeline {__version__}\n"


@pytest.mark.parametrize("quiet", [False, True])
def test_quiet_silences_progress_and_notes_alone(quiet: bool, monkeypatch, capsys) -> None:
    monkeypatch.setattr("hms_pipeline.cli.progress.LOG_EVERY_S", 0.0)
    assert run([*(["--quiet"] if quiet else []), "views"]) == 0
    assert "mel" in capsys.readouterr().out
    with progress_bar("work") as progress:
        progress(1, 2)
    assert bool(capsys.readouterr().err) != quiet
    assert not out.quiet
    assert not err.quiet
    assert notes.quiet == quiet


@pytest.mark.parametrize(
    ("words", "wanted"),
    [
        ("hms mod", "models"),
        ("hms views me", "mel"),
        ("hms train ee", "eegnet"),
        ("hms recipe ti", "tiny"),
        ("hms keys --why views.me", "views.mel"),
        ("hms score --model star", "starter"),
        ("hms promote --model stu", "student"),
    ],
)
def test_a_shell_completes(words: str, wanted: str, monkeypatch, capsys) -> None:
    monkeypatch.setenv("_HMS_COMPLETE", "complete_bash")
    monkeypatch.setenv("COMP_WORDS", words)
    monkeypatch.setenv("COMP_CWORD", str(len(words.split()) - 1))
    with pytest.raises(SystemExit):
        run([])
    assert capsys.readouterr().out.split() == [wanted]
