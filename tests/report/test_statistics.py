import pytest

from ecc_deploy.report.statistics import is_paired, paired_difference, pareto_front, wilson
from tests.report.fake_bench import fake_bench


@pytest.mark.parametrize(
    ("right", "of", "low", "high"),
    [(8, 10, 0.4902, 0.9433), (0, 10, 0.0, 0.2775), (10, 10, 0.7225, 1.0), (931, 1000, 0.9136, 0.9451)],
)
def test_wilson_gives_published_intervals(right: int, of: int, low: float, high: float) -> None:
    assert wilson(right, of) == pytest.approx((low, high), abs=5e-5)


def test_wilson_of_nothing_says_nothing() -> None:
    assert wilson(0, 0) == (0, 1)


def test_paired_difference_counts_only_disagreements() -> None:
    bench = fake_bench(100)
    first, second = bench.arm("edge-only"), bench.arm("cloud-only/raw")
    label = first.raw.label
    wrong = [(value + 1) % 10 for value in label]
    # 12 samples that only the second has right, 2 that only the first has
    first.raw.predicted = wrong[:12] + label[12:]
    second.raw.predicted = label[:12] + wrong[12:14] + label[14:]
    found = paired_difference(first, second)
    assert found is not None
    middle, half = (2 - 12) / 102, 1.959964 * (15 - 100 / 102) ** 0.5 / 102
    assert found == pytest.approx((middle - half, middle + half), abs=1e-6)
    swapped = paired_difference(second, first)
    assert swapped == pytest.approx((-found.high, -found.low))


def test_arms_on_other_samples_are_not_paired() -> None:
    bench = fake_bench(50)
    first, second = bench.arm("adaptive"), bench.arm("dynamic")
    assert is_paired(first, second)
    second.raw.sample = second.raw.sample[::-1]
    assert not is_paired(first, second)
    assert paired_difference(first, second) is None
    first.raw.label = first.raw.label[:-1]
    assert not is_paired(first, first)


def test_pareto_front_keeps_what_nothing_beats() -> None:
    points = [(0, 0.5), (10, 0.9), (10, 0.8), (20, 0.9), (30, 0.95), (30, 0.95), (5, 0.4)]
    assert pareto_front(points) == [0, 1, 4, 5]
    assert pareto_front([]) == []
