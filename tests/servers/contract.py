"""What every server of a bundle's cloud halves has to do for an edge, whoever wrote it: one body for all of them."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import tritonclient.grpc as tritonclient

from ecc_deploy.bundle import Bundle
from ecc_deploy.bundle.codecs import sent
from ecc_deploy.bundle.golden import load_golden
from ecc_deploy.errors import ServerError
from ecc_deploy.runtime.client import CloudClient, CloudError
from ecc_deploy.runtime.engine import EdgeRuntime
from ecc_deploy.runtime.result import Reason, Route
from tests import reference
from tests.toy import samples

DEADLINE_S = 20.0
TOLERANCE = 1e-5
"""Of logits: batches of other sizes may be summed in another order."""


class ServerContract:
    """Inherited once for each server, with a class-scoped fixture ``url``, where it serves ``rich_bundle``."""

    @pytest.fixture
    def client(self, url: str, rich_bundle: Bundle) -> Iterator[CloudClient]:
        with CloudClient(url, rich_bundle.manifest) as client:
            client.connect(DEADLINE_S)
            yield client

    def test_golden_samples_come_out_as_they_must(self, client: CloudClient, rich_bundle: Bundle) -> None:
        golden = load_golden(rich_bundle)
        tried = 0
        for name, deployment in rich_bundle.manifest.deployments.items():
            if deployment.cloud is None or deployment.codec is None:
                continue
            wanted = golden.output(deployment.cloud, "logits")
            for index in range(len(golden)):
                answer = client.infer(deployment.cloud, golden.payload(name, index), deployment.codec, DEADLINE_S)
                np.testing.assert_allclose(answer.logits, wanted[index], atol=TOLERANCE)
                tried += 1
        assert tried == 20

    def test_the_edge_gets_its_answers_from_it(self, client: CloudClient, rich_bundle: Bundle) -> None:
        images = samples(8, seed=21).images
        for name in ("cloud-only", "adaptive"):
            with EdgeRuntime(rich_bundle, name, cloud=client, deadline_ms=1e3 * DEADLINE_S) as runtime:
                for image in images:
                    prediction = runtime.predict(image)
                    assert (prediction.route, prediction.reason) == (Route.CLOUD, Reason.ALWAYS), prediction.detail

    def test_a_codec_of_the_clients_choice(self, client: CloudClient, rich_bundle: Bundle) -> None:
        codes = reference.codes(samples(3, seed=4).images)
        wanted = reference.tail_logits(samples(3, seed=4).images)
        for spec in ("int4", "int8+zstd", "int4+ans"):
            codec = sent(rich_bundle, "toy").codec(spec)
            for item, logits in zip(codes, wanted, strict=True):
                answer = client.infer("tail", codec.encode(item), spec, DEADLINE_S)
                np.testing.assert_allclose(answer.logits, logits, atol=1e-4)

    def test_wrong_requests_are_refused_and_the_next_is_answered(
        self, client: CloudClient, rich_bundle: Bundle
    ) -> None:
        good = load_golden(rich_bundle).payload("adaptive", 0)
        for half, payload, codec, said in (
            ("tail", b"\x01", "int4", "is not int4"),
            ("tail", good, "gif", "no codec named"),
            ("full", good, "png", "is not png"),
            ("nothing", good, "int4", "nothing"),
        ):
            with pytest.raises(CloudError, match=said) as caught:
                client.infer(half, payload, codec, DEADLINE_S)
            assert caught.value.reason == Reason.REFUSED
            client.infer("tail", good, "int4+ans", DEADLINE_S)

    def test_another_pair_is_refused(self, url: str, client: CloudClient, toy_bundle: Bundle) -> None:
        payload = load_golden(toy_bundle).payload("dynamic", 0)
        with CloudClient(url, toy_bundle.manifest) as other:
            with pytest.raises(ServerError, match="belongs to the pair"):
                other.connect(DEADLINE_S)
            with pytest.raises(CloudError, match="different bundles") as caught:
                other.infer("tail", payload, "int4", DEADLINE_S)
            assert caught.value.reason == Reason.REFUSED

    def test_many_at_once_each_get_their_own_answer(self, url: str, rich_bundle: Bundle) -> None:
        images = samples(64, seed=6).images
        wanted = reference.tail_logits(images)
        codec = sent(rich_bundle, "toy").codec("int4")
        payloads = [codec.encode(item) for item in reference.codes(images)]

        def ask(which: int) -> None:
            with CloudClient(url, rich_bundle.manifest) as client:
                client.connect(DEADLINE_S)
                for index in range(which, len(images), 16):
                    answer = client.infer("tail", payloads[index], "int4", DEADLINE_S)
                    np.testing.assert_allclose(answer.logits, wanted[index], atol=1e-4)

        assert len(np.unique(wanted.round(3), axis=0)) > 30
        with ThreadPoolExecutor(16) as pool:
            list(pool.map(ask, range(16)))

    def test_tritonclient_unmodified(self, url: str, rich_bundle: Bundle) -> None:
        images = samples(5, seed=7).images
        codec = sent(rich_bundle, None).codec("png")
        tensor = tritonclient.InferInput("payload", [5], "BYTES")
        tensor.set_data_from_numpy(np.array([codec.encode(image) for image in images], object))
        with tritonclient.InferenceServerClient(url) as client:
            assert client.is_server_live()
            assert client.is_server_ready()
            assert client.is_model_ready("full")
            found = client.infer("full", [tensor], parameters={"codec": "png"}).as_numpy("logits")
        assert found.shape == (5, 4)
        np.testing.assert_allclose(found, reference.cloud_logits(images), atol=1e-4)
