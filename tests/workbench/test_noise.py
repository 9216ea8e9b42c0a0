import json
from math import inf

import numpy as np
import pytest

from ecc_deploy.workbench.noise import Noise


def test_the_ratio_is_that_of_energies() -> None:
    wanted = np.full((2, 50), 10.0, np.float32)
    noise = Noise.between(wanted, wanted + np.float32(0.1))
    assert noise.signal == pytest.approx(10_000)
    assert noise.snr_db == pytest.approx(40, abs=1e-4)
    assert noise.order == noise.snr_db


def test_energies_of_batches_add_up() -> None:
    rng = np.random.default_rng(0)
    wanted, found = rng.normal(size=(64, 8)), rng.normal(size=(64, 8))
    parts = [Noise.between(wanted[i : i + 16], found[i : i + 16]) for i in range(0, 64, 16)]
    whole = Noise.between(wanted, found)
    assert sum(parts, Noise()).snr_db == pytest.approx(whole.snr_db)


@pytest.mark.parametrize(
    ("wanted", "found", "order", "facts"),
    [
        ([1.0, 2.0], [1.0, 2.0], inf, {"snr_db": None, "noise_free": True, "only_noise": False}),
        ([7.0, 7.0], [7.0, 7.0], inf, {"snr_db": None, "noise_free": True, "only_noise": False}),
        ([0.0, 0.0], [0.0, 0.0], inf, {"snr_db": None, "noise_free": True, "only_noise": False}),
        ([0.0, 0.0], [0.0, 0.5], -inf, {"snr_db": None, "noise_free": False, "only_noise": True}),
        ([1.0, 1.0], [1.0, np.nan], -inf, {"snr_db": None, "noise_free": False, "only_noise": True}),
        ([1.0, 1.0], [1.0, np.inf], -inf, {"snr_db": None, "noise_free": False, "only_noise": True}),
    ],
)
def test_without_noise_or_signal_there_is_no_ratio(wanted: list, found: list, order: float, facts: dict) -> None:
    noise = Noise.between(np.array(wanted), np.array(found))
    assert noise.order == order
    assert noise.to_json() == facts
    json.dumps(noise.to_json(), allow_nan=False)


def test_no_sample_is_no_noise() -> None:
    assert Noise().is_none
    assert (Noise() + Noise(4.0, 1.0)).snr_db == pytest.approx(6.0206, abs=1e-4)
