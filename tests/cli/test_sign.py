"""``ecc-deploy sign``, and ``--verify-key`` of the verbs that run a bundle."""

import shutil
from pathlib import Path

import numpy as np
import pytest

from ecc_deploy.bench.server_process import ServerProcess
from ecc_deploy.bundle import Bundle
from ecc_deploy.bundle.signing import VERIFY_KEY
from ecc_deploy.errors import ServerError
from tests.cli.conftest import Cli
from tests.toy import samples


@pytest.fixture(autouse=True)
def nothing_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    """--verify-key is meant for a whole process; a test ends before this one does."""
    monkeypatch.setenv(VERIFY_KEY, "")


@pytest.fixture
def copy(toy_bundle: Bundle, tmp_path: Path) -> Path:
    return Path(shutil.copytree(toy_bundle.path, tmp_path / "bundle"))


def test_sign_and_run(cli: Cli, copy: Path, tmp_path: Path) -> None:
    np.save(tmp_path / "x.npy", samples(1).images[0])
    run = ("run", copy, tmp_path / "x.npy", "--deployment", "edge-only", "--json", "--verify-key", tmp_path / "key.pub")
    made = cli("sign", "--new-key", tmp_path / "key")
    assert made.code == 0
    assert "keep it secret" in made.out
    unsigned = cli(*run)
    assert (unsigned.code, unsigned.out) == (2, "")
    assert "is not signed" in unsigned.err
    assert cli("sign", copy, "--key", tmp_path / "key").code == 0
    assert cli(*run).code == 0
    cli("sign", "--new-key", tmp_path / "other")
    cli("sign", copy, "--key", tmp_path / "other")
    assert "not trusted here" in cli(*run).err


@pytest.mark.parametrize("verb", ["serve", "bench", "evaluate", "compile"])
def test_every_verb_that_runs_a_bundle_verifies_it_first(cli: Cli, copy: Path, tmp_path: Path, verb: str) -> None:
    cli("sign", "--new-key", tmp_path / "key")
    out = ("--out", tmp_path / "bench.json") if verb == "bench" else ()
    refused = cli(verb, copy, *out, "--verify-key", tmp_path / "key.pub")
    assert refused.code == 2
    assert "is not signed" in refused.err
    assert "no public key" in cli(verb, copy, *out, "--verify-key", tmp_path / "bundle").err
    assert "does not exist" in cli(verb, copy, *out, "--verify-key", tmp_path / "none").err


def test_the_server_of_a_benchmark_verifies_too(cli: Cli, copy: Path, tmp_path: Path) -> None:
    cli("sign", "--new-key", tmp_path / "key")
    cli("evaluate", copy, "--verify-key", tmp_path / "key.pub")
    with pytest.raises(ServerError) as error, ServerProcess(copy):
        pass
    assert "is not signed" in error.value.hint
    cli("sign", copy, "--key", tmp_path / "key")
    with ServerProcess(copy) as server:
        assert server.url


def test_a_password_from_the_environment(cli: Cli, copy: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdin", None)
    assert cli("sign", "--new-key", tmp_path / "key", "--password").code == 2
    monkeypatch.setenv("ECC_DEPLOY_KEY_PASSWORD", "a long one")
    assert cli("sign", "--new-key", tmp_path / "key", "--password").code == 0
    assert "encrypted" in cli("sign", copy, "--key", tmp_path / "key").err
    assert cli("sign", copy, "--key", tmp_path / "key", "--password").code == 0
    monkeypatch.setenv("ECC_DEPLOY_KEY_PASSWORD", "")
    assert "password is empty" in cli("sign", copy, "--key", tmp_path / "key", "--password").err


@pytest.mark.parametrize("given", [[], ["BUNDLE"], ["--key", "k"], ["BUNDLE", "--new-key", "k"]])
def test_one_thing_or_the_other(cli: Cli, given: list[str]) -> None:
    done = cli("sign", *given)
    assert done.code == 2
    assert "Either: ecc-deploy sign BUNDLE --key KEY" in done.err
