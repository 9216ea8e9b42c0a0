"""Every architecture against what it must answer, computed by hand; and every way in which the cloud fails."""

from typing import Any

import numpy as np
import pytest

from ecc_deploy.bundle import Bundle
from ecc_deploy.errors import BundleError, PayloadError, UsageError
from ecc_deploy.payload import make_codec
from ecc_deploy.runtime.client import CloudClient, CloudError
from ecc_deploy.runtime.engine import EdgeRuntime
from ecc_deploy.runtime.gate import offloads
from ecc_deploy.runtime.result import STAGES, Prediction, Reason, Route
from ecc_deploy.serving import Server
from tests import reference
from tests.runtime.fakes import free_port
from tests.serving.requests import BOUNDARY, IMAGE
from tests.serving.test_server import changed
from tests.toy import samples

IMAGES = samples(32, seed=11).images
CLOUD = {"cloud-only": reference.cloud_logits, "independent": reference.cloud_logits,
         "adaptive": reference.tail_logits, "dynamic": reference.tail_logits}  # fmt: skip
GATED = ("independent", "dynamic")
ALL = ("edge-only", *CLOUD)


def predict(bundle: Bundle, deployment: str, cloud: CloudClient | None, **options: Any) -> list[Prediction]:
    # A busy machine must not turn an answer into a missed deadline.
    with EdgeRuntime(bundle, deployment, cloud=cloud, **{"deadline_ms": 20_000, **options}) as runtime:
        return [runtime.predict(image) for image in IMAGES]


def check_logits(predictions: list[Prediction], wanted: np.ndarray) -> None:
    found = np.stack([p.logits for p in predictions])
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, wanted, atol=1e-4)
    assert [p.label for p in predictions] == found.argmax(-1).tolist()


def test_edge_only(toy_bundle: Bundle) -> None:
    predictions = predict(toy_bundle, "edge-only", None)
    check_logits(predictions, reference.edge_logits(IMAGES))
    assert {(p.route, p.reason, p.payload_bytes, p.detail) for p in predictions} == {
        (Route.EDGE, Reason.EDGE_ONLY, 0, "")
    }


@pytest.mark.parametrize("deployment", ["cloud-only", "adaptive"])
def test_the_cloud_answers_every_sample(toy_bundle: Bundle, cloud: CloudClient, deployment: str) -> None:
    predictions = predict(toy_bundle, deployment, cloud)
    check_logits(predictions, CLOUD[deployment](IMAGES))
    assert {(p.route, p.reason, p.detail) for p in predictions} == {(Route.CLOUD, Reason.ALWAYS, "")}


@pytest.mark.parametrize("deployment", GATED)
def test_the_gate_decides_who_answers(toy_bundle: Bundle, cloud: CloudClient, deployment: str) -> None:
    predictions = predict(toy_bundle, deployment, cloud)
    gate = toy_bundle.manifest.deployments[deployment].gate
    assert gate is not None
    sent = offloads(reference.edge_logits(IMAGES), gate)
    assert 0 < sent.sum() < len(sent), "the toy is no test of the gate"
    wanted = np.where(sent[:, np.newaxis], CLOUD[deployment](IMAGES), reference.edge_logits(IMAGES))
    check_logits(predictions, wanted)
    assert [(p.route, p.reason) for p in predictions] == [
        (Route.CLOUD, Reason.OFFLOADED) if s else (Route.EDGE, Reason.CONFIDENT) for s in sent
    ]
    assert all((p.payload_bytes > 0) == s for p, s in zip(predictions, sent, strict=True))


@pytest.mark.parametrize(
    ("deployment", "codec"),
    [("cloud-only", None), ("cloud-only", "raw"), ("cloud-only", "webp-lossless"), ("adaptive", None),
     ("adaptive", "int8"), ("adaptive", "int4+delta+zstd")],
)  # fmt: skip
def test_payload_bytes_are_those_of_the_codec(
    toy_bundle: Bundle, cloud: CloudClient, deployment: str, codec: str | None
) -> None:
    predictions = predict(toy_bundle, deployment, cloud, codec=codec)
    spec = codec or toy_bundle.manifest.deployments[deployment].codec or ""
    encoder = make_codec(spec, IMAGE if deployment == "cloud-only" else BOUNDARY)
    sent = IMAGES if deployment == "cloud-only" else reference.codes(IMAGES)
    assert [p.payload_bytes for p in predictions] == [len(encoder.encode(array)) for array in sent]
    check_logits(predictions, CLOUD[deployment](IMAGES))


@pytest.mark.parametrize("deployment", ALL)
def test_the_stages_add_up_to_the_total(toy_bundle: Bundle, cloud: CloudClient, deployment: str) -> None:
    for prediction in predict(toy_bundle, deployment, cloud):
        timings = prediction.timings
        stages = {stage: getattr(timings, stage) for stage in STAGES}
        assert min(stages.values()) >= 0
        assert sum(stages.values()) == pytest.approx(timings.total, rel=1e-6)
        assert (stages["edge"] > 0) == (deployment != "cloud-only")
        is_cloud = prediction.route == Route.CLOUD
        for stage in ("encode", "network", "cloud_decode", "cloud_compute"):
            assert (stages[stage] > 0) == is_cloud, stage
        assert stages["fallback"] == 0


class Broken:
    """A cloud client that fails as it is told to."""

    def __init__(self, bundle: Bundle, reason: Reason) -> None:
        self.pair_id = bundle.manifest.pair_id
        self.reason = reason
        self.deadlines_s: list[float] = []

    def infer(self, half: str, payload: bytes, codec: str, deadline_s: float) -> Any:
        self.deadlines_s.append(deadline_s)
        raise CloudError(self.reason, "it is broken")


@pytest.mark.parametrize("deployment", CLOUD)
@pytest.mark.parametrize("reason", [Reason.DEADLINE, Reason.UNAVAILABLE, Reason.REFUSED])
def test_without_the_cloud_the_edge_answers_and_says_why(toy_bundle: Bundle, deployment: str, reason: Reason) -> None:
    broken: Any = Broken(toy_bundle, reason)
    predictions = predict(toy_bundle, deployment, broken)
    check_logits(predictions, reference.edge_logits(IMAGES))
    gate = toy_bundle.manifest.deployments[deployment].gate
    sent = offloads(reference.edge_logits(IMAGES), gate) if gate else np.ones(len(IMAGES), bool)
    for prediction, was_sent in zip(predictions, sent, strict=True):
        assert prediction.route == Route.EDGE
        if not was_sent:
            assert prediction.reason == Reason.CONFIDENT
            continue
        assert (prediction.reason, prediction.detail) == (reason, "it is broken")
        assert prediction.reason.is_fallback
        assert prediction.payload_bytes > 0
        assert prediction.timings.network > 0
        assert (prediction.timings.fallback > 0) == (gate is None), "a gated edge has answered already"
    assert len(broken.deadlines_s) == sent.sum()


def test_the_deadline_counts_from_the_call(toy_bundle: Bundle) -> None:
    broken: Any = Broken(toy_bundle, Reason.DEADLINE)
    predict(toy_bundle, "adaptive", broken, deadline_ms=500)
    assert all(deadline < 0.5 for deadline in broken.deadlines_s)
    broken.deadlines_s.clear()
    predict(toy_bundle, "adaptive", broken, deadline_ms=1e-6)
    assert all(deadline < 0 for deadline in broken.deadlines_s)


def test_a_deadline_too_short_to_send_is_a_deadline(toy_bundle: Bundle, cloud: CloudClient) -> None:
    predictions = predict(toy_bundle, "adaptive", cloud, deadline_ms=1e-6)
    assert {p.reason for p in predictions} == {Reason.DEADLINE}
    check_logits(predictions, reference.edge_logits(IMAGES))


def test_no_server_at_all(toy_bundle: Bundle) -> None:
    with CloudClient(f"127.0.0.1:{free_port()}", toy_bundle.manifest) as cloud:
        predictions = predict(toy_bundle, "adaptive", cloud)
    assert {p.reason for p in predictions} == {Reason.UNAVAILABLE}
    check_logits(predictions, reference.edge_logits(IMAGES))


def test_a_server_restarted_with_another_bundle_is_not_used(toy_bundle: Bundle, other_bundle: Bundle) -> None:
    with Server([other_bundle]) as server, CloudClient(f"127.0.0.1:{server.port}", toy_bundle.manifest) as cloud:
        predictions = predict(toy_bundle, "adaptive", cloud)
    assert {p.reason for p in predictions} == {Reason.REFUSED}
    assert "different bundles" in predictions[0].detail
    check_logits(predictions, reference.edge_logits(IMAGES))


@pytest.mark.parametrize(
    "image",
    [
        IMAGES[0].astype(np.float32),
        IMAGES[0][..., 0],
        IMAGES[0][:7],
        IMAGES[:1],
        np.zeros((8, 8, 3), np.uint8),
        IMAGES[0].tolist(),
        None,
    ],
    ids=["float", "no channels", "too small", "a batch", "colour", "a list", "nothing"],
)
def test_what_is_no_image_of_the_bundle(toy_bundle: Bundle, image: Any) -> None:
    with EdgeRuntime(toy_bundle, "edge-only") as runtime, pytest.raises(UsageError, match=r"uint8 \(8, 8, 1\)"):
        runtime.predict(image)


def test_an_image_in_any_memory_order(toy_bundle: Bundle, cloud: CloudClient) -> None:
    for deployment in ALL:
        with EdgeRuntime(toy_bundle, deployment, cloud=cloud) as runtime:
            whole = runtime.predict(IMAGES[3]).logits
            view = np.asfortranarray(np.repeat(IMAGES[3], 2, axis=0))[::2]
            assert not view.flags.c_contiguous
            assert runtime.predict(view).logits.tolist() == whole.tolist()


def test_arguments_that_do_not_fit(toy_bundle: Bundle, other_bundle: Bundle, cloud: CloudClient) -> None:
    with pytest.raises(UsageError, match="no deployment 'static'") as error:
        EdgeRuntime(toy_bundle, "static")
    assert "adaptive, cloud-only" in error.value.hint
    for deployment in CLOUD:
        with pytest.raises(UsageError, match="needs a cloud server"):
            EdgeRuntime(toy_bundle, deployment)
    with pytest.raises(UsageError, match="takes no codec"):
        EdgeRuntime(toy_bundle, "edge-only", codec="png")
    for deadline_ms in (0, -1, float("nan"), float("inf")):
        with pytest.raises(UsageError, match="deadline"):
            EdgeRuntime(toy_bundle, "edge-only", deadline_ms=deadline_ms)
    with pytest.raises(UsageError, match="0 threads"):
        EdgeRuntime(toy_bundle, "edge-only", threads=0)
    with pytest.raises(UsageError, match="was made for the pair"):
        EdgeRuntime(other_bundle, "dynamic", cloud=cloud)
    with pytest.raises(PayloadError):
        EdgeRuntime(toy_bundle, "dynamic", cloud=cloud, codec="png")
    with pytest.raises(UsageError, match="holds codes of 2 bits, the boundary has 4"):
        EdgeRuntime(toy_bundle, "dynamic", cloud=cloud, codec="int2+zstd")


def test_halves_that_are_not_what_the_deployment_needs(toy_bundle: Bundle, cloud: CloudClient, tmp_path) -> None:
    def swap(facts: dict) -> None:
        facts["deployments"]["edge-only"]["edge"] = "encode"

    with pytest.raises(BundleError, match=r"'encode' .* gives logits as None"):
        EdgeRuntime(changed(toy_bundle, tmp_path / "a", swap), "edge-only")

    def batch(facts: dict) -> None:
        facts["halves"]["exit"]["batch"] = 8

    with pytest.raises(BundleError, match="takes batches of 8"):
        EdgeRuntime(changed(toy_bundle, tmp_path / "b", batch), "edge-only")


def test_only_the_halves_that_are_needed_are_loaded(
    toy_bundle: Bundle, cloud: CloudClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    from ecc_deploy.runtime import half

    loaded: list[str] = []
    original = half.open_runner
    monkeypatch.setattr(half, "open_runner", lambda path, *rest: loaded.append(path.stem) or original(path, *rest))
    wanted = {
        "edge-only": ["exit"],
        "cloud-only": ["exit"],
        "independent": ["exit"],
        "adaptive": ["encode", "exit"],
        "dynamic": ["exit-and-encode"],
    }
    for deployment, halves in wanted.items():
        loaded.clear()
        predict(toy_bundle, deployment, cloud)
        assert loaded == halves
