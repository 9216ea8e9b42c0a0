import numpy as np
import pytest

from ecc_deploy.comparison.noise import FEWEST_ROUNDS, median_ratio, paired_loss


def test_few_rounds_say_nothing() -> None:
    assert median_ratio([1.0] * (FEWEST_ROUNDS - 1), [1.0] * (FEWEST_ROUNDS - 1)) is None
    assert median_ratio([2.0] * FEWEST_ROUNDS, [1.0] * FEWEST_ROUNDS) == (2.0, (2.0, 2.0))


def test_what_slows_both_down_changes_nothing() -> None:
    drift = np.linspace(1, 20, 200)
    found = median_ratio(list(1.8 * drift), list(drift))
    assert found is not None
    assert found[0] == pytest.approx(1.8)
    assert found[1] == pytest.approx((1.8, 1.8))


def test_the_interval_is_of_order_statistics_and_outliers_do_not_move_it() -> None:
    ratios = np.arange(1, 101) / 50  # median 1.01
    found = median_ratio(list(ratios), [1.0] * 100)
    assert found is not None
    assert found[0] == pytest.approx(1.01)
    # (100 - 1.96 * 10) / 2 = 40.2: the 41st smallest and the 41st largest
    assert found[1] == pytest.approx((41 / 50, 60 / 50))
    ratios[-30:] *= 1000
    assert median_ratio(list(ratios), [1.0] * 100) == found


def test_the_interval_covers_the_true_ratio_about_as_often_as_it_says() -> None:
    rng = np.random.default_rng(0)
    times = 1.3 * rng.lognormal(0, 0.3, (1000, 100)) / rng.lognormal(0, 0.3, (1000, 100))
    found = [median_ratio(row.tolist(), [1.0] * 100) for row in times]
    covered = np.mean([item is not None and item[1].low <= 1.3 <= item[1].high for item in found])
    assert 0.92 < covered < 0.98


def test_a_loss_counts_what_only_one_gets_right() -> None:
    reference = np.array([True] * 90 + [False] * 10)
    same, (low, high) = paired_loss(reference, reference)
    assert same == 0
    assert low == pytest.approx(-high)
    worse = reference.copy()
    worse[:8] = False
    worse[95:97] = True
    lost, interval = paired_loss(worse, reference)
    assert lost == pytest.approx(0.06)
    # Agresti and Min: 8.5 lost and 2.5 gained of 102
    half = 1.959964 * np.sqrt(11 - 36 / 102) / 102
    assert interval == pytest.approx((6 / 102 - half, 6 / 102 + half), abs=1e-6)
    assert paired_loss(reference, worse)[0] == pytest.approx(-0.06)
