"""A benchmark over several links with everything that version 2 of the schema can hold, made from a seed."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from ecc_deploy.bench.schema import Arm, Bench
from ecc_deploy.bench.schema_series import Cold, Energy, Floor, IdlePoint, Quantiles, Repeated, Scenario
from ecc_deploy.bench.schema_setting import BeforeAfter, Conditions, LinkFacts
from ecc_deploy.bench.stats import quantiles
from tests.report.fake_bench import IMAGE_CODECS, Maker, every_arm, fake_bench

WIFI = LinkFacts(
    name="wifi", title="Wi-Fi", method="tun", note="a relay in user space: TCP as it is, rate and delay by a clock",
    up_mbit=60, down_mbit=60, rtt_ms=4, jitter_ms=1, source="a source", measured_up_mbit=60.2, measured_down_mbit=59.9,
    measured_rtt_ms=4.1, deviations={"rtt_ms": 0.025}, wire_up_bytes=200_000, wire_down_bytes=100_000,
    tcp_info_up_bytes=200_400, tcp_info_down_bytes=100_100,
)  # fmt: skip
LTE = LinkFacts(
    name="lte", method="tun", up_mbit=12, down_mbit=40, rtt_ms=50, jitter_ms=5, loss=0.001,
    measured_up_mbit=11.9, measured_down_mbit=39.8, measured_rtt_ms=50.4,
)  # fmt: skip
WEAK = LinkFacts(name="3g", method="proxy", note="no TCP dynamics", up_mbit=1, down_mbit=2, rtt_ms=150)
LINKS = (WIFI, LTE, WEAK)
_HEAD_UP, _HEAD_DOWN = 198, 284
_RESAMPLES = 60


class OverLinkMaker(Maker):
    """Arms over one link: the network takes its round trip, and the bytes at its rates."""

    def __init__(self, link: LinkFacts, *rest: Any) -> None:
        super().__init__(*rest)
        self._link = link

    def _stages(self, architecture: str, codec: str | None, sent: Any, by_cloud: Any, fell_back: Any) -> dict:
        stages = super()._stages(architecture, codec, sent, by_cloud, fell_back)
        size = IMAGE_CODECS.get(codec or "", (205,))[0]
        waiting = self._rng.exponential(0.2 + 0.1 * self._link.jitter_ms, len(sent))
        more = self._link.rtt_ms + serialization_ms(self._link, size) + waiting
        stages["network"] = stages["network"] + more * by_cloud
        stages["total"] = stages["total"] + more * by_cloud
        return stages


def serialization_ms(link: LinkFacts, payload: float) -> float:
    return (payload + _HEAD_UP) * 8 / (link.up_mbit or 1e9) / 1e3 + _HEAD_DOWN * 8 / (link.down_mbit or 1e9) / 1e3


def with_intervals(values: Sequence[float], seed: int = 0) -> Quantiles:
    """Quantiles with bootstrap intervals, of a few resamples."""
    series = np.asarray(values, np.float64)
    drawn = np.random.default_rng(seed).choice(series, (_RESAMPLES, len(series)))
    found = quantiles(series)
    ends = {}
    for name, level in (("p50", 50), ("p90", 90), ("p95", 95), ("p99", 99)):
        low, high = np.percentile(np.percentile(drawn, level, axis=1), (2.5, 97.5))
        value = getattr(found, name)
        ends[name] = (min(float(low), value), max(float(high), value))
    low, high = np.percentile(drawn.mean(axis=1), (2.5, 97.5))
    ends["mean"] = (float(low), float(high))
    return found.model_copy(update={"ci95": ends})


def _completed(arm: Arm, link: LinkFacts) -> Arm:
    total = np.asarray(arm.raw.stages_ms["total"])
    by_cloud = np.asarray([route == "cloud" for route in arm.raw.route])
    sent = total[by_cloud]
    changes: dict[str, Any] = {"latency_ms": with_intervals(total), "link": link.name if arm.codec else None}
    changes["energy"] = Energy(not_measured="no sensor: this machine is virtual")
    changes["cold"] = Cold(
        process_start_ms=_repeated(210, 230, 250), engine_load_ms=_repeated(31, 33, 40),
        connection_ms=_repeated(2 * link.rtt_ms, 2.1 * link.rtt_ms) if arm.codec else None,
        first_inference_ms=_repeated(float(total.max()) * 1.5, float(total.max()) * 1.8),
    )  # fmt: skip
    if not by_cloud.any():
        return arm.model_copy(update=changes)
    cuts = with_intervals(sent)
    in_cloud = np.add(arm.raw.stages_ms["cloud_decode"], arm.raw.stages_ms["cloud_compute"])
    parts = {
        "edge_ms": float(np.median(np.add(arm.raw.stages_ms["edge"], arm.raw.stages_ms["encode"])[by_cloud])),
        "serialization_ms": serialization_ms(link, arm.payload_bytes_per_offload or 0),
        "rtt_ms": link.rtt_ms,
        "cloud_ms": float(np.median(in_cloud[by_cloud])),
    }  # fmt: skip
    floor = sum(parts.values())
    changes["latency_offloaded_ms"] = cuts
    changes["floor"] = Floor(
        **parts, total_ms=floor, measured_p50_ms=cuts.p50, overhead_ms=cuts.p50 - floor,
        overhead_ratio=cuts.p50 / floor - 1, wire_up_bytes_per_offload=400, wire_down_bytes_per_offload=_HEAD_DOWN,
    )  # fmt: skip
    changes["idle"] = [
        IdlePoint(gap_s=gap, samples=20, fallbacks=0, latency_ms=with_intervals(sent[:20] + more), values_ms=[])
        for gap, more in ((0.1, 0.5), (1, 2), (10, 6), (30, 6.5))
    ]
    return arm.model_copy(update=changes)


def _repeated(*values: float) -> Repeated:
    return Repeated(values=list(values), p50=float(np.median(values)), least=min(values), most=max(values))


def _scenarios(arms: Sequence[Arm], link: LinkFacts) -> list[Scenario]:
    arm = next(one for one in arms if one.architecture == "dynamic")
    shared: dict[str, Any] = {"arm": arm.name, "link": link.name, "accuracy": arm.accuracy, "duration_s": 12.0}
    shared |= {"samples": 600, "fallbacks": 0, "settings": {"loadgen": "5.1"}}
    return [
        Scenario(name="single-stream", valid=True, qps=41.2, latency_ms=arm.latency_ms, **shared),
        Scenario(
            name="fixed-rate", valid=False, why_not=["The latency bound was exceeded"], target_qps=80, qps=63.1,
            latency_ms=arm.latency_ms, **shared,
        ),
        Scenario(name="offline", valid=True, target_qps=200, qps=181.4, latency_ms=None, **shared),
    ]  # fmt: skip


def fake_links_bench(
    samples: int = 300, seed: int = 0, links: Sequence[LinkFacts] = LINKS, **changes: Any
) -> Bench:  # fmt: skip
    """All arms over every link; edge-only once, without one."""
    arms: list[Arm] = []
    scenarios: list[Scenario] = []
    for link in links:
        own = [_completed(arm, link) for arm in every_arm(OverLinkMaker(link, samples, seed, 0.0, 0.893, 0.936))]
        arms += [arm for arm in own if arm.codec or not arms]
        scenarios += _scenarios(own, link)
    now: dict[str, Any] = {"at": "2026-11-21T06:00:00Z", "cpu_governor": "performance", "temperature_c": 41.5}
    now["throttle_sensor"] = "a file"
    later = {**now, "temperature_c": 48.0, "throttling": ["soft temperature limit has been active"]}
    facts: dict[str, Any] = {
        "links": list(links),
        "scenarios": scenarios,
        "conditions": BeforeAfter(before=Conditions(**now), after=Conditions(**later)),
    }
    return fake_bench(samples, seed, arms=lambda _: arms, **{**facts, **changes})
