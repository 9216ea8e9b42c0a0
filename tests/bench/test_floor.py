from dataclasses import dataclass

import pytest

from ecc_deploy.bench.floor import floor
from ecc_deploy.bench.schema import RawSamples
from ecc_deploy.bench.wirebytes import WireBytes
from ecc_deploy.runtime.result import STAGES


@dataclass
class Line:
    up_mbit: float | None = 10.0
    down_mbit: float | None = 20.0
    rtt_ms: float = 20.0


def _raw(routes: list[str]) -> RawSamples:
    count = len(routes)
    stages = {stage: [0.0] * count for stage in STAGES}
    stages |= {"edge": [1.0] * count, "encode": [0.5] * count, "cloud_decode": [0.25] * count}
    stages |= {"cloud_compute": [2.0] * count, "total": [30.0 if route == "cloud" else 99.0 for route in routes]}
    return RawSamples(
        sample=list(range(count)), label=[0] * count, predicted=[0] * count, route=routes, reason=["offloaded"] * count,
        payload_bytes=[200 if route == "cloud" else 0 for route in routes], stages_ms=stages,
    )  # fmt: skip


def test_the_floor_against_values_worked_by_hand() -> None:
    found = floor(_raw(["cloud", "edge", "cloud", "edge", "edge"]), WireBytes(2500, 1000), Line())
    assert found is not None
    # Two samples were sent: 1,250 bytes up at 10 Mbit/s take 1 ms, 500 bytes down at 20 Mbit/s take 0.2 ms.
    assert found.serialization_ms == pytest.approx(1.2)
    assert (found.edge_ms, found.cloud_ms, found.rtt_ms) == (1.5, 2.25, 20.0)
    assert found.total_ms == pytest.approx(1.5 + 1.2 + 20 + 2.25)
    assert found.measured_p50_ms == 30.0
    assert found.overhead_ms == pytest.approx(30 - 24.95)
    assert found.overhead_ratio == pytest.approx(5.05 / 24.95)
    assert (found.wire_up_bytes_per_offload, found.wire_down_bytes_per_offload) == (1250, 500)


def test_a_rate_that_is_not_limited_takes_no_time() -> None:
    found = floor(_raw(["cloud"]), WireBytes(1250, 500), Line(up_mbit=None, down_mbit=None))
    assert found is not None
    assert found.serialization_ms == 0


def test_samples_that_fell_back_were_sent_too() -> None:
    raw = _raw(["cloud", "edge"])
    raw.payload_bytes[1] = 200
    found = floor(raw, WireBytes(2500, 1000), Line())
    assert found is not None
    assert found.wire_up_bytes_per_offload == 1250


@pytest.mark.parametrize(("routes", "wire"), [(["edge"], WireBytes(0, 0)), (["cloud"], None)])
def test_without_offloads_or_bytes_there_is_none(routes: list[str], wire: WireBytes | None) -> None:
    assert floor(_raw(routes), wire, Line()) is None
