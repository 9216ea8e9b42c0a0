"""What many tests share: the toy bundle, made once, and a server of it."""

import os
import signal
from collections.abc import Iterator

import pytest

from ecc_deploy.bundle import Bundle
from ecc_deploy.runtime.client import CloudClient
from ecc_deploy.serving import Server
from tests.toy import make_bundle

pytest_plugins = ("tests.tiny", "tests.cifar10")
pytest.register_assert_rewrite("tests.backends.compiler_conformance", "tests.backends.runner_conformance")


def pytest_configure() -> None:
    """Ctrl-C is tested: a shell's background job ignores it, and so would everything that is started here."""
    if signal.getsignal(signal.SIGINT) == signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The file that takes longest comes first: last, one process would wait for it alone."""
    items.sort(key=lambda item: item.path.name != "test_quickstart.py")


@pytest.fixture(scope="session", autouse=True)
def own_cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """No test sees the user's cache folder; tests share one, so that what many of them export is compiled once."""
    base = tmp_path_factory.getbasetemp()
    shared = base.parent if "PYTEST_XDIST_WORKER" in os.environ else base  # one folder of this run, of all workers
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(shared / "cache"))
        yield


@pytest.fixture(scope="session")
def toy_bundle(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    """To be read, not changed."""
    return make_bundle(tmp_path_factory.mktemp("toy") / "bundle")


@pytest.fixture(scope="session")
def other_bundle(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    """The same halves under the same name, another threshold: another pair."""
    return make_bundle(tmp_path_factory.mktemp("other") / "bundle", threshold=0.9)


@pytest.fixture(scope="session")
def rich_bundle(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    """With all that a bundle may have: learned gate, fused answers, a codec's table."""
    return make_bundle(tmp_path_factory.mktemp("rich") / "bundle", rich=True)


@pytest.fixture(scope="session")
def toy_server(toy_bundle: Bundle) -> Iterator[Server]:
    """A running server of the toy bundle, in this process."""
    with Server([toy_bundle]) as server:
        yield server


@pytest.fixture
def cloud(toy_bundle: Bundle, toy_server: Server) -> Iterator[CloudClient]:
    """A client connected to ``toy_server``."""
    with CloudClient(f"127.0.0.1:{toy_server.port}", toy_bundle.manifest) as client:
        client.connect()
        yield client
