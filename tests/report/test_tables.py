import io

import pytest
from rich.console import Console

from ecc_deploy.bench.schema import Bench
from ecc_deploy.report.tables import comparison_table
from tests.report.fake_bench import fake_bench


def shown(bench: Bench, width: int) -> list[str]:
    out = io.StringIO()
    Console(file=out, width=width).print(comparison_table(bench, width))
    return out.getvalue().splitlines()


@pytest.fixture(scope="module")
def bench() -> Bench:
    return fake_bench()


@pytest.mark.parametrize("width", [80, 100, 200])
def test_every_arm_has_a_whole_line(bench: Bench, width: int) -> None:
    lines = shown(bench, width)
    assert all(len(line) <= width for line in lines)
    assert not any("…" in line for line in lines)
    for arm in bench.arms:
        parts = [f"{arm.accuracy * 100:.1f}", f"{arm.latency_ms.p50:.2f}", f"{arm.payload_bytes_per_sample:.1f}"]
        name = f"· {arm.codec} " if arm.codec else "Edge-only"
        line = next(line for line in lines if name in line and all(part in line.split() for part in parts))
        assert f"{arm.cloud_macs_per_sample / 1e6:.2f}" in line.split()


def test_lesser_columns_go_first(bench: Bench) -> None:
    heads = {width: " ".join(shown(bench, width)[1].split()) for width in (80, 100, 300)}
    assert "wire down" in heads[300]
    assert "wire down" not in heads[100]
    assert "95 % interval" in heads[100]
    assert "95 % interval" not in heads[80]
    for head in heads.values():
        assert "accuracy" in head
        assert "payload" in head
        assert "cloud MACs" in head


def test_names_are_text_not_markup(bench: Bench) -> None:
    arms = [bench.arms[0].model_copy(update={"architecture": "[red]x[/red]\x1b[2J", "deployment": "d"})]
    text = "\n".join(shown(bench.model_copy(update={"arms": arms}), 120))
    assert "[red]x[/red]" in text
    assert "\x1b" not in text


def test_what_was_not_measured_is_a_dash(bench: Bench) -> None:
    arms = [
        arm.model_copy(update={"wire_up_bytes_per_sample": None, "wire_down_bytes_per_sample": None})
        for arm in bench.arms
    ]
    lines = shown(bench.model_copy(update={"arms": arms}), 300)
    assert all("—" in line for line in lines if "·" in line)
