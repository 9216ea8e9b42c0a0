"""Which gate scores a system offers, and which of them are to be tried."""

from __future__ import annotations

from ecc_deploy.bundle.manifest import Score
from ecc_deploy.errors import UsageError
from ecc_deploy.evaluation.result import AUTO
from ecc_deploy.runtime.gate import SCORES, known_score

_LEARNED = "learned"


def offered_scores(has_learned: bool) -> tuple[Score, ...]:
    """All scores; the learned one only where a gate was trained."""
    return tuple(score for score in SCORES if score != _LEARNED or has_learned)


def chosen_scores(wanted: str, *, has_learned: bool, name: str) -> tuple[Score, ...]:
    """``wanted`` alone, or for :data:`AUTO` all that the system ``name`` offers.

    Raises :class:`UsageError` for a score that is unknown, or that the system does not offer.
    """
    offered = offered_scores(has_learned)
    if wanted == AUTO:
        return offered
    score = known_score(wanted)
    if score not in offered:
        raise UsageError(
            f"{name} has no trained gate, so its score cannot be {wanted!r}",
            f"It offers: {', '.join(offered)}, auto. A recipe whose phase trains the part `gate` makes one.",
        )
    return (score,)
