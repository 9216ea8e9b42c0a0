from collections.abc import Iterator
from typing import Self

import pytest

from ecc_deploy.bench import opener
from ecc_deploy.bench.server_process import ServerProcess
from ecc_deploy.bundle import Bundle
from ecc_deploy.data import Samples
from ecc_deploy.errors import DataError
from tests import toy


class ToyDataset:
    name = "toy"
    classes = toy.CLASSES
    image_shape = (8, 8, 1)
    normalisation = toy.NORMALISATION

    def __init__(self, count: int = 60) -> None:
        self._count = count

    def part(self, name: str) -> Samples:
        if name != "test":
            raise DataError(f"the benchmark has no business in {name}")
        samples = toy.samples(self._count, seed=5)
        labels = samples.labels.copy()
        labels[::7] = (labels[::7] + 1) % 4  # no model gets these right, so that accuracies are not all 1
        return Samples(samples.images, labels)


@pytest.fixture(scope="session")
def dataset() -> ToyDataset:
    return ToyDataset()


@pytest.fixture(scope="session")
def server(toy_bundle: Bundle) -> Iterator[ServerProcess]:
    """A server of the toy bundle in another process, that nobody kills."""
    with ServerProcess(toy_bundle.path) as process:
        yield process


@pytest.fixture
def own_servers(monkeypatch: pytest.MonkeyPatch) -> list[ServerProcess]:
    """The servers that the benchmark starts by itself."""
    started: list[ServerProcess] = []

    class Noted(ServerProcess):
        def __enter__(self) -> Self:
            started.append(self)
            return super().__enter__()

    monkeypatch.setattr(opener, "ServerProcess", Noted)
    return started
