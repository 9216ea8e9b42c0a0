"""Credentials that fit together, and where a token may go."""

from pathlib import Path

import pytest

from ecc_deploy.bundle import Bundle
from ecc_deploy.errors import UsageError
from ecc_deploy.runtime.client import CloudClient
from ecc_deploy.runtime.credentials import Credentials, load_credentials, trouble
from tests.certificates import Authority

TOKEN = "kitchen-token-0123456789"


def test_none_are_needed() -> None:
    assert load_credentials() is None
    assert Credentials().metadata == ()


def test_parts_that_do_not_go_together() -> None:
    for parts in ({"cert": "a"}, {"key": "a"}, {"ca": "a", "cert": "a"}):
        with pytest.raises(UsageError, match="go together"):
            Credentials(**parts)
    with pytest.raises(UsageError, match="encrypted connection"):
        Credentials(cert="a", key="b")


def test_a_token_is_not_shown(tmp_path: Path) -> None:
    path = tmp_path / "token"
    path.write_text(TOKEN)
    path.chmod(0o600)
    found = load_credentials(token_file=path)
    assert found is not None
    assert found.metadata == (("authorization", f"Bearer {TOKEN}"),)
    assert TOKEN not in repr(found)


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1", "127.8.9.1", "[::1]", "[::ffff:127.0.0.1]"])
def test_a_token_may_go_to_this_machine_in_the_clear(toy_bundle: Bundle, host: str) -> None:
    CloudClient(f"{host}:1", toy_bundle.manifest, credentials=Credentials(token=TOKEN)).close()


@pytest.mark.parametrize("host", ["10.0.0.1", "cloud.example.org", "[fe80::1]", "127.example.org", "localhost.org"])
def test_a_token_goes_to_others_encrypted_only(toy_bundle: Bundle, host: str, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="for everybody on the way to read") as refused:
        CloudClient(f"{host}:1", toy_bundle.manifest, credentials=Credentials(token=TOKEN))
    assert "--tls-ca" in refused.value.hint
    ca = Authority(tmp_path).file
    CloudClient(f"{host}:1", toy_bundle.manifest, credentials=Credentials(ca, token=TOKEN)).close()


def test_what_is_not_known_is_not_explained() -> None:
    assert trouble("a:1", Credentials(), "Connection refused") is None
