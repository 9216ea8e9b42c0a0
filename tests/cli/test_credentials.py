"""``run`` and ``bench`` against a server that encrypts and wants a token, and what they say where it lets nobody in."""

import json
from pathlib import Path

import numpy as np
import pytest

from ecc_deploy.bench.schema import load_bench
from ecc_deploy.bundle import Bundle
from ecc_deploy.serving import Server
from ecc_deploy.serving.access import ServerTls
from tests import toy
from tests.bench.conftest import ToyDataset
from tests.certificates import TOKENS, Authority, token_file
from tests.cli.conftest import Cli


@pytest.mark.parametrize("is_mutual", [False, True])
def test_run_is_let_in(cli: Cli, toy_bundle: Bundle, tmp_path: Path, is_mutual: bool) -> None:
    ca, images = Authority(tmp_path), tmp_path / "images.npy"
    np.save(images, toy.samples(4).images)
    server_pair, own = ca.sign(), ca.sign("kitchen@example.org", to="own")
    tls = ServerTls(server_pair.cert, server_pair.key, ca.file if is_mutual else None)
    token = tmp_path / "token"
    token.write_text(TOKENS["kitchen"])
    token.chmod(0o600)
    with Server([toy_bundle], tls=tls, token_file=token_file(tmp_path)) as server:
        to = ("run", toy_bundle.path, images, "--deployment", "cloud-only", "--cloud", f"localhost:{server.port}")
        options = ["--tls-ca", ca.file, "--token-file", token]
        if is_mutual:
            options += ["--tls-cert", own.cert, "--tls-key", own.key]
        done = cli(*to, *options, "--json")
        assert {answer["route"] for answer in json.loads(done.out)} == {"cloud"}, done.err
        done = cli(*to, *options[:2], "--json")
        assert {answer["route"] for answer in json.loads(done.out)} == {"edge"}
        assert ("client's certificate" if is_mutual else "wants a token") in done.err


def dataset(folder: Path | None = None) -> ToyDataset:
    """For ``--dataset``."""
    return ToyDataset()


def test_bench_says_why_it_is_not_let_in(cli: Cli, toy_bundle: Bundle, tmp_path: Path) -> None:
    ca, other, out = Authority(tmp_path), Authority(tmp_path, "other"), tmp_path / "bench.json"
    pair = ca.sign()
    with Server([toy_bundle], tls=ServerTls(pair.cert, pair.key), token_file=token_file(tmp_path)) as server:
        to = ("bench", toy_bundle.path, "--dataset", "tests.cli.test_credentials:dataset", "--out", out)
        to = (*to, "--cloud", f"127.0.0.1:{server.port}", "--tls-ca")
        for file, says in ((other.file, "not signed by one of those"), (ca.file, "wants a token")):
            done = cli(*to, file)
            assert done.code == 2
            assert says in " ".join(done.err.split())
    assert not out.exists()


def test_cold_starts_are_let_in_too(cli: Cli, toy_bundle: Bundle, tmp_path: Path) -> None:
    ca, out, token = Authority(tmp_path), tmp_path / "bench.json", tmp_path / "token"
    token.write_text(TOKENS["kitchen"])
    token.chmod(0o600)
    pair = ca.sign()
    with Server([toy_bundle], tls=ServerTls(pair.cert, pair.key), token_file=token_file(tmp_path)) as server:
        to = ("bench", toy_bundle.path, "--dataset", "tests.cli.test_credentials:dataset", "--out", out)
        to = (*to, "--cloud", f"127.0.0.1:{server.port}", "--tls-ca", ca.file, "--token-file", token)
        done = cli(*to, "--arch", "adaptive", "--warmup", "0", "--cold", "1")
    assert done.code == 0, done.err
    (arm,) = load_bench(out).arms
    assert arm.cold is not None
    assert arm.cold.connection_ms is not None
    assert not [text for text in load_bench(out).warnings if "cold start" in text]


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (["--tls-cert", "a.pem"], "go together"),
        (["--token-file", "nothing"], "cannot be read"),
        (["--tls-ca", "nothing"], "cannot be read"),
    ],
)
def test_mistakes(cli: Cli, toy_bundle: Bundle, tmp_path: Path, options: list[str], says: str) -> None:
    images = tmp_path / "images.npy"
    np.save(images, toy.samples(1).images)
    done = cli("run", toy_bundle.path, images, "--cloud", "127.0.0.1:1", *options)
    assert done.code == 2
    assert says in done.err
    done = cli("serve", toy_bundle.path, "--tls-cert", "a.pem")
    assert done.code == 2
    assert "Give both --tls-cert and --tls-key" in done.err
