"""Noise of quantization: how far what is computed in integers is from what is computed in float."""

from __future__ import annotations

from dataclasses import dataclass
from math import inf, isfinite, log10
from typing import Any

import numpy as np


@dataclass(frozen=True)
class Noise:
    """Energies, sums of squares in float64: of what is wanted, and of the difference from what was found."""

    signal: float = 0.0
    noise: float = 0.0

    @staticmethod
    def between(wanted: np.ndarray, found: np.ndarray) -> Noise:
        """Of two arrays of the same shape. What was found and is no number is infinite noise."""
        exact = wanted.astype(np.float64)
        noise = float(np.square(exact - found).sum())
        return Noise(float(np.square(exact).sum()), noise if isfinite(noise) else inf)

    def __add__(self, other: Noise) -> Noise:
        return Noise(self.signal + other.signal, self.noise + other.noise)

    @property
    def is_none(self) -> bool:
        """Whether there is no noise at all, as of what only moves values, or of a constant that a code hits."""
        return self.noise == 0

    @property
    def is_all(self) -> bool:
        """Whether there is nothing but noise: what is wanted is zero everywhere, or what was found is no number."""
        return self.noise > 0 and (self.signal == 0 or not isfinite(self.noise))

    @property
    def snr_db(self) -> float | None:
        """Signal-to-noise ratio in decibels, ``10 log10(signal / noise)``; ``None`` without noise or without signal."""
        return None if self.is_none or self.is_all else self.order

    @property
    def order(self) -> float:
        """The ratio in decibels as a number to sort by: infinite without noise, minus infinite without signal."""
        if self.is_none:
            return inf
        return -inf if self.is_all else 10 * log10(self.signal / self.noise)

    def to_json(self) -> dict[str, Any]:
        """``snr_db``, and where that is ``None``, why."""
        return {"snr_db": self.snr_db, "noise_free": self.is_none, "only_noise": self.is_all}
