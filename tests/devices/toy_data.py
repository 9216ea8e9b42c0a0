"""The toy bundle's dataset for another process, which finds it by ``tests.devices.toy_data:make``."""

from pathlib import Path

from tests.bench.conftest import ToyDataset


def make(folder: Path | None = None) -> ToyDataset:
    return ToyDataset()
