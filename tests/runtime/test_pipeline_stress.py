"""Many threads on one pipeline: every sample gets exactly one answer, and the right one."""

import random
import threading
from collections.abc import Callable

import numpy as np
import pytest

from ecc_deploy.bundle import Bundle
from ecc_deploy.runtime.client import CloudClient
from ecc_deploy.runtime.cloud import Cloud
from ecc_deploy.runtime.engine import EdgeRuntime
from ecc_deploy.runtime.pipeline import Pipeline
from ecc_deploy.runtime.result import Prediction, Route
from tests import reference
from tests.runtime.clouds import WildCloud
from tests.toy import samples

THREADS, EACH = 12, 40
IMAGES = samples(THREADS * EACH, seed=41).images
EDGE, TAIL = reference.edge_logits(IMAGES), reference.tail_logits(IMAGES)


def run_all(work: Callable[[int], None]) -> None:
    """``work(thread)`` in many threads; what one of them raises is raised."""
    errors: list[BaseException] = []

    def guarded(number: int) -> None:
        try:
            work(number)
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=guarded, args=(number,)) for number in range(THREADS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert not errors, errors[0]
    assert not any(thread.is_alive() for thread in threads)


def check(index: int, prediction: Prediction) -> None:
    wanted = (TAIL if prediction.route == Route.CLOUD else EDGE)[index]
    np.testing.assert_allclose(prediction.logits, wanted, atol=1e-4, err_msg=f"sample {index} {prediction.reason}")


@pytest.mark.parametrize("when_full", ["wait", "edge"])
@pytest.mark.parametrize("deployment", ["adaptive", "dynamic"])
def test_wild_answers_from_many_threads(toy_bundle: Bundle, deployment: str, when_full: str) -> None:
    wild = WildCloud(toy_bundle, seed=5)
    answered: dict[int, Prediction] = {}
    cancelled: set[int] = set()

    def work(thread: int) -> None:
        chance = random.Random(thread)
        mine = range(thread * EACH, (thread + 1) * EACH)
        for index in mine:
            future = pipeline.submit(IMAGES[index])
            if chance.random() < 0.2 and future.cancel():
                cancelled.add(index)
            else:
                assert index not in answered
                answered[index] = future.result(30)

    with (
        EdgeRuntime(toy_bundle, deployment, cloud=wild, deadline_ms=20_000) as runtime,
        Pipeline(runtime, in_flight=5, when_full=when_full) as pipeline,  # type: ignore[arg-type]
    ):
        run_all(work)
    wild.close()
    assert sorted([*answered, *cancelled]) == list(range(len(IMAGES)))
    for index, prediction in answered.items():
        check(index, prediction)
    assert {p.route for p in answered.values()} == {Route.EDGE, Route.CLOUD}
    assert 1 < wild.most <= 5


def test_one_connection_for_many_threads(toy_bundle: Bundle, cloud: CloudClient) -> None:
    server: Cloud = cloud

    def work(thread: int) -> None:
        mine = IMAGES[thread * EACH : (thread + 1) * EACH]
        for place, prediction in enumerate(runtime.predict_many(mine, in_flight=4)):
            assert prediction.route == Route.CLOUD, prediction.detail
            check(thread * EACH + place, prediction)

    with EdgeRuntime(toy_bundle, "adaptive", cloud=server, deadline_ms=20_000) as runtime:
        run_all(work)
