import json
from pathlib import Path

import pytest
from pydantic import ValidationError

from ecc_deploy.bench.schema import Bench, load_bench, save_bench
from ecc_deploy.bench.schema_series import Quantiles
from ecc_deploy.bench.schema_setting import LinkFacts
from ecc_deploy.errors import UsageError
from tests.report.fake_bench import Maker, fake_bench

LTE = LinkFacts(name="lte", method="tun", up_mbit=10, down_mbit=40, rtt_ms=50)


def _two(maker: Maker) -> list:
    return [maker.edge_only(), maker.dynamic(0.3)]


def _version_1(bench: Bench) -> dict:
    """What version 1 wrote of a benchmark without anything that came later."""
    facts = json.loads(bench.model_dump_json())
    facts["schema_version"] = 1
    for name in ("links", "scenarios", "conditions"):
        del facts[name]
    for arm in facts["arms"]:
        for name in ("link", "floor", "cold", "idle", "energy"):
            del arm[name]
        for name in ("latency_ms", "latency_offloaded_ms"):
            if arm[name] is not None:
                del arm[name]["ci95"]
    return facts


def test_files_of_version_1_are_read(tmp_path: Path) -> None:
    now = fake_bench(30, arms=_two)
    path = tmp_path / "old.json"
    path.write_text(json.dumps(_version_1(now)))
    found = load_bench(path)
    assert found.schema_version == 2
    assert found == now
    assert found.arms[0].latency_ms.ci95 == {}
    assert found.links == []
    assert found.conditions is None


@pytest.mark.parametrize("version", [0, 3, "2", None])
def test_other_versions_are_refused(tmp_path: Path, version: object) -> None:
    path = tmp_path / "bench.json"
    path.write_text(json.dumps({**_version_1(fake_bench(5, arms=_two)), "schema_version": version}))
    with pytest.raises(UsageError, match="schema_version"):
        load_bench(path)


def test_arms_are_told_apart_by_name_and_link(tmp_path: Path) -> None:
    plain = fake_bench(30, arms=_two)
    over = [arm.model_copy(update={"link": "lte"}) for arm in plain.arms]
    bench = fake_bench(30, arms=lambda maker: [*plain.arms, *over], links=[LTE])
    save_bench(bench, tmp_path / "bench.json")
    read = load_bench(tmp_path / "bench.json")
    assert read.arm("dynamic").link is None
    assert read.arm("dynamic", "lte").link == "lte"
    with pytest.raises(KeyError):
        read.arm("dynamic", "wifi")


def test_the_same_arm_twice_is_refused() -> None:
    with pytest.raises(ValidationError, match="same name and link"):
        fake_bench(5, arms=lambda maker: [maker.edge_only()] * 2)


def test_a_link_that_is_not_described_is_refused() -> None:
    with pytest.raises(ValidationError, match=r"not described: lte"):
        fake_bench(5, arms=lambda maker: [maker.edge_only().model_copy(update={"link": "lte"})])


def test_intervals_survive_the_file(tmp_path: Path) -> None:
    bench = fake_bench(5, arms=_two)
    bench.arms[0].latency_ms = Quantiles(p50=1, p90=2, p95=3, p99=4, mean=2, ci95={"p50": (0.5, 1.5)})
    save_bench(bench, tmp_path / "bench.json")
    assert load_bench(tmp_path / "bench.json").arms[0].latency_ms.ci95["p50"] == (0.5, 1.5)
