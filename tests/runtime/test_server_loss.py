"""The server as a real process: killed, frozen and started again in mid-stream. No sample is lost."""

import signal
import time
from collections.abc import Iterator

import numpy as np
import pytest

from ecc_deploy.bundle import Bundle
from ecc_deploy.runtime.client import CloudClient
from ecc_deploy.runtime.engine import EdgeRuntime
from ecc_deploy.runtime.result import Prediction, Reason, Route
from tests import reference
from tests.child import ServerChild
from tests.toy import samples

IMAGES = samples(60, seed=21).images


@pytest.fixture
def child(toy_bundle: Bundle) -> Iterator[ServerChild]:
    with ServerChild(toy_bundle.path) as child:
        yield child


def check(predictions: list[Prediction], images: np.ndarray, route: Route) -> None:
    """All came from ``route``, and are right for it."""
    wanted = reference.tail_logits(images) if route == Route.CLOUD else reference.edge_logits(images)
    assert {p.route for p in predictions} == {route}
    np.testing.assert_allclose(np.stack([p.logits for p in predictions]), wanted, atol=1e-4)


def until_offloaded(runtime: EdgeRuntime, image: np.ndarray) -> Prediction:
    end = time.monotonic() + 15
    while True:
        prediction = runtime.predict(image)
        if prediction.route == Route.CLOUD or time.monotonic() > end:
            return prediction
        time.sleep(0.05)


def test_killed_and_started_again(toy_bundle: Bundle, child: ServerChild) -> None:
    with (
        CloudClient(child.url, toy_bundle.manifest) as cloud,
        EdgeRuntime(toy_bundle, "adaptive", cloud=cloud, deadline_ms=15_000) as runtime,
    ):
        check([runtime.predict(image) for image in IMAGES[:20]], IMAGES[:20], Route.CLOUD)
        child.kill()
        lost = [runtime.predict(image) for image in IMAGES[20:40]]
        check(lost, IMAGES[20:40], Route.EDGE)
        assert {p.reason for p in lost} == {Reason.UNAVAILABLE}
        assert all(p.detail for p in lost)
        with ServerChild(toy_bundle.path, port=child.port):
            check([until_offloaded(runtime, IMAGES[40])], IMAGES[40:41], Route.CLOUD)
            check([runtime.predict(image) for image in IMAGES[40:]], IMAGES[40:], Route.CLOUD)


def test_killed_while_it_works_on_a_request(toy_bundle: Bundle, child: ServerChild) -> None:
    import threading

    with (
        CloudClient(child.url, toy_bundle.manifest) as cloud,
        EdgeRuntime(toy_bundle, "adaptive", cloud=cloud, deadline_ms=15_000) as runtime,
    ):
        check([runtime.predict(IMAGES[0])], IMAGES[:1], Route.CLOUD)
        child.freeze()  # so that the next request is certainly under way when the end comes
        threading.Timer(0.2, child.kill).start()
        prediction = runtime.predict(IMAGES[1])
        check([prediction], IMAGES[1:2], Route.EDGE)
        assert prediction.reason == Reason.UNAVAILABLE


def test_frozen_and_thawed(toy_bundle: Bundle, child: ServerChild) -> None:
    with (
        CloudClient(child.url, toy_bundle.manifest) as cloud,
        EdgeRuntime(toy_bundle, "adaptive", cloud=cloud, deadline_ms=100) as runtime,
    ):
        cloud.connect()
        check([until_offloaded(runtime, IMAGES[0])], IMAGES[:1], Route.CLOUD)
        child.freeze()
        frozen = [runtime.predict(image) for image in IMAGES[1:4]]
        check(frozen, IMAGES[1:4], Route.EDGE)
        assert {p.reason for p in frozen} == {Reason.DEADLINE}
        child.signal(signal.SIGCONT)
        check([until_offloaded(runtime, IMAGES[4])], IMAGES[4:5], Route.CLOUD)


def test_restarted_with_another_bundle(toy_bundle: Bundle, other_bundle: Bundle, child: ServerChild) -> None:
    with (
        CloudClient(child.url, toy_bundle.manifest) as cloud,
        EdgeRuntime(toy_bundle, "adaptive", cloud=cloud, deadline_ms=15_000) as runtime,
    ):
        check([runtime.predict(IMAGES[0])], IMAGES[:1], Route.CLOUD)
        child.kill()
        with ServerChild(other_bundle.path, port=child.port):
            end = time.monotonic() + 15
            while (prediction := runtime.predict(IMAGES[1])).reason == Reason.UNAVAILABLE and time.monotonic() < end:
                time.sleep(0.05)
            assert prediction.reason == Reason.REFUSED
            assert "different bundles" in prediction.detail
            check([prediction], IMAGES[1:2], Route.EDGE)
