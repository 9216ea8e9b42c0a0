"""Networks that nobody prepared: each of them works with a backend, or is refused with what, where and the way out."""

from pathlib import Path

import pytest

from ecc_deploy.bundle.manifest import Precision
from tests.backends.unprepared import BACKENDS, MODELS, attempt

REFUSED: dict[tuple[str, str], tuple[str, str]] = {
    ("EfficientNet", "openvino"): ("AveragePool", "model.efficientnet.pooler"),
}
"""Operator and module that the message names."""
LEAST_SNR_DB: dict[Precision, float] = {"fp32": 80.0, "int8": 10.0}
"""Against PyTorch. int8 is on untrained weights, whose activations have heavier tails than trained ones."""


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("name", MODELS)
@pytest.mark.parametrize("precision", LEAST_SNR_DB)
def test_it_works_or_says_why(name: str, backend: str, precision: Precision, tmp_path: Path) -> None:
    found = attempt(name, backend, precision, tmp_path)
    if (name, backend) in REFUSED:
        operator, module = REFUSED[name, backend]
        assert operator in found.refused
        assert module in found.refused
        assert "another target" in found.hint
    else:
        assert found.snr_db is not None, found.refused
        assert found.snr_db >= LEAST_SNR_DB[precision]
