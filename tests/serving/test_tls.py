"""Encrypted connections: who gets one, what a client is told that gets none, and certificates that change."""

from __future__ import annotations

import logging
import shutil
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import tritonclient.grpc as triton

from ecc_deploy.bundle import Bundle
from ecc_deploy.errors import EccError, ServerError, UsageError
from ecc_deploy.payload import make_codec
from ecc_deploy.runtime.client import CloudClient, CloudError
from ecc_deploy.runtime.credentials import Credentials
from ecc_deploy.runtime.result import Reason
from ecc_deploy.serving import Server
from ecc_deploy.serving.access import ServerTls
from tests import reference
from tests.certificates import TOKENS, Authority, token_file
from tests.serving.requests import IMAGE, images, png


@pytest.fixture
def ca(tmp_path: Path) -> Authority:
    return Authority(tmp_path)


@pytest.fixture
def other(tmp_path: Path) -> Authority:
    return Authority(tmp_path, "other")


def ask(server: Server, bundle: Bundle, credentials: Credentials | None, host: str = "127.0.0.1") -> np.ndarray:
    """Connect, and the logits of one image. Raises what ``connect`` raises."""
    with CloudClient(f"{host}:{server.port}", bundle.manifest, credentials=credentials) as client:
        client.connect(timeout_s=1.0)
        return client.infer("full", make_codec("png", IMAGE).encode(images(1)[0]), "png", 10.0).logits


def why_not(server: Server, bundle: Bundle, credentials: Credentials | None, host: str = "127.0.0.1") -> str:
    """The message of the error at ``connect``; at ``infer`` the same reason is told, and the edge answers."""
    with pytest.raises(ServerError) as refused:
        ask(server, bundle, credentials, host)
    with CloudClient(f"{host}:{server.port}", bundle.manifest, credentials=credentials) as client:
        with pytest.raises(CloudError) as fallback:
            client.infer("full", b"", "png", 10.0)
        assert fallback.value.reason == Reason.UNAVAILABLE
        assert refused.value.message.split(": ", 1)[1] in fallback.value.detail
    assert refused.value.hint
    return refused.value.message


def test_whom_a_client_encrypts_to(toy_bundle: Bundle, ca: Authority, other: Authority) -> None:
    pair = ca.sign()
    with Server([toy_bundle], tls=ServerTls(pair.cert, pair.key)) as server:
        for host in ("127.0.0.1", "localhost"):
            found = ask(server, toy_bundle, Credentials(ca.file), host)
            np.testing.assert_allclose(found, reference.cloud_logits(images(1))[0], atol=1e-4)
        assert "not signed by one of those in" in why_not(server, toy_bundle, Credentials(other.file))
        assert "may be one that encrypts" in why_not(server, toy_bundle, None)


def test_a_certificate_of_somebody_else(toy_bundle: Bundle, ca: Authority) -> None:
    pair = ca.sign("cloud.example.org")
    with Server([toy_bundle], tls=ServerTls(pair.cert, pair.key)) as server:
        assert "is not for 127.0.0.1" in why_not(server, toy_bundle, Credentials(ca.file))


def test_an_expired_certificate(toy_bundle: Bundle, ca: Authority) -> None:
    pair = ca.sign(is_expired=True)
    with Server([toy_bundle], tls=ServerTls(pair.cert, pair.key)) as server:
        assert "certificate has expired" in why_not(server, toy_bundle, Credentials(ca.file))


def test_a_server_that_does_not_encrypt(toy_server: Server, toy_bundle: Bundle, ca: Authority) -> None:
    assert "does not encrypt" in why_not(toy_server, toy_bundle, Credentials(ca.file))


def test_mutual_tls(toy_bundle: Bundle, ca: Authority, other: Authority) -> None:
    pair, known = ca.sign(), ca.sign("kitchen@example.org", to="known")
    unknown, expired = other.sign("x@example.org", to="unknown"), ca.sign("y@example.org", to="old", is_expired=True)
    with Server([toy_bundle], tls=ServerTls(pair.cert, pair.key, ca.file)) as server:
        assert ask(server, toy_bundle, Credentials(ca.file, known.cert, known.key)).shape == (4,)
        assert "may want a client's certificate" in why_not(server, toy_bundle, Credentials(ca.file))
        for wrong in (unknown, expired):
            credentials = Credentials(ca.file, wrong.cert, wrong.key)
            assert "may not take this certificate" in why_not(server, toy_bundle, credentials)


def test_a_changed_certificate_is_used_for_the_next_connection(
    toy_bundle: Bundle, ca: Authority, other: Authority, caplog: pytest.LogCaptureFixture
) -> None:
    pair = ca.sign()
    with Server([toy_bundle], tls=ServerTls(pair.cert, pair.key)) as server:
        assert ask(server, toy_bundle, Credentials(ca.file)).shape == (4,)
        renewed = other.sign(to="renewed")
        shutil.copy(renewed.cert, pair.cert)  # and the key not yet
        with caplog.at_level(logging.WARNING, "ecc_deploy.serving"):
            assert ask(server, toy_bundle, Credentials(ca.file)).shape == (4,)
        assert "the changed certificate is not used" in caplog.text
        shutil.copy(renewed.key, pair.key)
        assert ask(server, toy_bundle, Credentials(other.file)).shape == (4,)
        with pytest.raises(ServerError):
            ask(server, toy_bundle, Credentials(ca.file))


@pytest.fixture
def strict(toy_bundle: Bundle, ca: Authority, tmp_path: Path) -> Iterator[Server]:
    """Encrypts, and wants a token."""
    pair = ca.sign()
    with Server([toy_bundle], tls=ServerTls(pair.cert, pair.key), token_file=token_file(tmp_path)) as server:
        yield server


def test_tritons_own_client_with_a_token(strict: Server, ca: Authority) -> None:
    tensor = triton.InferInput("payload", [3], "BYTES")
    tensor.set_data_from_numpy(np.array(png(), object))
    with triton.InferenceServerClient(f"127.0.0.1:{strict.port}", ssl=True, root_certificates=str(ca.file)) as client:
        assert client.is_server_live()
        assert client.is_server_ready()
        with pytest.raises(triton.InferenceServerException, match="wants a token") as refused:
            client.infer("full", [tensor])
        assert refused.value.status() == "StatusCode.UNAUTHENTICATED"
        found = client.infer("full", [tensor], headers={"authorization": f"Bearer {TOKENS['garage']}"})
        np.testing.assert_allclose(found.as_numpy("logits"), reference.cloud_logits(images()), atol=1e-4)


def test_our_client_with_a_token(strict: Server, toy_bundle: Bundle, ca: Authority) -> None:
    assert ask(strict, toy_bundle, Credentials(ca.file, token=TOKENS["kitchen"])).shape == (4,)
    for token in (None, "x" * 24):
        with pytest.raises(ServerError, match="does not let this client in") as refused:
            ask(strict, toy_bundle, Credentials(ca.file, token=token))
        assert "--token-file" in refused.value.hint
        with CloudClient(
            f"127.0.0.1:{strict.port}", toy_bundle.manifest, credentials=Credentials(ca.file, token=token)
        ) as client:
            with pytest.raises(CloudError, match="wants a token") as fallback:
                client.infer("full", b"", "png", 10.0)
            assert fallback.value.reason == Reason.REFUSED


@pytest.mark.parametrize(
    "content", ["", "no certificate", "-----BEGIN CERTIFICATE-----\nQUJD\n-----END CERTIFICATE-----"]
)
def test_files_that_are_no_certificates(toy_bundle: Bundle, ca: Authority, tmp_path: Path, content: str) -> None:
    pair, wrong = ca.sign(), tmp_path / "wrong"
    wrong.write_text(content)
    with pytest.raises(UsageError, match="are not a certificate and its key"):
        Server([toy_bundle], tls=ServerTls(wrong, pair.key))
    with pytest.raises(UsageError, match="are not a certificate and its key"):
        Server([toy_bundle], tls=ServerTls(pair.cert, wrong))
    for tls in (Credentials(wrong), Credentials(ca.file, pair.cert, wrong)):
        with pytest.raises(UsageError, match="in PEM form"):
            CloudClient("127.0.0.1:1", toy_bundle.manifest, credentials=tls)
    with pytest.raises(UsageError, match="no certificate in PEM form"):
        Server([toy_bundle], tls=ServerTls(pair.cert, pair.key, wrong))
    with pytest.raises(EccError, match="cannot be read"):
        Server([toy_bundle], tls=ServerTls(tmp_path / "nothing", pair.key))


def test_a_key_with_another_certificate(toy_bundle: Bundle, ca: Authority) -> None:
    one, two = ca.sign(), ca.sign(to="two")
    with pytest.raises(UsageError, match="KEY_VALUES_MISMATCH"):
        Server([toy_bundle], tls=ServerTls(one.cert, two.key))
