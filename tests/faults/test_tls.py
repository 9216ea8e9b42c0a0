"""An encrypted link: a certificate that expires while it is used, and bits that change on the way."""

import itertools
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from ecc_deploy.bundle import Bundle
from ecc_deploy.runtime.client import CloudClient
from ecc_deploy.runtime.credentials import Credentials
from ecc_deploy.runtime.engine import EdgeRuntime
from ecc_deploy.runtime.result import Prediction, Reason, Route
from tests.certificates import Authority
from tests.faults.children import Place, place
from tests.faults.truth import Truth

Ask = Callable[[], Prediction]


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("certificates"))


@pytest.fixture(scope="module")
def encrypted(rich_bundle: Bundle, authority: Authority) -> Iterator[Place]:
    pair = authority.sign()
    with place(rich_bundle.path, "--tls-cert", str(pair.cert), "--tls-key", str(pair.key)) as made:
        yield made


@pytest.fixture
def ask(rich_bundle: Bundle, encrypted: Place, authority: Authority, truth: Truth) -> Iterator[Ask]:
    """Answers sample after sample, and makes sure that each answer is its own."""
    numbers = itertools.cycle(range(len(truth.images)))
    with (
        CloudClient(encrypted.url, rich_bundle.manifest, credentials=Credentials(ca=authority.file)) as cloud,
        EdgeRuntime(rich_bundle, "adaptive", cloud=cloud, deadline_ms=300) as runtime,
    ):
        cloud.connect(60)

        def predict() -> Prediction:
            index = next(numbers)
            prediction = runtime.predict(truth.images[index])
            assert truth.fault_of("adaptive", index, prediction) is None
            return prediction

        yield predict


def until(ask: Ask, route: Route) -> Prediction:
    end = time.monotonic() + 30
    while (prediction := ask()).route != route:
        assert time.monotonic() < end, f"{prediction.reason}: {prediction.detail}"
        time.sleep(0.02)
    return prediction


def test_a_certificate_that_has_expired_and_is_renewed(encrypted: Place, authority: Authority, ask: Ask) -> None:
    until(ask, Route.CLOUD)
    authority.sign(is_expired=True)
    encrypted.relay.tell("reset")  # what is connected stays so; whoever connects now sees the new certificate
    fallen = until(ask, Route.EDGE)
    encrypted.relay.tell("pass")
    more = [ask() for _ in range(20)]
    assert {p.reason for p in (fallen, *more)} <= {Reason.UNAVAILABLE, Reason.DEADLINE}
    assert {p.route for p in more} == {Route.EDGE}
    authority.sign()
    until(ask, Route.CLOUD)


def test_bits_that_change_on_the_way_are_never_an_answer(encrypted: Place, ask: Ask) -> None:
    until(ask, Route.CLOUD)
    encrypted.relay.tell("flip")
    until(ask, Route.EDGE)
    assert {ask().route for _ in range(20)} == {Route.EDGE}
    encrypted.relay.tell("pass")
    until(ask, Route.CLOUD)


def test_who_is_not_the_server_gets_no_sample(
    encrypted: Place, rich_bundle: Bundle, truth: Truth, tmp_path: Path
) -> None:
    stranger = Authority(tmp_path, "stranger")
    with (
        CloudClient(encrypted.url, rich_bundle.manifest, credentials=Credentials(ca=stranger.file)) as cloud,
        EdgeRuntime(rich_bundle, "adaptive", cloud=cloud, deadline_ms=300) as runtime,
    ):
        answers = [runtime.predict(image) for image in truth.images[:10]]
    assert {p.route for p in answers} == {Route.EDGE}
    assert {truth.fault_of("adaptive", i, p) for i, p in enumerate(answers)} == {None}
