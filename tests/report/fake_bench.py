"""Benchmarks as a real one could have come out, made from a seed: figures follow from the raw samples."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import Any

import numpy as np

from ecc_deploy.bench.schema import Arm, Bench, RawSamples
from ecc_deploy.bench.stats import quantiles
from ecc_deploy.runtime.result import STAGES

RAW_BYTES = 784
EDGE_MACS, ENCODER_MACS, CLOUD_MACS, TAIL_MACS = 2_310_000, 90_000, 41_700_000, 22_400_000
# codec: bytes, encode ms, decode ms, what it costs in accuracy
IMAGE_CODECS = {
    "raw": (784, 0.002, 0.03, 0.0),
    "png": (452, 0.35, 0.14, 0.0),
    "webp-lossless": (398, 1.9, 0.2, 0.0),
    "jpeg:90": (624, 0.12, 0.12, 0.001),
    "jpeg:50": (356, 0.11, 0.1, 0.004),
    "webp:80": (331, 0.62, 0.2, 0.002),
    "webp:50": (216, 0.6, 0.19, 0.004),
    "webp:20": (142, 0.58, 0.18, 0.021),
}


class Maker:
    """Draws the answers of an edge and a cloud model on the same samples, then arms from them."""

    def __init__(self, samples: int, seed: int, link_ms: float, edge_accuracy: float, cloud_accuracy: float) -> None:
        self._rng = np.random.default_rng(seed)
        self._samples, self._link_ms = samples, link_ms
        self._label = self._rng.integers(0, 10, samples)
        self._order = self._rng.permutation(max(samples, 1000))[:samples]
        self._hard = self._rng.random(samples)  # the same samples are hard for every model
        self._noise = self._rng.normal(0, 0.05, samples)  # of the cloud model, whatever codec its input came through
        self._edge = self._answers(edge_accuracy, self._rng.normal(0, 0.05, samples))
        self._cloud_accuracy = cloud_accuracy
        self._unsure = self._hard + self._rng.normal(0, 0.12, samples)

    def edge_only(self) -> Arm:
        return self._arm("edge-only", "edge-only", None, np.zeros(self._samples, bool), self._edge)

    def cloud_only(self, codec: str) -> Arm:
        answers = self._answers(self._cloud_accuracy - IMAGE_CODECS[codec][3])
        return self._arm(f"cloud-only/{codec}", "cloud-only", codec, np.ones(self._samples, bool), answers)

    def independent(self, rate: float, codec: str = "png") -> Arm:
        sent = self._gate(rate)
        answers = np.where(sent, self._answers(self._cloud_accuracy - IMAGE_CODECS[codec][3]), self._edge)
        return self._arm("independent", "independent", codec, sent, answers)

    def adaptive(self, codec: str = "int4+zstd") -> Arm:
        sent = np.ones(self._samples, bool)
        return self._arm("adaptive", "adaptive", codec, sent, self._answers(self._cloud_accuracy - 0.004))

    def dynamic(self, rate: float, codec: str = "int4+zstd", fallback_share: float = 0.0) -> Arm:
        sent = self._gate(rate)
        answers = np.where(sent, self._answers(self._cloud_accuracy - 0.002), self._edge)
        return self._arm("dynamic", "dynamic", codec, sent, answers, fallback_share)

    def _answers(self, accuracy: float, noise: np.ndarray | None = None) -> np.ndarray:
        wrong = self._hard + (self._noise if noise is None else noise) > np.quantile(self._hard, accuracy)
        return np.where(wrong, (self._label + 1) % 10, self._label)

    def _gate(self, rate: float) -> np.ndarray:
        return self._unsure > np.quantile(self._unsure, 1 - rate) if rate else np.zeros(self._samples, bool)

    def _arm(
        self, name: str, architecture: str, codec: str | None, sent: np.ndarray, answers: np.ndarray,
        fallback_share: float = 0.0,
    ) -> Arm:  # fmt: skip
        fell_back = sent & (np.arange(self._samples) >= self._samples * (1 - fallback_share))
        by_cloud = sent & ~fell_back
        answers = np.where(fell_back, self._edge, answers)
        stages = self._stages(architecture, codec, sent, by_cloud, fell_back)
        payload = self._payload(architecture, codec) * sent
        reasons = np.where(sent, "always" if architecture in ("cloud-only", "adaptive") else "offloaded", "confident")
        reasons = np.where(fell_back, "unavailable", reasons) if codec else np.full(self._samples, "edge-only")
        raw = RawSamples(
            sample=self._order.tolist(),
            label=self._label.tolist(),
            predicted=answers.tolist(),
            route=np.where(by_cloud, "cloud", "edge").tolist(),
            reason=reasons.tolist(),
            payload_bytes=payload.tolist(),
            stages_ms={stage: series.round(6).tolist() for stage, series in stages.items()},
        )
        return Arm(
            name=name,
            deployment=architecture,
            architecture=architecture,
            codec=codec,
            samples=self._samples,
            accuracy=float((answers == self._label).mean()),
            offload_rate=float(by_cloud.mean()),
            fallback_rate=float(fell_back.mean()),
            reasons=dict(Counter(raw.reason)),
            latency_ms=quantiles(stages["total"]),
            latency_offloaded_ms=quantiles(stages["total"][by_cloud]) if by_cloud.any() else None,
            stages_mean_ms={stage: float(stages[stage].mean()) for stage in STAGES},
            payload_bytes_per_sample=float(payload.mean()),
            payload_bytes_per_offload=float(payload[sent].mean()) if sent.any() else None,
            wire_up_bytes_per_sample=float((payload + 198 * by_cloud).mean()),
            wire_down_bytes_per_sample=float(284 * by_cloud.mean()),
            edge_macs_per_sample=0.0 if architecture == "cloud-only" else self._edge_macs(architecture),
            cloud_macs_per_sample=self._cloud_macs(architecture) * float(by_cloud.mean()),
            raw=raw,
        )

    def _stages(
        self, architecture: str, codec: str | None, sent: np.ndarray, by_cloud: np.ndarray, fell_back: np.ndarray
    ) -> dict[str, np.ndarray]:
        def about(mean: float, spread: float = 0.12) -> np.ndarray:
            series: np.ndarray = mean * self._rng.lognormal(0, spread, self._samples)
            return series

        _, encode, decode, _ = IMAGE_CODECS.get(codec or "raw", (0, 0.06, 0.03, 0))
        stages = {
            "edge": about(0.0 if architecture == "cloud-only" else 0.46),
            "encode": about(encode) * sent,
            "network": (self._link_ms + about(0.62, 0.35)) * by_cloud,
            "server_queue": about(0.05, 0.5) * by_cloud,
            "cloud_decode": about(decode) * by_cloud,
            "cloud_compute": about(1.9 if architecture in ("cloud-only", "independent") else 1.15) * by_cloud,
            "fallback": about(0.46) * fell_back,
            "other": about(0.03, 0.4),
        }
        return {**stages, "total": np.sum(list(stages.values()), axis=0)}

    def _payload(self, architecture: str, codec: str | None) -> np.ndarray:
        if architecture in ("adaptive", "dynamic"):
            return self._rng.integers(160, 250, self._samples)
        size = IMAGE_CODECS[codec][0] if codec else 0
        spread = 0 if codec == "raw" else size // 5
        return size + self._rng.integers(-spread, spread + 1, self._samples)

    def _edge_macs(self, architecture: str) -> float:
        return float(EDGE_MACS + (ENCODER_MACS if architecture in ("adaptive", "dynamic") else 0))

    def _cloud_macs(self, architecture: str) -> float:
        return {"edge-only": 0.0, "adaptive": TAIL_MACS, "dynamic": TAIL_MACS}.get(architecture, CLOUD_MACS)


def every_arm(maker: Maker) -> list[Arm]:
    return [
        maker.edge_only(),
        *[maker.cloud_only(codec) for codec in IMAGE_CODECS],
        maker.independent(0.3),
        maker.adaptive(),
        maker.dynamic(0.3),
    ]


def fake_bench(
    samples: int = 1000,
    seed: int = 0,
    *,
    arms: Callable[[Maker], list[Arm]] = every_arm,
    link_ms: float = 0.0,
    edge_accuracy: float = 0.893,
    cloud_accuracy: float = 0.936,
    cpu: str = "Intel(R) Xeon(R) Platinum 8481C CPU @ 2.70GHz",
    **changes: Any,
) -> Bench:
    """A benchmark of the arms that ``arms`` makes; ``changes``: fields of :class:`Bench` to set."""
    guard = {
        "data": "fashion-mnist val",
        "samples": 2000,
        "float_accuracy": 0.9335,
        "compiled_accuracy": 0.9305,
        "drop_points": 0.3,
        "max_drop_points": 1.0,
    }
    facts: dict[str, Any] = {
        "created": "2026-11-21T06:00:00Z",
        "bundle": {
            "name": "fashion-mnist-s2",
            "pair_id": "0f5c2a9b7e61d3480f5c2a9b7e61d348",
            "created": "2026-11-21T05:58:12Z",
            "dataset": "fashion-mnist",
            "classes": 10,
            "targets": {"edge": "onnxruntime-cpu", "cloud": "onnxruntime-cpu"},
            "toolchain": {"onnx": "1.23.2", "onnxruntime": "1.31.1", "torch": "2.13.0"},
            "halves": {
                "exit": {"side": "edge", "backend": "onnxruntime", "precision": "int8", "macs": EDGE_MACS},
                "full": {"side": "cloud", "backend": "onnxruntime", "precision": "fp32", "macs": CLOUD_MACS},
            },
            "gates": {"dynamic": {"score": "max-softmax", "threshold": 0.83, "offload_rate": 0.3, "chosen_on": "val"}},
            "guards": {
                "edge-only": {**guard, "float_accuracy": 0.8925, "compiled_accuracy": 0.892, "drop_points": 0.05},
                "dynamic": guard,
            },
        },
        "settings": {
            "samples": samples,
            "part": "test",
            "dataset": "fashion-mnist",
            "warmup": 20,
            "seed": seed,
            "threads_edge": 1,
            "deadline_ms": 1000.0,
            "loop": "closed: one sample at a time, the next when the last is answered",
            "order": "interleaved: every sample goes through all arms, in an order shuffled anew per sample",
            "percentiles": "numpy, method 'linear'",
            "self_test": ["edge halves agree with the golden samples", "cloud halves agree with the golden samples"],
            "server": "another process on this machine, started by the benchmark",
            "threads_cloud": 1,
            "link": "loopback" if not link_ms else "private network",
            "wire_method": "TCP_INFO: payload bytes + (IP + TCP headers with options) x segments",
        },
        "environment": {
            "machine": "unknown",
            "cpu": cpu,
            "architecture": "x86_64",
            "cpu_flags": ["avx2", "fma", "avx512f", "avx512_vnni", "amx_int8"],
            "cores": 2,
            "cpu_governor": "unknown",
            "cpu_frequency_mhz": 2700,
            "memory_mib": 7956,
            "is_virtual": True,
            "os": "Debian GNU/Linux 12 (bookworm)",
            "kernel": "Linux 6.1.0",
            "python": "CPython 3.11.7",
            "versions": {"ecc-deploy": "0.1.0", "numpy": "2.4.6", "onnxruntime": "1.31.1"},
            "load_average_start": 0.42,
            "load_average_end": 1.31,
        },
        "raw_input_bytes": RAW_BYTES,
        "warnings": [],
    }
    maker = Maker(samples, seed, link_ms, edge_accuracy, cloud_accuracy)
    return Bench(**{**facts, "arms": arms(maker), **changes})
