"""Votes → target."""

from __future__ import annotations

import numpy as np
import pytest

from hms_pipeline.datasets.targets import votes_to_target


def test_targets_are_vote_shares():
    votes = np.array([[3, 0, 0, 0, 0, 1], [0, 0, 16, 0, 0, 0]])
    np.testing.assert_allclose(
        votes_to_target(votes), [[0.75, 0, 0, 0, 0, 0.25], [0, 0, 1, 0, 0, 0]]
    )


def test_only_windows_with_few_votes_are_smoothed():
    votes = np.array([[3, 0, 0, 0, 0, 0], [4, 0, 0, 0, 0, 0]])
    target = votes_to_target(votes, smoothing=0.06, smoothing_max_votes=3)
    np.testing.assert_allclose(target[0], [0.95, 0.01, 0.01, 0.01, 0.01, 0.01])
    np.testing.assert_allclose(target[1], [1, 0, 0, 0, 0, 0])
    np.testing.assert_allclose(target.sum(1), 1)


@pytest.mark.parametrize(
    "votes", [np.zeros((1, 6)), np.array([[2, -1, 0, 0, 0, 0]]), np.ones((2, 5))]
)
def test_what_is_no_count_is_refused(votes):
    with pytest.raises(ValueError, match="votes must"):
        votes_to_target(votes)
