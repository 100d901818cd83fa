"""A killed `hms score --report` starts no finished recording again and leaves out no page."""

from __future__ import annotations

from pathlib import Path

import pytest

from hms_pipeline.cli.pages import PageWriter
from hms_pipeline.data.reading import Reader
from hms_pipeline.scoring.batch import BatchSummary, score_inputs

from ...recordings import noise, write_edf
from ...scorer import Scorer, scoring


@pytest.fixture
def recordings(tmp_path: Path) -> list[Path]:
    paths = [tmp_path / f"rec{seed}.edf" for seed in range(3)]
    for seed, path in enumerate(paths):
        write_edf(path, noise(seconds=60, seed=seed))
    return paths


@pytest.fixture
def writer(tmp_path: Path) -> PageWriter:
    return PageWriter(tmp_path / "pages", tmp_path / "marks", {"version": 1})


def run(scorer: Scorer, recordings: list[Path], writer: PageWriter | None) -> BatchSummary:
    out = recordings[0].parent / "scores.csv"
    told = writer and writer.is_done
    return score_inputs(
        scorer, recordings, out, scoring(), on_recording=writer, is_reported=told, reader=Reader()
    )


def killed(recordings: list[Path], writer: PageWriter | None) -> None:
    with pytest.raises(KeyboardInterrupt):
        run(Scorer(stop_after=2), recordings, writer)


def test_finished_recordings_are_skipped(recordings: list[Path], writer: PageWriter) -> None:
    killed(recordings, writer)
    second = Scorer()
    summary = run(second, recordings, writer)
    assert (summary.n_resumed, summary.n_scored, len(second.batches)) == (4, 6, 1)
    assert len(list(writer.report.iterdir())) == len(list(writer.annotations.iterdir())) == 3


@pytest.mark.parametrize("kind", ["report", "annotations"])
def test_a_lost_page_is_written_again(
    recordings: list[Path], writer: PageWriter, kind: str
) -> None:
    killed(recordings, writer)
    next(iter(getattr(writer, kind).iterdir())).unlink()
    second = Scorer()
    assert run(second, recordings, writer).n_resumed == 2
    assert len(list(getattr(writer, kind).iterdir())) == 3


def test_a_page_of_another_run_is_not_this_ones(recordings: list[Path], writer: PageWriter) -> None:
    run(Scorer(), recordings, writer)
    (recordings[0].parent / "scores.csv").unlink()
    page = sorted(writer.report.iterdir())[0]
    page.write_text("of another model")
    killed(recordings, None)
    assert run(Scorer(), recordings, writer).n_resumed == 0
    assert page.read_text() != "of another model"


def test_a_run_without_pages_uses_parts_of_one_with_them(
    recordings: list[Path], writer: PageWriter
) -> None:
    killed(recordings, writer)
    assert run(Scorer(), recordings, None).n_resumed == 4
