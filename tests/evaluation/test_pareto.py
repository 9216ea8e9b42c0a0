from dataclasses import dataclass

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ecc_deploy.evaluation.pareto import Direction, front_of, pareto_front

# Few levels, so that there are ties in single criteria and equal points.
POINTS = st.integers(1, 4).flatmap(
    lambda width: st.tuples(
        st.lists(st.tuples(*[st.integers(0, 4)] * width), min_size=1, max_size=40),
        st.tuples(*[st.sampled_from(["up", "down"])] * width),
    )
)


def dominates(one: tuple[int, ...], other: tuple[int, ...], directions: tuple[Direction, ...]) -> bool:
    signs = [1 if direction == "up" else -1 for direction in directions]
    gains = [sign * (a - b) for sign, a, b in zip(signs, one, other, strict=True)]
    return min(gains) >= 0 and max(gains) > 0


@given(POINTS)
def test_the_front_is_what_nothing_dominates(case: tuple[list[tuple[int, ...]], tuple[Direction, ...]]) -> None:
    points, directions = case
    wanted = [i for i, point in enumerate(points) if not any(dominates(other, point, directions) for other in points)]
    assert pareto_front(np.asarray(points), directions).tolist() == wanted


@given(POINTS)
def test_every_point_off_the_front_is_dominated_by_one_on_it(
    case: tuple[list[tuple[int, ...]], tuple[Direction, ...]],
) -> None:
    points, directions = case
    front = pareto_front(np.asarray(points), directions).tolist()
    assert front
    for i in set(range(len(points))) - set(front):
        assert any(dominates(points[j], points[i], directions) for j in front)


def test_infinite_costs_are_compared_and_nans_are_not() -> None:
    assert pareto_front(np.array([[1.0, np.inf], [1.0, 2.0]]), ("up", "down")).tolist() == [1]
    with pytest.raises(ValueError, match="not a number"):
        pareto_front(np.array([[1.0, np.nan]]), ("up", "down"))
    with pytest.raises(ValueError, match="do not have 2 criteria"):
        pareto_front(np.zeros((3, 3)), ("up", "down"))


@dataclass(frozen=True)
class Thing:
    accuracy: float
    payload_bytes: float
    name: str


def test_items_by_attribute() -> None:
    things = [Thing(0.9, 10, "a"), Thing(0.8, 10, "b"), Thing(0.8, 5, "c"), Thing(0.8, 5, "d")]
    chosen = front_of(things, {"accuracy": "up", "payload_bytes": "down"})
    assert [thing.name for thing in chosen] == ["a", "c", "d"]
    assert front_of([]) == []
