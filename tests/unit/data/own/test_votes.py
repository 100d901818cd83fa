from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from hms_pipeline.data.own.labels import Label
from hms_pipeline.data.own.votes import STRETCH, Timed, count_votes
from hms_pipeline.schema import CLASSES, SFREQ

ONE = {name: tuple(int(k == name) for k in CLASSES) for name in CLASSES}


def mark(start_s: float, name: str, reader: str = "r", duration_s: float = 0.0) -> Timed:
    return Timed(Label(None, start_s, duration_s, ONE[name], reader), start_s)


def panel(row: int, start_s: float, votes: tuple[int, ...]) -> Timed:
    return Timed(Label(row, start_s, 0.0, votes, None), start_s)


def test_several_readers_of_one_stretch_become_votes() -> None:
    votes, faults = count_votes([mark(30, "lpd", "a"), mark(30, "lpd", "b"), mark(30, "gpd", "c")])
    assert votes == {6000: (0, 2, 1, 0, 0, 0)}
    assert not faults


def test_one_reader_has_one_vote_however_often_the_mark_is_made() -> None:
    votes, faults = count_votes([mark(30, "lpd"), mark(30, "lpd")])
    assert votes == {6000: ONE["lpd"]}
    assert [fault.kind for fault in faults] == ["repeat"]


def test_a_reader_who_contradicts_himself_has_no_vote_there() -> None:
    votes, (fault,) = count_votes([mark(30, "lpd"), mark(30, "gpd"), mark(30, "grda", "b")])
    assert votes == {6000: ONE["grda"]}
    assert fault.kind == "contradiction"
    assert "'r' marks both lpd and gpd" in fault.reason


def test_marks_that_overlap_by_half_vote_on_each_other() -> None:
    votes, _ = count_votes([mark(30, "lpd", "a"), mark(34, "gpd", "b"), mark(41, "other", "c")])
    assert votes == {6000: (0, 1, 1, 0, 0, 0), 6800: (0, 1, 1, 0, 0, 0), 8200: ONE["other"]}


def test_exactly_half_counts() -> None:
    votes, _ = count_votes([mark(30, "lpd", "a"), mark(35, "gpd", "b")])
    assert votes == {6000: (0, 1, 1, 0, 0, 0), 7000: (0, 1, 1, 0, 0, 0)}


def test_long_marks_meet_on_the_recordings_tens_of_seconds() -> None:
    first, second = mark(97, "seizure", "a", 41), mark(103, "seizure", "b", 30)
    votes, _ = count_votes([first, second])
    assert votes == {
        20_000: (2, 0, 0, 0, 0, 0),  # 100 to 110 s; b marks 7 s of them
        22_000: (2, 0, 0, 0, 0, 0),
        24_000: (2, 0, 0, 0, 0, 0),
    }


def test_a_short_mark_speaks_for_the_ten_seconds_around_it() -> None:
    assert mark(100, "lpd", duration_s=2).span == (19_200, 21_200)
    assert mark(100, "lpd", duration_s=2).stretches == [19_200]
    for point_s in (0.0, 0.005):  # BrainVision's markers last one sample
        assert mark(100, "lpd", duration_s=point_s).span == (20_000, 22_000)


@given(st.floats(0, 500), st.floats(0, 120))
def test_every_mark_names_stretches_inside_itself(start_s: float, duration_s: float) -> None:
    timed = mark(start_s, "gpd", duration_s=duration_s)
    first, stop = timed.span
    assert stop - first >= STRETCH
    assert timed.stretches
    for start in timed.stretches:
        assert first <= start
        assert start + STRETCH <= stop


@given(
    st.lists(
        st.tuples(
            st.floats(0, 200), st.sampled_from(CLASSES), st.sampled_from("abc"), st.floats(0, 60)
        ),
        max_size=12,
    )
)
def test_votes_as_counted_sample_by_sample(drawn: list) -> None:
    """The same by brute force: what each reader marked at each sample of each stretch."""
    marks = [mark(*item) for item in drawn]
    votes, _ = count_votes(marks)
    expected = {}
    for start in sorted({s for timed in marks for s in timed.stretches}):
        total = [0] * len(CLASSES)
        for reader in "abc":
            best = [
                max(
                    (
                        len(range(max(start, a), min(start + STRETCH, b)))
                        for timed in marks
                        for a, b in [timed.span]
                        if timed.label.reader == reader and timed.label.votes == ONE[name]
                    ),
                    default=0,
                )
                for name in CLASSES
            ]
            if max(best) >= STRETCH / 2 and best.count(max(best)) == 1:
                total[best.index(max(best))] += 1
        if any(total):
            expected[start] = tuple(total)
    assert votes == expected


def test_rows_with_six_votes_stand_for_themselves() -> None:
    given = [panel(2, 30, (3, 0, 0, 0, 0, 1)), panel(3, 34, (2, 0, 0, 0, 0, 2))]
    votes, faults = count_votes(given)
    assert votes == {int(30 * SFREQ): (3, 0, 0, 0, 0, 1), int(34 * SFREQ): (2, 0, 0, 0, 0, 2)}
    assert not faults


def test_rows_with_six_votes_on_one_stretch_agree_or_are_left_out() -> None:
    same, faults = count_votes([panel(2, 30, ONE["lpd"]), panel(3, 30, ONE["lpd"])])
    assert same == {6000: ONE["lpd"]}
    assert [(fault.row, fault.kind) for fault in faults] == [(3, "repeat")]
    none, faults = count_votes([panel(2, 30, ONE["lpd"]), panel(3, 30, ONE["gpd"])])
    assert none == {}
    assert [(fault.row, fault.kind) for fault in faults] == [
        (2, "contradiction"), (3, "contradiction")
    ]  # fmt: skip
