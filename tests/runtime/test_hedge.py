"""A second request where the first takes long: who wins, what it costs, and that nothing is left."""

import threading
from concurrent.futures import CancelledError

import numpy as np
import pytest

from ecc_deploy.bundle import Bundle
from ecc_deploy.errors import UsageError
from ecc_deploy.runtime.client import CloudClient, CloudError
from ecc_deploy.runtime.engine import EdgeRuntime
from ecc_deploy.runtime.hedge import Hedge
from ecc_deploy.runtime.result import Reason, Route
from ecc_deploy.runtime.timer import Timer
from tests import reference
from tests.runtime.clouds import ManualCloud, WildCloud
from tests.runtime.fakes import silent_server
from tests.toy import samples

IMAGES = samples(40, seed=31).images
PAYLOAD = bytes(8)


class Now(Timer):
    """Calls when it is told to."""

    def __init__(self) -> None:
        super().__init__("now")
        self.waiting: list = []

    def after(self, seconds, call):
        item = (seconds, call)
        self.waiting.append(item)
        return lambda: self.waiting.remove(item) if item in self.waiting else None

    def pass_time(self) -> None:
        for _, call in list(self.waiting):
            call()


@pytest.fixture
def two(toy_bundle: Bundle) -> tuple[ManualCloud, ManualCloud]:
    return ManualCloud(toy_bundle), ManualCloud(toy_bundle)


def ask(hedge: Hedge):
    return hedge.submit("tail", PAYLOAD, "int4", 20.0)


@pytest.mark.parametrize("winner", [0, 1])
def test_the_first_answer_wins_and_the_other_is_cancelled(two: tuple[ManualCloud, ManualCloud], winner: int) -> None:
    timer = Now()
    hedge = Hedge(*two, after_ms=5, budget=1.0, timer=timer)
    future = ask(hedge)
    assert not two[1].requests
    timer.pass_time()
    assert two[1].requests[0][2] <= 20.0
    two[winner].answer()
    assert future.result(0).requests == 2
    assert two[1 - winner].requests[0][1].cancelled()
    assert (hedge.counts.requests, hedge.counts.hedges, hedge.counts.won) == (1, 1, winner)
    assert hedge.counts.payload_bytes == 2 * len(PAYLOAD)
    assert not timer.waiting


def test_an_answer_in_time_costs_nothing(two: tuple[ManualCloud, ManualCloud]) -> None:
    timer = Now()
    hedge = Hedge(*two, after_ms=5, timer=timer)
    future = ask(hedge)
    two[0].answer()
    assert future.result(0).requests == 1
    timer.pass_time()
    assert not two[1].requests


def test_a_failure_is_hedged_at_once_and_a_deadline_is_not(two: tuple[ManualCloud, ManualCloud]) -> None:
    hedge = Hedge(*two, after_ms=5, budget=1.0, timer=Now())
    future = ask(hedge)
    two[0].answer(error=CloudError(Reason.UNAVAILABLE, "down"))
    two[1].answer()
    assert future.result(0).requests == 2
    late = ask(hedge)
    two[0].answer(error=CloudError(Reason.DEADLINE, "late"))
    assert not two[1].open
    error = late.exception(0)
    assert isinstance(error, CloudError)
    assert (error.reason, error.requests) == (Reason.DEADLINE, 1)


@pytest.mark.parametrize("order", [(0, 1), (1, 0)])
def test_where_both_fail_it_is_told_once_both_have(
    two: tuple[ManualCloud, ManualCloud], order: tuple[int, int]
) -> None:
    timer = Now()
    hedge = Hedge(*two, after_ms=5, budget=1.0, timer=timer)
    future = ask(hedge)
    timer.pass_time()
    two[order[0]].answer(error=CloudError(Reason.REFUSED, "first to fail"))
    assert not future.done()
    two[order[1]].answer(error=CloudError(Reason.UNAVAILABLE, "last to fail"))
    error = future.exception(0)
    assert isinstance(error, CloudError)
    assert (error.reason, error.requests) == (Reason.REFUSED, 2)


def test_one_fails_and_the_other_answers(two: tuple[ManualCloud, ManualCloud]) -> None:
    timer = Now()
    hedge = Hedge(*two, after_ms=5, budget=1.0, timer=timer)
    future = ask(hedge)
    timer.pass_time()
    two[1].answer(error=CloudError(Reason.REFUSED, "no"))
    two[0].answer()
    assert future.result(0).requests == 2


def test_the_budget_bounds_second_requests(two: tuple[ManualCloud, ManualCloud]) -> None:
    timer = Now()
    hedge = Hedge(*two, after_ms=5, budget=0.1, timer=timer)
    futures = [ask(hedge) for _ in range(100)]
    timer.pass_time()
    assert hedge.counts.hedges == len(two[1].requests) == 10
    assert not any(future.done() for future in futures)


def test_by_itself_it_waits_for_the_usual_time(two: tuple[ManualCloud, ManualCloud]) -> None:
    timer = Now()
    hedge = Hedge(*two, timer=timer)
    for _ in range(20):
        future = ask(hedge)
        assert not timer.waiting
        two[0].answer()
        future.result(0)
    ask(hedge)
    ((seconds, _),) = timer.waiting
    assert seconds == pytest.approx(0.001)  # every round trip so far was 1 ms


def test_cancelling_ends_both(two: tuple[ManualCloud, ManualCloud]) -> None:
    timer = Now()
    hedge = Hedge(*two, after_ms=5, budget=1.0, timer=timer)
    future = ask(hedge)
    timer.pass_time()
    assert future.cancel()
    assert two[0].requests[0][1].cancelled()
    assert two[1].requests[0][1].cancelled()
    with pytest.raises(CancelledError):
        future.result(0)


def test_over_a_real_link_that_hangs(toy_bundle: Bundle, cloud: CloudClient) -> None:
    with (
        silent_server() as url,
        CloudClient(url, toy_bundle.manifest) as hanging,
        Hedge(hanging, cloud, after_ms=1, budget=1.0) as hedge,
        EdgeRuntime(toy_bundle, "adaptive", cloud=hedge, deadline_ms=20_000) as runtime,
    ):
        alone = EdgeRuntime(toy_bundle, "adaptive", cloud=cloud, deadline_ms=20_000).predict(IMAGES[0])
        found = [runtime.predict(image) for image in IMAGES[:3]]
    assert {p.route for p in found} == {Route.CLOUD}
    assert found[0].payload_bytes == 2 * alone.payload_bytes
    np.testing.assert_allclose([p.logits for p in found], reference.tail_logits(IMAGES[:3]), atol=1e-4)
    assert not [thread for thread in threading.enumerate() if thread.name == "ecc-hedge"]


def test_wild_clouds(toy_bundle: Bundle) -> None:
    wild = [WildCloud(toy_bundle, seed, failures=0.5) for seed in (1, 2)]
    with (
        Hedge(*wild, after_ms=0.5, budget=1.0) as hedge,
        EdgeRuntime(toy_bundle, "adaptive", cloud=hedge, deadline_ms=20_000) as runtime,
    ):
        found = list(runtime.predict_many(IMAGES, in_flight=6))
    for cloud in wild:
        cloud.close()
    edge, tail = reference.edge_logits(IMAGES), reference.tail_logits(IMAGES)
    for index, prediction in enumerate(found):
        wanted = (tail if prediction.route == Route.CLOUD else edge)[index]
        np.testing.assert_allclose(prediction.logits, wanted, atol=1e-4)
    assert hedge.counts.requests == len(IMAGES)
    assert hedge.counts.hedges == len(wild[1].requests) > 0
    assert sum(p.payload_bytes for p in found) == hedge.counts.payload_bytes
    assert sum(p.route == Route.CLOUD for p in found) > len(IMAGES) / 2


def test_the_timer_calls_in_order_and_not_what_was_called_off() -> None:
    called: list[int] = []
    done = threading.Event()
    with Timer("test") as timer:
        timer.after(0.03, done.set)
        timer.after(0.02, lambda: called.append(2))
        timer.after(0.01, lambda: called.append(1))
        timer.after(0.005, lambda: called.append(0))()
        assert done.wait(20)
    assert called == [1, 2]


def test_options_that_do_not_fit(
    toy_bundle: Bundle, other_bundle: Bundle, two: tuple[ManualCloud, ManualCloud]
) -> None:
    with pytest.raises(UsageError, match="two bundles"):
        Hedge(two[0], ManualCloud(other_bundle))
    for options in ({"after_ms": -1.0}, {"quantile": 1.0}, {"budget": 0.0}, {"budget": 2.0}):
        with pytest.raises(UsageError, match="hedging after"):
            Hedge(*two, **options)
