"""The halves of the toy bundle, and the handlers of a server of them, without a network."""

from collections.abc import Iterator

import grpc
import pytest

from ecc_deploy.bundle import Bundle
from ecc_deploy.serving.batching import Batcher
from ecc_deploy.serving.catalog import Catalog
from ecc_deploy.serving.model import CloudModel
from ecc_deploy.serving.service import Service


@pytest.fixture(scope="module")
def models(toy_bundle: Bundle) -> Iterator[list[CloudModel]]:
    models = [CloudModel(toy_bundle, key, threads=1) for key in ("full", "tail")]
    yield models
    for model in models:
        model.close()


@pytest.fixture(scope="module")
def service(models: list[CloudModel]) -> Iterator[Service]:
    with Batcher(1, max_queue=4) as batcher:
        yield Service(Catalog(models), batcher)


@pytest.fixture
def channels() -> Iterator[list[grpc.Channel]]:
    opened: list[grpc.Channel] = []
    yield opened
    for channel in opened:
        channel.close()
