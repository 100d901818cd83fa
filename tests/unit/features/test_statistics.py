"""Statistics from counts of float16 values equal those of the values."""

import numpy as np
import pytest

from hms_pipeline.features.statistics import count_values, describe_values


@pytest.fixture
def count(tmp_path):
    def count_of(blocks, n_channels, threads=1):
        paths = [tmp_path / f"{number}.npy" for number in range(len(blocks))]
        for path, block in zip(paths, blocks, strict=True):
            np.save(path, block)
        return count_values(paths, n_channels, threads)

    return count_of


@pytest.fixture
def values():
    rng = np.random.default_rng(0)
    return (rng.standard_normal((70, 2, 5, 6)) * [[[[1.0]], [[3.0]]]] + 0.5).astype(np.float16)


def test_statistics_equal_numpys(values, count):
    described = describe_values(count([values], 2), ["a", "b"])
    for number, channel in enumerate(described["channels"]):
        flat = values[:, number].astype(np.float64).reshape(-1)
        np.testing.assert_allclose(channel["mean"], flat.mean(), rtol=1e-12)
        np.testing.assert_allclose(channel["std"], flat.std(), rtol=1e-12)
        assert channel["min"] == flat.min()
        assert channel["max"] == flat.max()
        for q, value in channel["quantiles"].items():
            expected = np.quantile(flat, float(q), method="inverted_cdf")
            np.testing.assert_allclose(value, expected)


def test_the_histogram_holds_every_value(values, count):
    histogram = describe_values(count([values], 2), ["a", "b"])["histogram"]
    for number, counts in enumerate(histogram["counts"]):
        expected, _ = np.histogram(values[:, number].astype(float), histogram["edges"])
        assert counts == expected.tolist()


def test_grouping_does_not_matter(values, count):
    whole = count([values], 2)
    assert np.array_equal(whole, count([values[:3], values[3:50], values[50:]], 2, threads=3))


def test_a_constant_is_described(count):
    described = describe_values(count([np.zeros((2, 1, 3), np.float16)], 1), ["a"])
    assert described["channels"][0]["std"] == 0
    assert sum(described["histogram"]["counts"][0]) == 6
