"""Networks that nobody prepared: all of them work with all backends, in int8, where more can go wrong than in fp32."""

from pathlib import Path

import pytest

from tests.backends.unprepared import BACKENDS, MODELS, attempt

DEEP = ("MobileNetV2", "EfficientNet", "MobileViT")
"""Hundreds of operators, so half a minute and more with each backend."""
LEAST_SNR_DB = 20.0
"""Of the answers, against PyTorch; docs/results.md has what was found, fp32 included."""


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("name", [pytest.param(name, marks=[pytest.mark.slow] * (name in DEEP)) for name in MODELS])
def test_it_answers_as_in_pytorch(name: str, backend: str, tmp_path: Path) -> None:
    found = attempt(name, backend, "int8", tmp_path)
    assert found.snr_db is not None, found.refused
    assert found.snr_db >= LEAST_SNR_DB
