"""The idle series: how long the first offload takes after nothing ran for a while.

What sleeps meanwhile: TCP's congestion window (it starts anew after an idle retransmission timeout, RFC 5681, 4.1),
radios, CPU clocks, caches. The whole benchmark rests during a gap, not the one arm alone.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence

import numpy as np

from ecc_deploy.bench.loop import OpenArm
from ecc_deploy.bench.schema_series import IdlePoint
from ecc_deploy.bench.stats import quantiles
from ecc_deploy.data import Samples
from ecc_deploy.progress import Progress


def idle_series(
    arms: Sequence[OpenArm],
    samples: Samples,
    gaps_s: Sequence[float],
    *,
    repetitions: int,
    seed: int,
    progress: Progress,
    sleep: Callable[[float], None] = time.sleep,
) -> list[list[IdlePoint]]:
    """For each arm its points, by growing gap; none for an arm that sent nothing when it was measured.

    Every sample is one that the arm sent then. Arms, and within a repetition the gaps, come in turn.
    """
    shuffle = np.random.default_rng([seed, 3])
    gaps = sorted(set(gaps_s))
    sending = [i for i, arm in enumerate(arms) if arm.sent_samples()]
    turns = [(i, gap) for i in sending for gap in gaps]
    values: dict[tuple[int, float], list[float]] = {turn: [] for turn in turns}
    fallbacks = dict.fromkeys(turns, 0)
    for repetition in range(repetitions):
        for position in shuffle.permutation(len(turns)):
            turn = turns[position]
            arm, gap = arms[turn[0]], turn[1]
            sent = arm.sent_samples()
            image = samples.images[sent[repetition % len(sent)]]
            sleep(gap)
            prediction = arm.answer(image)
            values[turn].append(round(prediction.timings.total, 6))
            fallbacks[turn] += prediction.reason.is_fallback
        progress("Idle gaps", repetition + 1, repetitions, f"{len(sending)} arms")
    return [
        [
            IdlePoint(
                gap_s=gap,
                samples=repetitions,
                fallbacks=fallbacks[i, gap],
                latency_ms=quantiles(values[i, gap], seed),
                values_ms=values[i, gap],
            )
            for gap in gaps
            if (i, gap) in values
        ]
        for i in range(len(arms))
    ]
