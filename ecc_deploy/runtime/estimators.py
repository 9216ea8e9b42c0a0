"""What the runtime knows of link, server, samples and gate, from what it has seen. No clock, no network, no threads."""

from __future__ import annotations

import bisect
import math
from collections import deque

GAIN = 1 / 8
"""Weight of a new observation in a mean: that of V. Jacobson's smoothed round trip (RFC 6298, section 2.3)."""
FORGET_S = 0.7
"""After this long without observations a new one counts 1 - 1/e."""


def gain(idle_s: float) -> float:
    """Weight of an observation ``idle_s`` seconds after the last: :data:`GAIN`, more where the last is old.

    ``max(1/8, 1 - exp(-idle / 0.7 s))``: a link that is only probed now and then is known by its last few probes.
    """
    return max(GAIN, -math.expm1(-max(idle_s, 0.0) / FORGET_S))


class Level:
    """A smoothed mean, and how far observations lie above it; the units are those of the observations.

    As the round trip in RFC 6298 (Jacobson and Karels 1988): ``error = new - mean``, ``mean += g·error``,
    ``deviation += max(g, 1/4)·(|error| - deviation)``; the first observation sets the mean and half of it the
    deviation. Other than there, a ``new`` below what was expected does not widen the deviation, as in Linux's TCP:
    only surprises for the worse matter to whoever asks for an upper bound.
    """

    def __init__(self) -> None:
        self.mean = 0.0
        self.deviation = 0.0
        self.count = 0

    def observe(self, value: float, weight: float = GAIN) -> None:
        """Take in ``value``, not negative, with ``weight`` above 0 up to 1."""
        self.count += 1
        if self.count == 1:
            self.mean, self.deviation = value, value / 2
            return
        error = value - self.mean
        spread = abs(error) if error > 0 else min(-error, self.deviation)
        self.deviation += max(weight, 2 * GAIN) * (spread - self.deviation)
        self.mean += weight * error


class LinkEstimate:
    """Time on the link as a function of what is sent: ``rtt + bytes / rate``, fitted to what was observed.

    An exponentially weighted least-squares line through (bytes, milliseconds): with the weight ``g`` of an observation,
    its means move by ``g`` of the difference, and variance and covariance by ``v = (1 - g)(v + g·difference²)`` (T.
    Finch, Incremental calculation of weighted mean and variance, 2009). Where all that was sent is of about one size,
    the slope is not known from it and stays as it was: the line is then right for that size, which is what is asked.
    The slope is from 0 (bytes cost nothing) to mean time over mean bytes (nothing but bytes costs).

    ``bytes`` are those of the sample and of all requests under way before it, which the link carries first.
    """

    _LEAST_SPREAD = 0.1
    """Standard deviation over mean of the sizes below which they count as one size."""

    def __init__(self) -> None:
        self._time = Level()
        self._bytes = 0.0
        self._variance = 0.0
        self._covariance = 0.0
        self._slope = 0.0

    @property
    def is_known(self) -> bool:
        return self._time.count > 0

    @property
    def rtt_ms(self) -> float:
        """What nothing would take; 0 where nothing is known."""
        return max(self._time.mean - self._slope * self._bytes, 0.0)

    @property
    def bytes_per_ms(self) -> float | None:
        """The link's rate; None where more bytes were not seen to take longer."""
        return 1 / self._slope if self._slope > 0 else None

    def observe(self, sent_bytes: float, time_ms: float, weight: float = GAIN) -> None:
        """``sent_bytes`` took ``time_ms``; both not negative."""
        if not self.is_known:
            self._bytes = sent_bytes
        of_bytes, of_time = sent_bytes - self._bytes, time_ms - self._time.mean
        # The deviation is from the line, not from the mean: bytes that explain a time are no surprise.
        surprise = time_ms - self.expected(sent_bytes)
        self._bytes += weight * of_bytes
        if self._time.count == 0:
            self._time.observe(time_ms)
        else:
            mean = self._time.mean + weight * of_time
            self._time.observe(max(self._time.mean + surprise, 0.0), weight)
            self._time.mean = mean
        self._variance = (1 - weight) * (self._variance + weight * of_bytes**2)
        self._covariance = (1 - weight) * (self._covariance + weight * of_bytes * of_time)
        if self._variance > (self._LEAST_SPREAD * self._bytes) ** 2 > 0:
            self._slope = self._covariance / self._variance
        self._slope = min(max(self._slope, 0.0), self._time.mean / self._bytes if self._bytes else 0.0)

    def expected(self, sent_bytes: float) -> float:
        """Milliseconds that ``sent_bytes`` will take."""
        return max(self._time.mean + self._slope * (sent_bytes - self._bytes), 0.0)

    @property
    def deviation_ms(self) -> float:
        """How far times lie above what was expected, on average."""
        return self._time.deviation


class ScoreWindow:
    """The confidences of the last ``size`` samples: which threshold sends which share of them."""

    def __init__(self, size: int = 512) -> None:
        self._recent: deque[float] = deque(maxlen=size)
        self._sorted: list[float] = []

    def __len__(self) -> int:
        return len(self._recent)

    def add(self, score: float) -> None:
        """Another sample's confidence, finite."""
        if len(self._recent) == self._recent.maxlen:
            del self._sorted[bisect.bisect_left(self._sorted, self._recent[0])]
        self._recent.append(score)
        bisect.insort(self._sorted, score)

    def threshold(self, share: float) -> float:
        """A threshold below which at most ``share`` (0 to 1) of the window is; with ties, less. Needs one score."""
        place = math.floor(share * len(self._sorted))
        return self._sorted[place] if place < len(self._sorted) else math.inf


class Bucket:
    """A token bucket: what was not spent is kept, up to ``capacity``; the least that it may hold is not bounded."""

    def __init__(self, capacity: float) -> None:
        self.capacity = capacity
        self.tokens = capacity

    def earn(self, amount: float) -> None:
        self.tokens = min(self.tokens + amount, self.capacity)

    def spend(self, amount: float) -> None:
        self.tokens -= amount


class Ladder:
    """Which of several ways to go, the most wanted first, each with a cost that changes; with hysteresis.

    A way is left when its cost is above the limit, for the first after it that fits. One before it is taken up again
    only when its cost is below ``1 - hysteresis`` of the limit, so that a cost about the limit does not make the choice
    flap. ``level`` is the place of the way that is taken; the number of ways where none fits.
    """

    def __init__(self, hysteresis: float) -> None:
        self.level = 0
        self._hysteresis = hysteresis

    def update(self, costs: list[float], limit: float) -> int:
        """The level with these costs and this limit, of the same unit."""
        low = (1 - self._hysteresis) * limit
        current = min(self.level, len(costs))
        for place, cost in enumerate(costs):
            if cost <= (low if place < current else limit):
                self.level = place
                return place
        self.level = len(costs)
        return self.level
