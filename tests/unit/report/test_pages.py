"""HTML reports: complete in one file, well-formed, safe, small, silent about patients."""

from __future__ import annotations

import base64
import json
import re
import shutil
import subprocess
from html.parser import HTMLParser

import numpy as np
import pandas as pd
import pytest

from hms_pipeline.data.window import Window
from hms_pipeline.ensemble import stage
from hms_pipeline.report.folder import write_folder_report
from hms_pipeline.report.montage import MISSING, RESOLUTION_UV, packed, screen_traces
from hms_pipeline.report.page import clock, facts
from hms_pipeline.report.plots import write_ensemble_plots
from hms_pipeline.report.recording import write_recording_report
from hms_pipeline.report.retrain import write_retrain_report
from hms_pipeline.schema import VOTE_COLUMNS
from hms_pipeline.scoring.explain import MASKED, Explanation
from hms_pipeline.scoring.notable import NotableWindow
from hms_pipeline.scoring.recording import RecordingScores
from hms_pipeline.student import stage as student
from hms_pipeline.system.errors import InputError
from hms_pipeline.system.files import write_sealed
from tests.recipes import recipe

from ..ensemble.panel import make_panel, write_artifacts

RNG = np.random.default_rng(0)
MEMBERS = ("v2s-spec", "eegnet")
MODEL = {"name": "hms-ensemble", "version": 4, "hashes": {"data": "ab12", "code": "cd34"}}


def timeline(n: int, hop_s: float = 10.0) -> pd.DataFrame:
    table = pd.DataFrame({"start_s": np.arange(n) * hop_s})
    table[list(VOTE_COLUMNS)] = RNG.dirichlet(np.ones(6), n)
    return table.assign(disagreement=RNG.gamma(2, 0.1, n), warnings="")


def scored(table: pd.DataFrame, **given: object) -> RecordingScores:
    """A recording's scores with nothing but a timeline, and what is given."""
    spectrogram = given.get("spectrogram", np.zeros((4, 100, 0)))
    plain = {
        "id": "",
        "duration_s": float(table["start_s"].iloc[-1]) + 50.0,
        "hop_s": 10.0,
        "timeline": table,
        "members": MEMBERS,
        "member_probs": np.zeros((len(MEMBERS), len(table), 6)),
        "spectrogram": spectrogram,
        "spectrogram_times_s": 2.0 * np.arange(spectrogram.shape[2]) + 1.0,
        "notable": (),
        "pauses_s": (),
        "warnings": (),
        "source": {},
    }
    return RecordingScores(**plain | given)


def window(start_s: float = 0.0, spectrogram: bool = False) -> NotableWindow:
    probs = RNG.dirichlet(np.ones(6), 3)
    eeg = RNG.normal(0, 40, (20, 10000)).astype(np.float32)
    around = RNG.gamma(2, 5, (4, 100, 300)).astype(np.float32) if spectrogram else None
    return NotableWindow(
        0, "highest probability of LPDs", start_s, Window(eeg, around), probs[0], probs[1:]
    )


def why() -> Explanation:
    return Explanation(1, 0.7, dict(zip(MASKED, (0.5, 0, 0, -0.1, 0), strict=True)),
                       np.r_[0.3, np.zeros(9)], 16, 1.5)  # fmt: skip


def data(text: str) -> dict:
    """What the page's viewer is given."""
    return json.loads(re.search(r'id="values">(.*?)</script>', text, flags=re.S)[1])


class Page(HTMLParser):
    """Tags left open, and every address a browser would load."""

    VOID = frozenset({"meta", "link", "img", "br", "hr", "input"})

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.addresses: list[str] = []
        self.text = text
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.addresses += [v for k, v in attrs if k in ("src", "href")]
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.addresses += [v for k, v in attrs if k in ("src", "href")]

    def handle_endtag(self, tag):
        assert self.open.pop() == tag


def check(path, beside: tuple[str, ...] = ()) -> str:
    """What holds for every report; returns its text."""
    page = Page(path.read_text())
    assert not page.open
    assert all(a.startswith(("data:image/png", "#")) or a in beside for a in page.addresses)
    assert "http" not in re.sub(r"data:image/png;base64,[\w+/=]+", "", page.text)
    assert "Research use only, not for diagnosis" in page.text
    assert "@media print" in page.text
    assert "prefers-color-scheme: dark" in page.text
    encoded = r'base64,[\w+/=]+|"traces": "[\w+/=]+"|<style>.*</style>|<script>.*</script>'
    assert not re.search(r"\bnan\b", re.sub(encoded, "", page.text, flags=re.S), flags=re.I)
    return page.text


def test_a_recording_with_everything(tmp_path):
    table = timeline(60)
    table.loc[10:20, "warnings"] = "Electrode T5 is flat."
    out = write_recording_report(
        tmp_path / "recording.html",
        scored(
            table,
            id="recording-12ab",
            notable=(window(100.0, spectrogram=True), window(300.0)),
            spectrogram=RNG.gamma(2, 5, (4, 100, 320)),
            warnings=("EKG is missing.",),
            source={"sfreq": 256.0},
        ),
        MODEL,
        explained=[why(), None],
    )
    text = check(out)
    for wanted in ("recording-12ab", "EKG is missing.", "in 11 of 60 windows, 1:40 to 4:10",
                   "1:40 – 2:30", "ab12", "hashes · code", "Fp1-F7",
                   "Without left temporal: 20%", "Without 0–5 s of the 50 s: 40%",
                   "lateralized periodic discharges", "right parasagittal", "dB of 1"):  # fmt: skip
        assert wanted in text
    assert out.stat().st_size < 2_000_000


def test_one_window_without_spectrogram_or_warnings(tmp_path):
    bare = timeline(1).assign(disagreement=0.0, warnings="")
    text = check(write_recording_report(tmp_path / "r.html", scored(bare), MODEL))
    assert "1 window of 50 s." in text
    assert "Nothing to report" in text


def test_a_day_stays_small(tmp_path):
    spectrogram = RNG.gamma(2, 5, (4, 100, 1500))
    day = scored(timeline(8640), spectrogram=spectrogram, duration_s=86_400.0)
    out = write_recording_report(tmp_path / "r.html", day, MODEL)
    check(out)
    assert out.stat().st_size < 3_000_000


def test_missing_electrodes_members_and_spectrogram_rows(tmp_path):
    bad = window()
    bad.window.eeg[2] = np.nan
    bad.member_probs[0] = np.nan
    spectrogram = RNG.gamma(2, 5, (4, 100, 60))
    spectrogram[:, :, 20:30] = np.nan
    scores = scored(timeline(8), notable=(bad,), spectrogram=spectrogram)
    out = write_recording_report(tmp_path / "r.html", scores, MODEL)
    assert "Left out: v2s-spec." in check(out)


def test_what_is_not_as_recorded_stands_beside_the_drawing(tmp_path):
    table = timeline(9).drop(index=[4, 5]).reset_index(drop=True)
    table.loc[0, "warnings"] = "channels at their limit: F3"
    scores = scored(table, notable=(window(),), source={"interpolated": ("O2", "Pz")})
    text = check(write_recording_report(tmp_path / "r.html", scores, MODEL))
    assert "Quality: channels at their limit: F3." in text
    assert "where no probabilities are drawn, windows were left out (see Quality)" in text
    assert "* Not recorded as drawn: O2, Pz are interpolated" in text
    marked = [name for name in data(text)["montage"]["names"] if name.endswith("*")]
    assert marked == ["Cz-Pz*", "P4-O2*", "T6-O2*"]
    plain = check(write_recording_report(tmp_path / "p.html", scored(timeline(9)), MODEL))
    assert "windows were left out" not in plain
    assert "Not recorded as drawn" not in plain


def test_times_are_of_the_day_where_it_is_known_when_the_recording_started(tmp_path):
    """A recording from 23:58:00.25 on, whose first warning lasts from 100 s to 150 s."""
    table = timeline(60).assign(warnings=["", *[""] * 9, "Electrode T5 is flat.", *[""] * 49])
    source = {"sfreq": 256.0, "start_of_day_s": 86_280.25}
    scores = scored(table, notable=(window(100.0),), source=source)
    page = write_recording_report(tmp_path / "r.html", scores, MODEL)
    text = check(page)
    assert "which stood at 23:58:00 when the recording started" in text
    assert "<h3>23:59:40 – day 2 00:00:30</h3>" in text
    assert "in 1 of 60 windows, 23:59:40 to day 2 00:00:30" in text
    assert data(text)["start_of_day_s"] == 86_280.25
    assert "start_of_day_s" not in re.sub(r"<script.*</script>", "", text, flags=re.S)


def test_text_from_files_is_escaped(tmp_path):
    evil = "<script>alert(1)</script>"
    bad = scored(timeline(3).assign(warnings=evil), id=evil, warnings=(evil,))
    out = write_recording_report(tmp_path / "r.html", bad, {evil: evil}, title=evil)
    assert evil not in check(out)
    scores = timeline(3).assign(id=evil, warnings=evil)
    out = write_folder_report(tmp_path / "f.html", scores=scores, model={}, failed=[(evil, evil)])
    assert evil not in check(out)


@pytest.mark.parametrize("size", [1, 40, 2000])
def test_the_page_holds_the_traces_that_are_read(size):
    eeg = (size * RNG.normal(size=(20, 10000))).astype(np.float32)
    eeg[:, 4000:4100] = np.nan
    sent = np.frombuffer(base64.b64decode(packed(eeg)["traces"]), "<i2").reshape(18, -1)
    traces = screen_traces(eeg)[:, ::2]
    missing = np.isnan(traces)
    np.testing.assert_array_equal(sent == MISSING, missing)
    shown = np.where(missing, np.nan, sent * RESOLUTION_UV)
    np.testing.assert_allclose(shown, np.clip(traces, -6553.4, 6553.4), atol=RESOLUTION_UV)


def test_traces_start_apart_from_each_other():
    eeg = RNG.normal(0, 40, (20, 10000))
    traces = screen_traces(eeg)
    share = np.abs(traces) / packed(eeg)["sensitivity"] < 7.0  # mm between traces
    assert share.mean() > 0.99
    assert packed(2 * eeg)["sensitivity"] > packed(eeg)["sensitivity"]
    assert packed(np.full((20, 10000), np.nan))["sensitivity"] == 1


@pytest.mark.skipif(not shutil.which("chromium"), reason="needs the browser chromium")
@pytest.mark.parametrize(
    ("start_of_day_s", "shown"), [(None, "0:20 – 0:30"), (80_000.0, "22:13:40 – 22:13:50")]
)
def test_a_browser_draws_every_figure(tmp_path, start_of_day_s, shown):
    spectrogram = RNG.gamma(2, 5, (4, 100, 320))
    scores = scored(
        timeline(60), notable=(window(), window(50.0)), spectrogram=spectrogram,
        source={"start_of_day_s": start_of_day_s},
    )  # fmt: skip
    page = write_recording_report(tmp_path / "r.html", scores, MODEL, explained=[why(), None])
    options = ["--no-sandbox", "--disable-gpu", "--virtual-time-budget=2000", "--dump-dom"]
    command = ["chromium", "--headless", *options, f"--user-data-dir={tmp_path}/profile", str(page)]
    drawn = subprocess.run(command, capture_output=True, text=True, timeout=120).stdout
    assert drawn.count('data-drawn="yes"') == 3
    assert shown in drawn


def test_an_index_links_to_its_recordings_and_is_sorted_as_it_says(tmp_path):
    scores = pd.concat([timeline(5).assign(id=name) for name in ("quiet", "odd one", "w7")])
    votes = list(VOTE_COLUMNS)
    scores.loc[scores["id"] == "quiet", votes] = [0.02] * 5 + [0.9]
    scores.loc[scores["id"] == "odd one", votes] = [0.9] + [0.02] * 5
    for name in ("quiet", "odd one"):
        (tmp_path / f"{name}.html").touch()
    out = write_folder_report(
        tmp_path / "index.html", scores=scores, model=MODEL, notable={"w7": window()}
    )
    text = check(out, beside=("odd%20one.html", "quiet.html"))
    assert text.index("odd%20one.html") < text.index("quiet.html")
    assert 'href="#window-1"' in text
    assert 'id="window-1"' in text


def test_a_folder(tmp_path):
    scores = timeline(700).assign(id=[f"w{i}" for i in range(700)])
    scores.loc[0, list(VOTE_COLUMNS)] = np.nan
    out = write_folder_report(
        tmp_path / "folder.html", scores=scores, model=MODEL, members=MEMBERS,
        notable={"w5": window()}, failed=[("w0", "An EEG needs 20 columns.")],
    )  # fmt: skip
    text = check(out)
    assert "699 windows scored, 1 input set aside" in text
    assert "the first 500 of 699; all are in the table of scores" in text
    assert len(data(text)["windows"]) == 1


def test_a_folder_without_any_warning(tmp_path):
    """A column of nothing is one of numbers when a table is read from CSV."""
    scores = timeline(2).assign(id=["a", "b"], warnings=np.nan)
    assert "2 windows scored" in check(
        write_folder_report(tmp_path / "folder.html", scores=scores, model=MODEL)
    )


def test_a_competition_folder_by_eeg_id_and_an_empty_one(tmp_path):
    scores = timeline(2).assign(eeg_id=[11, 12])
    assert ">11<" in check(write_folder_report(tmp_path / "a.html", scores=scores, model=MODEL))
    check(write_folder_report(tmp_path / "b.html", scores=scores.iloc[:0], model=MODEL))


@pytest.mark.parametrize("votes", [(1, 20), (1, 9)])
def test_a_retrain(tmp_path, votes):
    tiny = recipe("tiny")
    paths = write_artifacts(tmp_path, tiny, make_panel(60, 2, (0.6, 0.9), votes=votes))
    with pytest.raises(InputError, match="hms ensemble"):
        write_retrain_report(paths, tiny)
    stage.run(paths, tiny)
    assert "Not registered yet." in check(write_retrain_report(paths, tiny))
    write_ensemble_plots(paths, tiny)
    write_sealed(
        paths.registration,
        {"model": "hms-ensemble", "version": 2, "aliases": [], "verdict": "refused",
         "reasons": ["gain 0.0001 is below 0.001"],
         "student": {"model": "hms-student", "version": 7, "verdict": "promoted"}},
    )  # fmt: skip
    summary = {"kl": 0.5, "teacher": 0.4, "loss": 0.1, "loss_low": 0.05, "loss_high": 0.15}
    student._write_summary(paths.student.ensemble, summary)
    text = check(write_retrain_report(paths, tiny))
    assert "gain 0.0001 is below 0.001" in text
    assert "hms-student version 7" in text
    assert "+0.0500 to +0.1500" in text
    assert text.count("data:image/png") == 5
    assert "unknown (no git repository)" in text  # the code
    assert "unknown, digest untracked" in text  # the data


def test_clock_and_facts():
    assert [clock(s) for s in (0, 59.6, 3600)] == ["0:00", "1:00", "1:00:00"]
    assert facts({"a": {"b": None}, "c": (1, 2), "d": []}) == [
        ("a · b", "–"), ("c", "1, 2"), ("d", "–"),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("first", "last", "told"), [(0, 30, False), (1, 30, True), (0, 29, True), (2, 28, True)]
)
@pytest.mark.parametrize("rest_s", [0.0, 9.9])
def test_windows_left_out_at_either_end_are_explained(tmp_path, first, last, told, rest_s):
    table = timeline(30).iloc[first:last]
    scores = scored(table, duration_s=340.0 + rest_s)
    text = check(write_recording_report(tmp_path / "r.html", scores, MODEL))
    assert ("windows were left out (see Quality)" in text) == told


def test_a_pause_is_time_and_shaded(tmp_path):
    """3,000 windows, two hours of pause: points are on their own side of it, the axis on time."""
    table = timeline(3000)
    table.loc[1500:, "start_s"] += 7200.0
    scores = scored(table, duration_s=37_250.0, pauses_s=((15_040.0, 22_240.0),))
    out = write_recording_report(tmp_path / "r.html", scores, MODEL)
    text = check(out)
    assert "10:20:50 from start to end, 2:00:00 of it not recorded" in text
    assert "Times count from the recording's start, pauses included" in text
    line = data(text)["timeline"]
    assert line["pauses_s"] == [[15_040.0, 22_240.0]]
    times = np.array(line["time"])
    assert not ((times > 15_020 + 10) & (times < 22_225 - 10)).any()
    assert (np.diff(times) > 1.5 * line["hop_s"]).sum() == 1  # where the viewer breaks its lines
