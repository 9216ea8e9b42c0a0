"""As many toy samples as keep a benchmark busy for minutes."""

from pathlib import Path

from tests.bench.conftest import ToyDataset


def make(folder: Path | None = None) -> ToyDataset:
    return ToyDataset(60_000)
