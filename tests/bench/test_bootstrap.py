import numpy as np
import pytest

from ecc_deploy.bench.bootstrap import STATISTICS, block_length, interval, intervals, resampled, statistics


def _autoregressive(count: int, coefficient: float, seed: int) -> np.ndarray:
    """``x[t] = coefficient * x[t - 1] + noise``: what neighbours have in common is known."""
    noise = np.random.default_rng(seed).normal(size=count + 200)
    series = np.zeros(count + 200)
    for t in range(1, len(series)):
        series[t] = coefficient * series[t - 1] + noise[t]
    return series[200:]


def test_independent_samples_are_drawn_one_by_one_or_nearly() -> None:
    lengths = [block_length(np.random.default_rng(seed).lognormal(size=1000)) for seed in range(20)]
    assert np.median(lengths) <= 3


def test_the_more_neighbours_have_in_common_the_longer_the_blocks() -> None:
    weak, strong = (np.median([block_length(_autoregressive(1000, c, s)) for s in range(10)]) for c in (0.3, 0.9))
    assert 3 < weak < strong
    # Politis and White's optimum for this process: (3/2)^(1/3) * (2c / (1 - c^2))^(2/3) * n^(1/3), 51 for c = 0.9.
    assert 25 < strong < 95


def test_block_length_does_not_mind_an_outlier() -> None:
    series = _autoregressive(500, 0.9, 1)
    series[100] = 1e6
    assert block_length(series) > 15


def test_equal_values_are_no_correlation() -> None:
    answers = np.random.default_rng(0).random(1000) < 0.9  # right or wrong
    assert block_length(answers.astype(np.float64)) <= 3
    assert block_length(np.full(1000, 7.0)) == 1


@pytest.mark.parametrize("values", [np.ones(50), np.arange(4.0), np.zeros(1), np.arange(1000.0)])
def test_degenerate_series_have_a_block_length(values: np.ndarray) -> None:
    assert 1 <= block_length(values) <= max(1, len(values))


def test_resamples_are_made_of_blocks_and_as_long_as_the_series() -> None:
    series = np.arange(400.0)  # a trend: as correlated as can be
    length = block_length(series)
    assert length > 20
    rows = resampled(series, 0, 50, of=lambda drawn: drawn)
    assert rows.shape == (50, 400)
    steps = np.diff(rows, axis=1) % 400
    assert (steps != 1).sum(1).max() <= np.ceil(400 / length)


def test_it_is_the_same_for_the_same_seed_and_does_not_depend_on_the_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    series = np.random.default_rng(0).lognormal(size=300)
    found = resampled(series, 3)
    np.testing.assert_array_equal(found, resampled(series, 3))
    monkeypatch.setattr("ecc_deploy.bench.bootstrap._CHUNK", 1000)
    np.testing.assert_array_equal(found, resampled(series, 3))
    assert not np.array_equal(found, resampled(series, 4))


@pytest.mark.parametrize(("coefficient", "least"), [(0.0, 0.86), (0.7, 0.80)])
def test_intervals_hold_the_truth_about_as_often_as_they_say(coefficient: float, least: float) -> None:
    """Coverage of the median, whose truth is 0."""
    held = []
    for seed in range(150):
        draws = resampled(_autoregressive(300, coefficient, seed), seed, 200, of=lambda rows: np.median(rows, 1))
        low, high = interval(draws)
        held.append(low <= 0 <= high)
    assert least < np.mean(held) <= 1


def test_the_statistics_are_numpy_s() -> None:
    rows = np.random.default_rng(0).normal(size=(3, 57))
    wanted = [[*np.percentile(row, (50, 90, 95, 99)), row.mean()] for row in rows]
    np.testing.assert_allclose(statistics(rows), wanted)


def test_every_statistic_has_an_interval_around_it() -> None:
    series = np.random.default_rng(1).lognormal(size=500)
    found = intervals(series, 0)
    assert tuple(found) == STATISTICS
    for name, value in zip(STATISTICS, statistics(series[np.newaxis])[0], strict=True):
        assert found[name][0] <= value <= found[name][1]
        assert found[name][0] < found[name][1]
    assert intervals([4.0], 0)["p99"] == (4.0, 4.0)
