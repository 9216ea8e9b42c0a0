import json
from pathlib import Path

import pytest

from ecc_deploy.bench import store
from ecc_deploy.bench.schema import Arm, Bench
from ecc_deploy.bench.schema_series import Energy, Floor, IdlePoint, Quantiles, Scenario
from ecc_deploy.bench.schema_setting import LinkFacts
from tests.cli.conftest import Cli
from tests.report.fake_bench import Maker, fake_bench

LTE = LinkFacts(name="lte", title="LTE, good signal", method="tun", rtt_ms=50, up_mbit=10)
QUANTILES = Quantiles(p50=61, p90=62, p95=63, p99=64, mean=61.5, ci95={"p50": (60.3, 61.8), "p99": (63, 65)})


def _arms(maker: Maker) -> list[Arm]:
    return [maker.edge_only(), maker.dynamic(0.4), maker.adaptive()]


@pytest.fixture
def kept(tmp_path: Path) -> Path:
    """A store with two runs; the second's ECC-A is slower, and another CPU was at work."""
    first = fake_bench(200, arms=_arms, created="2026-11-21T06:00:00Z")
    second = fake_bench(200, arms=_arms, created="2026-11-22T06:00:00Z", cpu="Cortex-A76")
    raw = second.arm("adaptive").raw
    raw.stages_ms["total"] = [2 * value for value in raw.stages_ms["total"]]
    for bench in (first, second):
        store.add(bench, tmp_path / "store")
    return tmp_path / "store"


def test_runs_are_listed(cli: Cli, kept: Path) -> None:
    done = cli("results", "list", kept)
    assert done.code == 0
    assert "20261121T060000Z-fashion-mnist-s2" in done.out
    assert "Cortex-A76" in done.out
    listed = json.loads(cli("results", "list", kept, "--json").out)
    assert [line["created"] for line in listed] == ["2026-11-21T06:00:00Z", "2026-11-22T06:00:00Z"]
    assert listed[0]["samples"] == 200


def test_two_runs_are_compared(cli: Cli, kept: Path) -> None:
    done = cli("results", "compare", kept)
    assert done.code == 0
    (line,) = [line for line in done.out.splitlines() if "latency p50" in line]
    assert "adaptive" in line
    assert "higher" in line
    assert "environment.cpu" in done.out
    assert "not shown to differ" in done.out
    assert "edge-only" not in done.out
    assert "edge-only" in cli("results", "compare", kept, "--all").out


def test_the_comparison_as_json(cli: Cli, kept: Path) -> None:
    files = sorted(kept.iterdir())
    found = json.loads(cli("results", "compare", *files, "--json").out)
    (adaptive,) = [arm for arm in found["arms"] if arm["arm"] == "adaptive"]
    p50 = next(figure for figure in adaptive["figures"] if figure["figure"] == "latency p50")
    assert 0 < p50["low"] < p50["change"] < p50["high"]
    assert p50["verdict"] == "higher"
    assert found["facts"] == [{"fact": "environment.cpu", "before": found["facts"][0]["before"], "after": "Cortex-A76"}]


def test_one_run_is_too_few(cli: Cli, kept: Path) -> None:
    done = cli("results", "compare", sorted(kept.iterdir())[0])
    assert done.code == 2
    assert "two runs" in done.err


def _everything() -> Bench:
    """Every series that can be shown."""
    bench = fake_bench(40, arms=lambda maker: [maker.edge_only(), maker.adaptive()], links=[LTE])
    arm = bench.arm("adaptive")
    arm.link, arm.latency_offloaded_ms = "lte", QUANTILES
    arm.floor = Floor(
        edge_ms=4.25, serialization_ms=1.5, rtt_ms=50, cloud_ms=2.25, total_ms=58, measured_p50_ms=61, overhead_ms=3,
        overhead_ratio=3 / 58, wire_up_bytes_per_offload=400, wire_down_bytes_per_offload=300,
    )  # fmt: skip
    arm.idle = [IdlePoint(gap_s=5, samples=1, fallbacks=0, latency_ms=QUANTILES, values_ms=[61.0])]
    arm.energy = Energy(sensor="RAPL: package-0", samples=9, seconds=3, joules_per_sample=0.125, mean_watts=12)
    bench.scenarios = [
        Scenario(
            name="fixed-rate", arm="adaptive", link="lte", valid=False, why_not=["too few"], target_qps=20, qps=19.5,
            samples=40, fallbacks=0, accuracy=0.9, duration_s=2, latency_ms=QUANTILES, settings={},
        )
    ]  # fmt: skip
    return bench


def test_one_run_is_shown_with_all_that_it_has(cli: Cli, tmp_path: Path) -> None:
    path = store.add(_everything(), tmp_path)
    done = cli("results", "show", path)
    assert done.code == 0
    assert "Over lte, LTE, good signal (tun)" in done.out
    floor = next(line for line in done.out.splitlines() if "58.00" in line)
    for text in ("adaptive over lte", "4.25", "1.50", "50.00", "2.25", "(60.3 to 61.8)", "+5.2 %"):
        assert text in floor
    for text in ("5 s", "125", "RAPL", "INVALID: too few", "fixed-rate 20/s", "90.0\u00a0%"):
        assert text in done.out
    assert json.loads(cli("results", "show", path, "--json").out)["schema_version"] == 2
