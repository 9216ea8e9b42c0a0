"""Learned gate, fused answers and a codec with a table at run time, against what they must give, computed by hand."""

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

from ecc_deploy.bundle import Bundle
from ecc_deploy.bundle.codecs import sent
from ecc_deploy.runtime.client import CloudClient
from ecc_deploy.runtime.gate import offloads
from ecc_deploy.runtime.result import Reason, Route
from ecc_deploy.serving import Server
from tests import reference
from tests.runtime.test_engine import IMAGES, Broken, check_logits, predict


@pytest.fixture
def rich_cloud(rich_bundle: Bundle) -> Iterator[CloudClient]:
    with Server([rich_bundle]) as server, CloudClient(f"127.0.0.1:{server.port}", rich_bundle.manifest) as client:
        yield client


def test_learned_gate_fused_answers_and_a_codec_with_a_table(rich_bundle: Bundle, rich_cloud: CloudClient) -> None:
    edge, full, tail = (f(IMAGES) for f in (reference.edge_logits, reference.cloud_logits, reference.tail_logits))
    everything = np.ones(len(IMAGES), bool)
    independent = rich_bundle.manifest.deployments["independent"]
    assert independent.gate is not None
    wanted = {
        "independent": (offloads(edge, independent.gate), reference.fused(edge, full)),
        "adaptive": (everything, tail),
        "adaptive-fused": (everything, reference.fused(edge, tail)),
        "dynamic": (reference.confidence(IMAGES) < 0.1, reference.fused(edge, tail)),
    }
    encoder = sent(rich_bundle, "toy").codec("int4+ans")
    sizes = [len(encoder.encode(codes)) for codes in reference.codes(IMAGES)]
    for deployment, (is_sent, answers) in wanted.items():
        predictions = predict(rich_bundle, deployment, rich_cloud)
        check_logits(predictions, np.where(is_sent[:, np.newaxis], answers, edge))
        assert [p.route == Route.CLOUD for p in predictions] == is_sent.tolist()
        if deployment != "independent":
            assert [p.payload_bytes for p in predictions] == [
                size if s else 0 for size, s in zip(sizes, is_sent, strict=True)
            ]
    assert min(sizes) < 8, "8 bytes are the codes as they are"


def test_another_codec_than_the_one_with_the_table(rich_bundle: Bundle, rich_cloud: CloudClient) -> None:
    for codec in ("int4", "int8+zstd"):
        check_logits(predict(rich_bundle, "adaptive", rich_cloud, codec=codec), reference.tail_logits(IMAGES))


@pytest.mark.parametrize("deployment", ["independent", "adaptive-fused", "dynamic"])
def test_where_answers_are_fused_the_edges_own_stands_without_the_cloud(rich_bundle: Bundle, deployment: str) -> None:
    broken: Any = Broken(rich_bundle, Reason.DEADLINE)
    predictions = predict(rich_bundle, deployment, broken)
    check_logits(predictions, reference.edge_logits(IMAGES))
    assert all(p.timings.fallback == 0 for p in predictions), "it was there already"
