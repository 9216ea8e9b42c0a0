"""Networks that nobody prepared: all of them work with all backends."""

from pathlib import Path

import pytest

from ecc_deploy.bundle.manifest import Precision
from tests.backends.unprepared import BACKENDS, MODELS, attempt

LEAST_SNR_DB: dict[Precision, float] = {"fp32": 80.0, "int8": 20.0}
"""Of the answers, against PyTorch."""


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("name", MODELS)
@pytest.mark.parametrize("precision", LEAST_SNR_DB)
def test_it_answers_as_in_pytorch(name: str, backend: str, precision: Precision, tmp_path: Path) -> None:
    found = attempt(name, backend, precision, tmp_path)
    assert found.snr_db is not None, found.refused
    assert found.snr_db >= LEAST_SNR_DB[precision]
