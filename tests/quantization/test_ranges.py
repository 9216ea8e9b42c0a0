"""Ranges of distributions whose best range is known."""

from collections.abc import Iterable, Mapping

import numpy as np
import pytest

from ecc_deploy.quantization.ranges import LEVELS, Activations, RangeMethod, find_ranges

METHODS = ("minmax", "percentile", "entropy", "mse")


def given(**tensors: np.ndarray) -> Activations:
    """In batches of ten rows."""

    def batches() -> Iterable[Mapping[str, np.ndarray]]:
        rows = len(next(iter(tensors.values())))
        for start in range(0, rows, 10):
            yield {name: array[start : start + 10] for name, array in tensors.items()}

    return batches


def error(values: np.ndarray, low: float, high: float) -> float:
    """Mean squared error of 256 codes from ``low`` to ``high``."""
    step = (high - low) / (LEVELS - 1)
    return float(((np.clip(np.rint((values - low) / step), 0, LEVELS - 1) * step + low - values) ** 2).mean())


@pytest.mark.parametrize("method", METHODS)
def test_uniform_values_keep_nearly_all_of_their_range(method: str) -> None:
    values = np.random.default_rng(0).uniform(-1, 3, (100, 1000)).astype(np.float32)
    low, high = find_ranges(given(x=values), RangeMethod(method))["x"]  # type: ignore[arg-type]
    assert -1 <= low <= -0.9
    assert 2.7 <= high <= 3


@pytest.mark.parametrize("method", METHODS)
def test_zero_is_always_inside_and_a_constant_has_a_width(method: str) -> None:
    tensors = {"high": np.full((20, 5), 7.0), "low": np.full((20, 5), -7.0), "none": np.zeros((20, 5))}
    for low, high in find_ranges(given(**tensors), RangeMethod(method)).values():  # type: ignore[arg-type]
        assert low <= 0 <= high
        assert high > low


@pytest.mark.parametrize("method", ["percentile", "entropy", "mse"])
def test_a_rare_outlier_does_not_take_the_range(method: str) -> None:
    rng = np.random.default_rng(1)
    values = np.maximum(rng.normal(0, 1, (200, 500)), 0)
    values[0, 0] = 400.0
    ranges = find_ranges(given(x=values), RangeMethod(method, percentile=99.9))  # type: ignore[arg-type]
    low, high = ranges["x"]
    assert low == 0
    assert high < {"percentile": 5, "entropy": 60, "mse": 360}[method]
    assert find_ranges(given(x=values), RangeMethod("minmax"))["x"] == (0.0, 400.0)


def test_mse_is_at_least_as_good_as_the_others() -> None:
    values = np.random.default_rng(2).standard_t(5, (200, 500))
    errors = {m: error(values, *find_ranges(given(x=values), RangeMethod(m))["x"]) for m in METHODS}  # type: ignore[arg-type]
    assert errors["mse"] == min(errors.values())
    assert errors["mse"] < 0.9 * errors["minmax"]


def test_percentile_leaves_out_what_it_says() -> None:
    values = np.arange(-5000, 5000, dtype=np.float64).reshape(100, 100)
    low, high = find_ranges(given(x=values), RangeMethod("percentile", percentile=90.0))["x"]
    assert low == pytest.approx(-4500, abs=10)
    assert high == pytest.approx(4500, abs=10)


def test_each_tensor_has_its_own_range() -> None:
    rng = np.random.default_rng(3)
    tensors = {"a": rng.uniform(0, 1, (50, 10)), "b": rng.uniform(-9, 0, (50, 10))}
    found = find_ranges(given(**tensors), RangeMethod())
    assert found == {
        "a": (0.0, pytest.approx(tensors["a"].max())),
        "b": (pytest.approx(tensors["b"].min()), pytest.approx(0, abs=1e-5)),
    }


@pytest.mark.parametrize("method", METHODS)
def test_what_pads_a_maximum_is_no_value(method: str) -> None:
    values = np.random.default_rng(0).normal(size=(4, 500)).astype(np.float32)
    padded = np.concatenate([values, np.full((4, 20), -np.inf, np.float32)], axis=1)
    how = RangeMethod(method)
    assert find_ranges(lambda: [{"x": padded}], how) == find_ranges(lambda: [{"x": values}], how)
    only = find_ranges(lambda: [{"x": np.full(3, -np.inf)}], how)["x"]
    assert np.isfinite(only).all()
