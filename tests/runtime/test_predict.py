import json

import numpy as np
import pytest

from ecc_deploy.bundle import Bundle
from ecc_deploy.errors import UsageError
from ecc_deploy.runtime.gate import softmax
from ecc_deploy.runtime.predict import predict
from ecc_deploy.runtime.result import Reason, Route
from ecc_deploy.serving import Server
from tests import reference, toy
from tests.runtime.fakes import free_port

IMAGES = toy.samples(12, seed=2).images


@pytest.fixture
def url(toy_server: Server) -> str:
    return f"127.0.0.1:{toy_server.port}"


@pytest.mark.parametrize("deployment", ["edge-only", "cloud-only", "independent", "adaptive", "dynamic"])
def test_every_deployment_gives_the_answers_of_whoever_answered(toy_bundle: Bundle, url: str, deployment: str) -> None:
    answers = predict(
        toy_bundle,
        [IMAGES],
        deployment=deployment,
        cloud=None if deployment == "edge-only" else url,
        deadline_ms=10_000,
    )
    by_cloud = reference.tail_logits if deployment in ("adaptive", "dynamic") else reference.cloud_logits
    expected = {Route.EDGE: reference.edge_logits(IMAGES), Route.CLOUD: by_cloud(IMAGES)}
    assert len(answers) == 12
    for i, answer in enumerate(answers):
        logits = expected[answer.prediction.route][i]
        np.testing.assert_allclose(answer.prediction.logits, logits, atol=1e-4)
        assert answer.label == toy.CLASSES[int(logits.argmax())]
        assert answer.confidence == pytest.approx(float(softmax(logits).max()), abs=1e-4)
        assert answer.source == f"array[{i}]"
    routes = {answer.prediction.route for answer in answers}
    assert routes == {
        "edge-only": {Route.EDGE},
        "cloud-only": {Route.CLOUD},
        "adaptive": {Route.CLOUD},
    }.get(deployment, {Route.EDGE, Route.CLOUD})


def test_plain_data(toy_bundle: Bundle) -> None:
    (answer,) = predict(toy_bundle, [IMAGES[0]], deployment="edge-only")
    facts = json.loads(json.dumps(answer.to_json()))
    assert facts["reason"] == Reason.EDGE_ONLY
    assert facts["class"] == answer.prediction.label
    assert len(facts["logits"]) == 4


def test_progress_reaches_its_end(toy_bundle: Bundle) -> None:
    seen: list[tuple[str, int, int]] = []
    predict(
        toy_bundle,
        [IMAGES[:3]],
        deployment="edge-only",
        progress=lambda what, done, total, note: seen.append((what, done, total)),
    )
    assert seen == [("predict", 0, 3), ("predict", 1, 3), ("predict", 2, 3), ("predict", 3, 3)]


def test_mistakes(toy_bundle: Bundle, url: str) -> None:
    with pytest.raises(UsageError, match="needs a cloud server") as error:
        predict(toy_bundle, [IMAGES])
    assert "--deployment edge-only" in error.value.hint
    with pytest.raises(UsageError, match="sends nothing"):
        predict(toy_bundle, [IMAGES], deployment="edge-only", cloud=url)
    with pytest.raises(UsageError, match="has no deployment 'abacus'"):
        predict(toy_bundle, [IMAGES], deployment="abacus", cloud=url)
    with pytest.raises(UsageError, match="no image"):
        predict(toy_bundle, [], deployment="edge-only")
    with pytest.raises(UsageError, match="is not the address"):
        predict(toy_bundle, [IMAGES], cloud="nowhere")


def test_in_flight_with_breaker_and_hedge(toy_bundle: Bundle, url: str) -> None:
    images = IMAGES
    options: dict = {"deployment": "adaptive", "cloud": url, "deadline_ms": 20_000}
    alone = [answer.to_json()["logits"] for answer in predict(toy_bundle, images, **options)]
    options |= {"in_flight": 4, "hedge": url, "hedge_after_ms": 5000.0}
    assert [answer.to_json()["logits"] for answer in predict(toy_bundle, images, **options)] == alone
    options["cloud"] = options["hedge"] = f"127.0.0.1:{free_port()}"
    reasons = [answer.prediction.reason.value for answer in predict(toy_bundle, images, **options)]
    assert set(reasons) == {"unavailable", "breaker"}
    assert {a.prediction.reason.value for a in predict(toy_bundle, images, **options, breaker=False)} == {"unavailable"}
    with pytest.raises(UsageError, match="nothing to hedge"):
        predict(toy_bundle, images, deployment="edge-only", hedge=url)
