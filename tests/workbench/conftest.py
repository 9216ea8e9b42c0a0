from pathlib import Path

import pytest

from ecc_deploy.bundle import Bundle
from ecc_deploy.export.exporter import export


@pytest.fixture(scope="session")
def int8_bundle(gated_run: Path, tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    """Of the tiny system with its gate, for ONNX Runtime, all halves int8."""
    return export(gated_run, tmp_path_factory.mktemp("int8") / "bundle", max_drop=100)
