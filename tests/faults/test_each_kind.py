"""Each kind of fault by itself: it is felt, no answer is wrong while it lasts, and the cloud answers again after it."""

import itertools
import time
from collections.abc import Callable, Iterator

import pytest

from ecc_deploy.bundle import Bundle
from ecc_deploy.runtime.client import CloudClient
from ecc_deploy.runtime.engine import EdgeRuntime
from ecc_deploy.runtime.result import Prediction, Reason, Route
from tests.faults.children import Place
from tests.faults.kinds import KINDS, Kind
from tests.faults.truth import Truth

REASONS = {
    "server: killed": {Reason.UNAVAILABLE},
    "server: frozen": {Reason.DEADLINE},
    "link: forget": {Reason.DEADLINE},
    "link: swallow": {Reason.DEADLINE},
    "link: cut": {Reason.DEADLINE},
    "link: late": {Reason.DEADLINE},
    "link: refuse": {Reason.UNAVAILABLE},
    "link: reset": {Reason.UNAVAILABLE},
    "link: trickle": {Reason.DEADLINE},
    "answers: slow": {Reason.DEADLINE},
    "answers: busy": {Reason.REFUSED},
    "answers: wrong-shape": {Reason.REFUSED},
    "answers: not-finite": {Reason.REFUSED},
}
"""Where the kind of fault leaves no doubt about what is to be told."""


@pytest.fixture
def ask(rich_bundle: Bundle, somewhere: Place, truth: Truth) -> Iterator[Callable[[], Prediction]]:
    """Answers sample after sample, and makes sure that each answer is its own."""
    numbers = itertools.cycle(range(len(truth.images)))
    with (
        CloudClient(somewhere.url, rich_bundle.manifest) as cloud,
        EdgeRuntime(rich_bundle, "adaptive-fused", cloud=cloud, deadline_ms=150) as runtime,
    ):
        cloud.connect(60)

        def predict() -> Prediction:
            index = next(numbers)
            prediction = runtime.predict(truth.images[index])
            assert truth.fault_of("adaptive-fused", index, prediction) is None
            return prediction

        yield predict


def until(ask: Callable[[], Prediction], route: Route) -> list[Prediction]:
    """Ask until an answer comes from ``route``; all answers."""
    end = time.monotonic() + 30
    found = [ask()]
    while found[-1].route != route:
        assert time.monotonic() < end, f"no answer by the {route}, but {found[-1].reason}: {found[-1].detail}"
        time.sleep(0.02)
        found.append(ask())
    return found


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.name.replace(": ", "-"))
def test_a_fault_is_felt_and_got_over(kind: Kind, somewhere: Place, ask: Callable[[], Prediction]) -> None:
    until(ask, Route.CLOUD)
    kind.inject(somewhere)
    try:
        fallen = until(ask, Route.EDGE)[-1]
        more = [ask() for _ in range(5)]
    finally:
        kind.undo(somewhere)
    assert fallen.reason.is_fallback
    assert fallen.detail
    if kind.name in REASONS:
        assert {p.reason for p in (fallen, *more)} == REASONS[kind.name]
    until(ask, Route.CLOUD)
    assert {ask().route for _ in range(10)} == {Route.CLOUD}
