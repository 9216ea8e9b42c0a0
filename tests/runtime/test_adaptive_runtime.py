"""The policy in the runtime: the answers stay right, whoever gives them, by whatever codec."""

from typing import Any

import numpy as np
import pytest

from ecc_deploy.bundle import Bundle
from ecc_deploy.errors import PayloadError, UsageError
from ecc_deploy.runtime.breaker import Breaker
from ecc_deploy.runtime.choice import read_policy
from ecc_deploy.runtime.client import CloudClient, CloudError
from ecc_deploy.runtime.engine import EdgeRuntime
from ecc_deploy.runtime.policy import Policy
from ecc_deploy.runtime.result import Prediction, Reason, Route
from ecc_deploy.serving import Server
from tests import reference
from tests.runtime.clouds import ManualCloud, right_answer
from tests.toy import samples

IMAGES = samples(80, seed=31).images
LONG: dict[str, Any] = {"deadline_ms": 20_000}
CLOUD = {"dynamic": reference.tail_logits, "independent": reference.cloud_logits}


def check(bundle: Bundle, deployment: str, found: list[Prediction]) -> None:
    edge, cloud = reference.edge_logits(IMAGES), CLOUD[deployment](IMAGES)
    for index, prediction in enumerate(found):
        wanted = (cloud if prediction.route == Route.CLOUD else edge)[index]
        np.testing.assert_allclose(prediction.logits, wanted, atol=1e-4)
        assert (prediction.route == Route.CLOUD) == (prediction.reason == Reason.OFFLOADED)


@pytest.mark.parametrize("in_flight", [1, 4])
@pytest.mark.parametrize("deployment", ["dynamic", "independent"])
def test_with_time_enough_it_is_the_gate(
    toy_bundle: Bundle, cloud: CloudClient, deployment: str, in_flight: int
) -> None:
    policy = Policy(latency_budget_ms=60_000)
    with EdgeRuntime(toy_bundle, deployment, cloud=cloud, **LONG) as fixed:
        wanted = [p.reason for p in fixed.predict_many(IMAGES)]
    with EdgeRuntime(toy_bundle, deployment, cloud=cloud, policy=policy, **LONG) as runtime:
        found = list(runtime.predict_many(IMAGES, in_flight=in_flight))
        assert runtime.controller is not None
        state = runtime.controller.state()
    check(toy_bundle, deployment, found)
    assert [p.reason for p in found] == wanted
    assert state.is_usable
    assert state.server_ms > 0


@pytest.mark.parametrize("deployment", ["dynamic", "independent"])
def test_a_budget_that_no_link_keeps(toy_bundle: Bundle, cloud: CloudClient, deployment: str) -> None:
    policy = Policy(latency_budget_ms=0.001)
    with EdgeRuntime(toy_bundle, deployment, cloud=cloud, policy=policy, **LONG) as runtime:
        found = [runtime.predict(image) for image in IMAGES]
    check(toy_bundle, deployment, found)
    reasons = [p.reason for p in found]
    assert set(reasons) == {Reason.LINK, Reason.CONFIDENT}
    assert "more than 0.001" in found[reasons.index(Reason.LINK)].detail
    assert not Reason.LINK.is_fallback
    assert not any(p.payload_bytes for p in found), "where the edge alone takes too long, no probe would help"


def test_lossy_codecs_are_used_where_lossless_ones_are_too_large(toy_bundle: Bundle, cloud: CloudClient) -> None:
    seen: set[str] = set()
    real = cloud.infer

    def spied(half: str, payload: bytes, codec: str, deadline_s: float) -> Any:
        seen.add(codec)
        return real(half, payload, codec, deadline_s)

    cloud.infer = spied  # type: ignore[method-assign]
    generous, tight = Policy(byte_budget=1e6, codecs=("webp:5",)), Policy(byte_budget=262, codecs=("webp:5",))
    for policy, wanted in ((generous, {"raw"}), (tight, {"webp:5"})):
        seen.clear()
        with EdgeRuntime(toy_bundle, "independent", cloud=cloud, policy=policy, **LONG) as runtime:
            assert runtime.controller is not None
            found = [runtime.predict(image) for image in IMAGES]
        assert sum(p.reason == Reason.OFFLOADED for p in found) > 2
        assert seen == wanted


def test_probes_find_a_cloud_again_and_nobody_waits_for_them(toy_bundle: Bundle) -> None:
    manual = ManualCloud(toy_bundle)
    down = CloudError(Reason.UNAVAILABLE, "down")
    failing = True

    def infer(half: str, payload: bytes, codec: str, deadline_s: float) -> Any:
        if failing:
            raise down
        return right_answer(payload)

    manual.infer = infer  # type: ignore[method-assign]
    policy = Policy(latency_budget_ms=60_000, probe_s=1e-6)
    with EdgeRuntime(toy_bundle, "dynamic", cloud=manual, codec="int4", policy=policy, **LONG) as runtime:
        assert runtime.controller is not None
        found: list[Prediction] = []
        while runtime.controller.state().is_usable:
            found += [runtime.predict(image) for image in IMAGES[:4]]
        found += [runtime.predict(image) for image in IMAGES[:8]]
        assert {p.route for p in found} == {Route.EDGE}
        assert {p.reason for p in found[-8:]} == {Reason.LINK, Reason.CONFIDENT}
        assert len(manual.requests) == 1, "one probe at a time"
        assert sum(p.payload_bytes for p in found if not p.reason.is_fallback) == 8, "the probe is counted"
        failing = False
        while not runtime.controller.state().is_usable:
            if manual.open:
                _, future, _ = manual.open[0]
                future.set_result(right_answer(bytes(8)))
            runtime.predict(IMAGES[0])
        for future in [request[1] for request in manual.open]:
            future.cancel()
        assert Reason.OFFLOADED in {runtime.predict(image).reason for image in IMAGES[:12]}


def test_the_breaker_keeps_probes_back_too(toy_bundle: Bundle) -> None:
    manual, breaker = ManualCloud(toy_bundle), Breaker(failures=1, backoff_s=1000, max_backoff_s=1000)
    permit = breaker.ask()
    assert permit is not None
    permit.failed("down")
    policy = Policy(latency_budget_ms=0.0001)
    with EdgeRuntime(toy_bundle, "dynamic", cloud=manual, policy=policy, breaker=breaker, **LONG) as runtime:
        found = [runtime.predict(image) for image in IMAGES]
    assert not manual.requests
    assert {p.reason for p in found} <= {Reason.BREAKER, Reason.LINK, Reason.CONFIDENT}
    assert {p.payload_bytes for p in found} == {0}


def test_fused_answers_and_learned_gates(rich_bundle: Bundle) -> None:
    with (
        Server([rich_bundle]) as server,
        CloudClient(f"127.0.0.1:{server.port}", rich_bundle.manifest) as client,
        EdgeRuntime(rich_bundle, "dynamic", cloud=client, **LONG) as fixed,
        EdgeRuntime(rich_bundle, "dynamic", cloud=client, policy=Policy(latency_budget_ms=60_000), **LONG) as runtime,
    ):
        for image in IMAGES:
            one, other = fixed.predict(image), runtime.predict(image)
            assert (one.route, one.reason) == (other.route, other.reason)
            np.testing.assert_allclose(one.logits, other.logits, atol=1e-5)


def test_what_has_no_gate_has_no_policy(toy_bundle: Bundle, cloud: CloudClient) -> None:
    policy = Policy(latency_budget_ms=50)
    for deployment in ("adaptive", "cloud-only", "edge-only"):
        given = None if deployment == "edge-only" else cloud
        with pytest.raises(UsageError, match="no gate") as error:
            EdgeRuntime(toy_bundle, deployment, cloud=given, policy=policy)
        assert "dynamic, independent" in error.value.hint
    with pytest.raises(UsageError, match="holds codes of 2 bits"):
        EdgeRuntime(toy_bundle, "dynamic", cloud=cloud, policy=Policy(byte_budget=9, codecs=("int2",)))
    with pytest.raises(PayloadError):
        EdgeRuntime(toy_bundle, "dynamic", cloud=cloud, policy=Policy(byte_budget=9, codecs=("webp:5",)))


def test_budgets_of_a_command_line() -> None:
    assert read_policy(None, None, [], None) is None
    assert read_policy(40.0, None, ["webp:80"], 0.5) == Policy(40.0, codecs=("webp:80",), max_offload_rate=0.5)
    assert read_policy(None, "200", [], None) == Policy(byte_budget=200.0)
    assert read_policy(None, "2e4/s", [], None) == Policy(byte_budget=20_000.0, byte_budget_per="second")
    for text in ("", "x", "-5", "0", "nan", "inf", "5/m", "/s", "5/"):
        with pytest.raises(UsageError, match="no byte budget"):
            read_policy(None, text, [], None)
    with pytest.raises(UsageError, match="under a budget"):
        read_policy(None, None, ["png"], None)
    with pytest.raises(UsageError, match="under a budget"):
        read_policy(None, None, [], 0.5)
